"""Writing files so that each is whole or absent, whatever ends the writing."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

__all__ = ["TORN", "sync_folder", "write_whole"]

#: In the names of files that are being written; only a killed process leaves one behind.
TORN = ".writing-"


def write_whole(path: Path, content: bytes, *, new: bool = False) -> None:
    """Write a file by way of another one beside it, which takes its name when it is on disk.

    After a crash there is what was there before or all of the content. The same holds after an
    error (a full disk) or Ctrl-C, and nothing else is left behind.

    Args:
        path: the file; one that is there is replaced.
        content: the whole content.
        new: whether to refuse to replace a file, also one that another process has made meanwhile.

    Raises:
        FileExistsError: there is a file, and it was to be new.
        OSError: the file cannot be written.
    """
    path = Path(os.path.realpath(path))  # a link stays a link to what is written
    if new and path.exists():
        raise FileExistsError(f"{path} exists already")
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:100]}{TORN}", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        _rename(temporary, path, new)
        sync_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _rename(temporary: Path, path: Path, new: bool) -> None:
    if new:
        with contextlib.suppress(PermissionError, NotImplementedError):
            os.link(temporary, path)  # unlike a rename, it fails if there is a file
            return
        # A file system without links: what was looked at before must do.
    temporary.replace(path)


def sync_folder(folder: Path) -> None:
    """Make a rename last; on systems that cannot open folders it does so by itself."""
    with contextlib.suppress(PermissionError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
