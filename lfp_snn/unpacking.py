"""Safe reading of files from strangers: endless unpacking, links and broken content are refused.

A file never takes more memory than about `EXPANSION` times its size (and `FREE` bytes at least):
formats that compress, or that tell how much follows, are asked for that before it is unpacked.

`reading` is the one boundary between the content of such files and the errors of this program. A
reader checks what can be checked and says what is wrong with it; whatever else damage runs into,
in a library or in arithmetic on numbers that no camera writes, is told as damage there, with the
first error as its cause. Errors that no content provokes (a name that does not exist, a failed
assertion, a missing module) pass through it, so that faults of this program stay visible.
"""

import errno
import struct
import sys
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lfp_snn.errors import DataError, LfpSnnError

__all__ = [
    "DAMAGE",
    "allowance",
    "check_events",
    "check_size",
    "check_text",
    "inflated",
    "open_hdf5",
    "reading",
    "shown",
]

EXPANSION = 200  # times the size of a small file: frames of few events pack so well
FREE = 1 << 26
EXPANSION_OF_LARGE = 50
_SMALL_ENDS = 192 << 20  # bytes to which the first factor leads at most
EVENT_BYTES = 64  # that an event takes while columns are made of it

_PIECE = 1 << 20
_LONGEST = 200  # characters of another program's error in a message

#: What damaged content makes readers trip over.
DAMAGE = (
    ArithmeticError,
    AttributeError,
    BufferError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


#: What the machine refuses is no damage.
_OF_THE_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE)


@contextmanager
def reading(
    path: Path | str, kind: str = "", error: type[LfpSnnError] = DataError
) -> Iterator[None]:
    """Tell errors in a ``with`` block that the content of a file causes as damage to the file.

    Args:
        path: the file or folder.
        kind: what the file should be, such as "index of recordings", for the message.
        error: the class of the error that is raised.

    Raises:
        LfpSnnError: an error of that class, whose message names the path; or the one that was
            raised within.
    """
    try:
        yield
    except LfpSnnError:
        raise
    except MemoryError as problem:
        raise error(f"{path} takes more memory than there is to read") from problem
    except DAMAGE as problem:
        if isinstance(problem, OSError) and problem.errno in _OF_THE_MACHINE:
            raise
        if isinstance(problem, FileNotFoundError) and problem.filename == str(path):
            raise error(f"There is no file {path}") from problem
        wrong = f"no {kind} or is damaged" if kind else "damaged or holds something else"
        raise error(f"{path} is {wrong}: {shown(problem)}") from problem


def shown(problem: BaseException) -> str:
    """The message of another program's error, in one short line."""
    text = " ".join(str(problem).split())
    if not text or isinstance(problem, LookupError):  # which says no more than what is missing
        text = f"{type(problem).__name__}({text})"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def allowance(path: Path | str, packed: int | None = None) -> int:
    """The number of bytes to which the content of a file may unpack.

    Args:
        path: the file.
        packed: the bytes of the content, where it lies within another file.
    """
    size = Path(path).stat().st_size if packed is None else packed
    return max(FREE, min(EXPANSION * size, _SMALL_ENDS), EXPANSION_OF_LARGE * size)


def check_size(path: Path | str, size: int, packed: int | None = None) -> None:
    """Refuse content that would unpack to more than the allowance.

    Args:
        path: the file.
        size: the bytes to which the content would unpack.
        packed: the bytes of the content, where it lies within another file.

    Raises:
        DataError: the content would unpack to more.
    """
    if packed is None:
        packed = Path(path).stat().st_size
    if size > allowance(path, packed):
        raise DataError(
            f"{path} would unpack to {size / 2**20:.0f} MiB, far more than a file of {packed} "
            "bytes holds; it is damaged or made to fill the memory"
        )


def check_events(path: Path, count: int) -> None:
    """Refuse more events than a file of that size unpacks to, before columns are made of them.

    Raises:
        DataError: there are more events.
    """
    check_size(path, EVENT_BYTES * count)


def check_text(path: Path | str, array: npt.NDArray[Any]) -> None:
    """Refuse an array of texts with numbers that are no letters, on which Python would stumble.

    Raises:
        DataError: the array has such numbers.
    """
    if array.dtype.kind == "U" and array.size:
        codes = np.ravel(array).view(np.dtype(np.uint32).newbyteorder(array.dtype.byteorder))
        if codes.max() > sys.maxunicode:
            raise DataError(f"{path} is damaged: a text has the letter {int(codes.max()):#x}")


def inflated(path: Path, packed: bytes, already: int = 0) -> bytes:
    """The content of a stream of zlib, unpacked piece by piece and no further than the allowance.

    Args:
        path: the file that the stream is from.
        packed: a stream of zlib.
        already: the number of bytes that other parts of the file have unpacked to.

    Raises:
        DataError: the stream is damaged or cut short, or unpacks to more than the allowance.
    """
    decoder, left, pieces = zlib.decompressobj(), packed, bytearray()
    try:
        while left and not decoder.eof:
            pieces += decoder.decompress(left, _PIECE)
            left = decoder.unconsumed_tail
            check_size(path, already + len(pieces))
    except zlib.error as error:
        raise DataError(f"{path} is damaged: {error}") from error
    if not decoder.eof:
        raise DataError(f"{path} is damaged: something packed is cut short")
    return bytes(pieces)


@contextmanager
def open_hdf5(path: Path) -> Iterator[Any]:
    """Open an HDF5 file for a ``with`` block; errors within are told as damage to the file.

    Raises:
        DataError: the file cannot be read, leads to other files, would unpack to far more than its
            size, has a group in two places, or h5py is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise DataError(
            f"reading {path} takes h5py, which is not installed: pip install 'lfp_snn[formats]'"
        ) from error
    if path.is_dir():
        raise DataError(f"{path} is a folder; expected a file")
    with reading(path), h5py.File(path, "r") as file:
        _check_tree(path, file)
        yield file


def _check_tree(path: Path, file: Any) -> None:
    """Refuse a file with links out of it, or content that unpacks to far more than its size.

    A group is looked into once: one that hangs in two places is refused, since a few of them, one
    in the other, make more paths than can be walked, by this or by another program.
    """
    import h5py

    seen, size, waiting = {_address(file)}, 0, [file]
    while waiting:
        group = waiting.pop()
        for name in group:
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise DataError(
                    f"{path} has a link {name!r} in {group.name}, which is not followed"
                )
            item = group[name]
            if isinstance(item, h5py.Group):
                if _address(item) in seen:
                    raise DataError(
                        f"{path} has the group {item.name} in two places; expected a tree"
                    )
                seen.add(_address(item))
                waiting.append(item)
            elif isinstance(item, h5py.Dataset):
                if item.external or item.is_virtual:
                    raise DataError(f"{path} keeps {item.name} in another file, which is not read")
                size += item.nbytes
                check_size(path, size)
                # A text or a row of its own takes a byte at least, and each becomes an object.
                if item.dtype.kind not in "biufc" and item.size > path.stat().st_size:
                    raise DataError(
                        f"{path} tells of {item.size} texts or rows in {item.name}, more than its "
                        f"{path.stat().st_size} bytes hold"
                    )
                if item.dtype.hasobject:
                    size += _bytes_of_rows(path, item)
                    check_size(path, size)


_GZIP = 1  # number of that filter
_REFERENCE = np.dtype([("length", "<u4"), ("heap", "V12")])  # to a row of its own length


def _bytes_of_rows(path: Path, dataset: Any) -> int:
    """The bytes of the rows of a dataset, each of its own length, by what the file tells of them.

    The HDF5 library makes room for a row before it looks whether there is one. Rows are never
    packed, so that none can be longer than the file; the list of them can be packed by gzip.
    """
    import h5py

    kind = h5py.check_vlen_dtype(dataset.dtype)
    if kind is None:
        raise DataError(f"{path} has values in {dataset.name} that are no numbers and no texts")
    each = 1 if kind in (str, bytes) else np.dtype(kind).itemsize
    total = 0
    for raw in _stored(path, dataset):
        whole = len(raw) // _REFERENCE.itemsize
        lengths = np.frombuffer(raw, _REFERENCE, whole)["length"].astype(np.int64)
        if lengths.max(initial=0) * each > path.stat().st_size:
            raise DataError(f"{path} has a row in {dataset.name} that is longer than the file")
        total += int(lengths.sum()) * each
    return total


def _stored(path: Path, dataset: Any) -> Iterator[bytes]:
    """The content of a dataset in a file, part by part, unpacked."""
    if dataset.chunks is None:
        with path.open("rb") as file:
            place = dataset.id.get_offset()
            if place is not None:
                file.seek(place)
                yield file.read(min(dataset.id.get_storage_size(), path.stat().st_size))
        return
    filters = dataset.id.get_create_plist()
    names = [filters.get_filter(n)[0] for n in range(filters.get_nfilters())]
    for number in range(dataset.id.get_num_chunks()):
        chunk = dataset.id.get_chunk_info(number)
        if chunk.size > path.stat().st_size:
            raise DataError(f"{path} has a part of {dataset.name} that is longer than the file")
        left_out, raw = dataset.id.read_direct_chunk(chunk.chunk_offset)
        used = [name for n, name in enumerate(names) if not left_out >> n & 1]
        if used == [_GZIP]:
            raw = inflated(path, raw)
        elif used:
            raise DataError(f"{path} has {dataset.name} packed in a way that is not known")
        yield raw


def _address(group: Any) -> Any:
    """The address that tells a group from all others of its file."""
    import h5py

    return h5py.h5o.get_info(group.id).addr
