"""Pickled data, read without executing anything from it.

Some datasets come as pickles of lists, dictionaries and NumPy arrays. A pickle can name any
function to be called; here only those are found that rebuild an array, and anything else is
refused.
"""

import gzip
import io
import pickle
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy._core import multiarray  # where NumPy itself rebuilds arrays

from lfp_snn.errors import DataError

_LARGEST = 1 << 30
_ALLOWED = {
    **dict.fromkeys(
        (("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct")),
        multiarray._reconstruct,
    ),
    **dict.fromkeys(
        (("numpy.core.multiarray", "scalar"), ("numpy._core.multiarray", "scalar")),
        multiarray.scalar,
    ),
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class _Arrays(pickle._Unpickler):
    """Finds what rebuilds NumPy arrays, and nothing else.

    Made of the unpickler in Python. That in C makes room for as many values as a number in the file
    says, so that twelve bytes can fill the memory.
    """

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it wants to call {module}.{name}, which no data needs"
            ) from None


def read_pickle(path: Path, text: str = "ASCII") -> Any:
    """What a pickle of plain values and arrays holds; gzip or not.

    Args:
        path: the file.
        text: the encoding of strings that Python 2 wrote, or `bytes` to leave them as they are.

    Raises:
        DataError: the file is missing or damaged, wants anything called that does not rebuild an
            array, or unpacks to more than a gigabyte.
    """
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            stream: Any = gzip.GzipFile(fileobj=file) if packed else file
            data = stream.read(_LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}); fetch it again") from error
    if len(data) > _LARGEST:
        raise DataError(f"{path} unpacks to more than a gigabyte; it is no dataset that is known")
    try:
        return _Arrays(io.BytesIO(data), encoding=text).load()
    # A damaged pickle makes the unpickler trip over anything.
    except Exception as error:
        raise DataError(f"{path} is no pickle of plain data: {error}") from error
