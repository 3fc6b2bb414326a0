"""One process at a time in a directory: a lock that the system itself takes back.

It is ``flock`` on a file ``.lock``: whoever is killed lets go of it. The file says who has it.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from lfp_snn.errors import RunError

__all__ = ["locked"]


@contextmanager
def locked(folder: Path, *, shared: bool = False, hint: str = "") -> Iterator[BinaryIO]:
    """Within, no other process has this directory.

    Args:
        folder: the directory.
        shared: let others have it who share it too.
        hint: what else a user can do who finds it taken.

    Yields:
        The file that is locked; a child process that keeps it open keeps the lock.

    Raises:
        RunError: another process has it, which is named; or nothing can be written there.
    """
    try:
        # A link would have another file made or emptied, wherever it leads.
        descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        raise RunError(f"{folder} cannot be written to: {error.strerror}.") from error
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = file.read(200).decode(errors="replace").strip() or "another process"
            raise RunError(
                f"{folder} is in use by {owner}; wait until it ends or stop it, or name another "
                f"directory with --out{hint}."
            ) from None
        except OSError:  # a file system without locks, such as some over a network: go on unlocked
            yield file
            return
        _sign(file)
        yield file


def _sign(file: BinaryIO) -> None:
    """Say who has the lock; a full disk is no reason not to have it."""
    try:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n".encode())
    except OSError:
        pass
