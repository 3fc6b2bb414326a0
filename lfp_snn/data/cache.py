"""An on-disk cache of spike trains, of which batches read what they hold.

An entry is a folder named by a hash of all that its content follows from: the dataset, its files
(path, size, time of change), the options, and the code of `lfp_snn.data` itself. So an entry is
never stale: what changes makes another entry. It is built in a folder of its own and then renamed,
so that a process sees a whole entry or none; of two that build the same one, the later discards its
own. What a killed process was building is removed by the next that builds. Each entry carries
checksums; one that is damaged is built anew. The cache folder can be deleted at any time.

The folder is `$LFP_SNN_CACHE`, or `datasets/.cache` under the current directory.
"""

import fcntl
import functools
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from lfp_snn.data.binning import Binned, Stored, join
from lfp_snn.data.column import StoredColumn
from lfp_snn.errors import DataError

_DTYPES = {
    "indptr": np.int64,
    "indices": np.int32,
    "values": np.float32,
    "owners": np.int64,
    "lengths": np.int64,
}

_LONG = ("indices", "values")  # these stay in their files

Build = Callable[[], Iterable[Binned]]

_LOCK = ".lock"  # of a folder that is being built; the system lets go of it when the process ends
_SCRATCH = re.compile(r"\..+-[0-9a-f]{24}-[a-z0-9_]{8}")  # nothing else is ever removed
_UNLOCKED_S = 3600  # age at which a folder without a lock is nobody's


def location() -> Path:
    """The folder that holds the cache."""
    return Path(os.environ.get("LFP_SNN_CACHE") or "datasets/.cache")


def fetch(name: str, files: Sequence[Path], options: Mapping[str, Any], build: Build) -> Stored:
    """Fetch the spike trains that `build` makes, out of the cache if it has them.

    Args:
        name: the name of the dataset.
        files: the files that `build` reads.
        options: all else that the result of `build` depends on (anything that `json` or `repr`
            writes).
        build: a function that yields spike trains chunk by chunk; it is called only if the cache
            cannot serve, and once more if the disk fills while the trains are written.

    Returns:
        The chunks laid end to end: columns in the files of the cache, or arrays in memory, after a
        warning, if the cache cannot be written.
    """
    key = _key(name, files, options)
    entry = location() / f"{name}-{key[:24]}"
    found = _read(entry)
    if found is not None:
        return found
    try:
        with _scratch(entry.name) as scratch:
            _write(scratch, build())
            # The open files outlive their names, so what is read here survives all that follows.
            trains = _read(scratch)
            if trains is None:
                raise OSError("what was written cannot be read back")
            if _key(name, files, options) == key:  # else a file changed meanwhile: keep nothing
                _publish(scratch, entry)
            return trains
    except OSError as error:  # builders raise DataError, so this is the cache's own disk
        return _uncached(build, error)


@contextmanager
def _scratch(name: str) -> Iterator[Path]:
    """Make a folder to build an entry in, and remove it at the end if it is still there.

    Raises:
        OSError: the folder cannot be made.
    """
    location().mkdir(parents=True, exist_ok=True)
    _remove_abandoned()
    folder = Path(tempfile.mkdtemp(dir=location(), prefix=f".{name}-"))
    try:
        with (folder / _LOCK).open("wb") as lock:
            with suppress(OSError):  # a disk without locks, such as some over a network
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned() -> None:
    """Remove folders whose builder was killed, so that nobody holds their lock."""
    for folder in location().glob(".*-*"):
        if not _SCRATCH.fullmatch(folder.name):  # the cache may lie in a folder with other things
            continue
        with suppress(OSError):
            lock = folder / _LOCK
            if not lock.exists():
                latest = max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
                if time.time() - latest > _UNLOCKED_S:
                    shutil.rmtree(folder)
                continue
            with lock.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)


def _key(name: str, files: Sequence[Path], options: Mapping[str, Any]) -> str:
    stats = ((str(file.absolute()), file.stat()) for file in files)
    content = {
        "code": _code(),
        "name": name,
        "files": [(path, stat.st_size, stat.st_mtime_ns) for path, stat in stats],
        "options": options,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=repr).encode()).hexdigest()


@functools.cache
def _code() -> str:
    """A digest of the source of this package: what it computes may change with it."""
    sources = sorted(Path(__file__).parent.rglob("*.py"))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()


def _uncached(build: Build, error: OSError) -> Stored:
    warnings.warn(
        f"the cache in {location()} cannot be used ({error}); the data is kept in memory and "
        "encoded again in the next run (set LFP_SNN_CACHE to a folder that can be written)",
        stacklevel=3,
    )
    return Stored.of(join(build()))


def _write(folder: Path, chunks: Iterable[Binned]) -> None:
    """Write raw columns and, last of all, `meta.json` with their lengths and checksums."""
    meta: dict[str, dict[str, int]] = {}
    with ExitStack() as stack:
        files: dict[str, IO[bytes]] = {}

        def append(column: str, data: npt.NDArray[Any]) -> None:
            if column not in files:
                files[column] = stack.enter_context((folder / column).open("wb"))
                meta[column] = {"length": 0, "checksum": 0}
            content = np.ascontiguousarray(data, dtype=_DTYPES[column])
            files[column].write(content.data)
            meta[column]["length"] += len(content)
            meta[column]["checksum"] = _checksum(content, meta[column]["checksum"])

        append("indptr", np.zeros(1))
        nnz = 0
        for chunk in chunks:
            append("indptr", chunk.indptr[1:] + nnz)
            append("indices", chunk.indices)
            for column in ("values", "owners", "lengths"):
                data = getattr(chunk, column)
                if data is not None:
                    append(column, data)
            nnz += int(chunk.indptr[-1])
    (folder / "meta.json").write_text(json.dumps(meta), encoding="utf-8")


def _read(folder: Path) -> Stored | None:
    """Open an entry; gives None if there is none, or if it is damaged."""
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        if not _DTYPES.keys() >= meta.keys():  # nor does a name lead out of the entry
            return None
        columns = {column: _open(folder / column, **meta[column]) for column in meta}
        # What every batch asks for lies in memory: some bytes for each step of a recording.
        held = {name: np.asarray(columns[name]) for name in columns if name not in _LONG}
        return Stored(**held, indices=columns["indices"], values=columns.get("values"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, DataError):
        return None


def _open(path: Path, length: int, checksum: int) -> StoredColumn:
    column = StoredColumn(path, _DTYPES[path.name], length)
    if column.size() != column.nbytes:
        raise ValueError(f"{path} has another size than it was written with")
    if column.checksum() != checksum:
        raise ValueError(f"{path} has another checksum than it was written with")
    return column


def _checksum(data: npt.NDArray[Any], before: int) -> int:
    """The CRC-32 of the bytes, going on from the CRC of the bytes before them."""
    return zlib.crc32(data.data, before)


def _publish(scratch: Path, entry: Path) -> None:
    (scratch / _LOCK).unlink()
    if entry.exists() and _read(entry) is None:  # damaged: out of the way, in one step
        with suppress(OSError):  # another process was quicker
            entry.rename(scratch / "damaged")
    with suppress(OSError):  # the same entry has been made by another process
        scratch.rename(entry)
