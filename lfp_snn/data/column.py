"""A column of numbers in a file, of which pieces are read when they are asked for.

It is read, and not mapped into memory: where a mapped file was cut, or its disk fails, a process
that looks there ends at once (SIGBUS), and nothing can be said. A read that comes short is an error
like any other. For a batch it takes one call of the system for each recording, and as many copies
as from a map.
"""

import os
import weakref
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lfp_snn.errors import DataError

_AT_ONCE = 1 << 18  # bytes read at once for a checksum: they fit into the cache of a core


class StoredColumn:
    """A column of numbers in a file that stays open: it survives that the file is renamed.

    Args:
        path: the file, which holds the numbers and nothing else.
        dtype: the type of the numbers.
        length: how many numbers the file should hold.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, path: Path, dtype: npt.DTypeLike, length: int) -> None:
        self.path = path
        self.dtype = np.dtype(dtype)
        self._length = length
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._file)

    def __len__(self) -> int:
        return self._length

    @property
    def nbytes(self) -> int:
        """The number of bytes that the file should hold."""
        return self._length * self.dtype.itemsize

    def size(self) -> int:
        """The number of bytes that the file holds now."""
        return os.fstat(self._file).st_size

    def checksum(self) -> int:
        """The CRC-32 of all bytes.

        Raises:
            DataError: the file is shorter than it should be, or cannot be read.
        """
        found, buffer = 0, memoryview(bytearray(min(_AT_ONCE, self.nbytes)))
        for start in range(0, self.nbytes, _AT_ONCE):
            part = buffer[: min(_AT_ONCE, self.nbytes - start)]
            self._read(part, start)
            found = zlib.crc32(part, found)
        return found

    def pieces(self, pieces: Sequence[slice]) -> npt.NDArray[Any]:
        """Numbers of the column, laid end to end in memory.

        Args:
            pieces: the beginning and the end of each piece.

        Raises:
            DataError: the file was cut since it was opened, or cannot be read.
        """
        found = np.empty(sum(piece.stop - piece.start for piece in pieces), self.dtype)
        into, item, at = found.data.cast("B"), self.dtype.itemsize, 0
        for piece in pieces:
            end = at + (piece.stop - piece.start) * item
            self._read(into[at:end], piece.start * item)
            at = end
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """All numbers, in memory."""
        if copy is False:
            raise ValueError("the numbers of a column in a file cannot be had without a copy")
        return self.pieces([slice(0, self._length)]).astype(dtype or self.dtype, copy=False)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """What another process gets: the numbers, for the file may be gone by then."""
        return np.asarray, (np.asarray(self),)

    def _read(self, into: memoryview, start: int) -> None:
        """Read the bytes from `start` on."""
        try:
            done = os.preadv(self._file, [into], start)
            while done < len(into):  # above 2 GiB, or where a signal came between
                got = os.preadv(self._file, [into[done:]], start + done)
                if not got:
                    raise DataError(
                        f"{self._said()} was cut to {self.size()} of its {self.nbytes} bytes while "
                        "it was in use: start again (a run goes on with --resume), and it is built "
                        "anew."
                    )
                done += got
        except OSError as error:
            raise DataError(
                f"{self._said()} cannot be read ({error.strerror}): start again (a run goes on "
                "with --resume), with LFP_SNN_CACHE set to a folder of another disk."
            ) from None

    def _said(self) -> str:
        """The column, for a message, with the folder of the cache: its own has been renamed."""
        cache = self.path.parent.parent
        return f"The column {self.path.name} of the spike trains in the cache {cache}"
