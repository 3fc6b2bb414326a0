"""A lock that lets one process at a time into a directory, and that the system itself takes back.

It is ``flock`` on a file ``.lock``: a killed process lets go of it. The file says who has it.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from lfp_snn.errors import RunError
from lfp_snn.wording import option

__all__ = ["locked"]


@contextmanager
def locked(folder: Path, *, shared: bool = False, hint: str = "") -> Iterator[BinaryIO]:
    """Keep other processes out of a directory, for the time of a ``with`` block.

    Args:
        folder: the directory.
        shared: whether to let in others who share it too.
        hint: what else a user can do who finds the directory taken.

    Yields:
        The file that is locked; a child process that keeps it open keeps the lock.

    Raises:
        RunError: another process has the directory (the message names it), or nothing can be
            written there.
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
            raise RunError(
                f"{folder} is in use by {_holder(file)}; wait until it ends or stop it, or name "
                f"another directory with {option('out')}{hint}."
            ) from None
        except OSError:  # a file system without locks, such as some over a network: go on unlocked
            yield file
            return
        _sign(file)
        yield file


def _sign(file: BinaryIO) -> None:
    """Say who has the lock, and since when; a full disk is no reason not to have it."""
    try:
        file.truncate(0)
        now = datetime.now().astimezone().isoformat(" ", "seconds")
        file.write(f"process {os.getpid()} on {socket.gethostname()} since {now}\n".encode())
    except OSError:
        pass


def _holder(file: BinaryIO) -> str:
    """The process that has the lock, in words.

    Whoever took it signed the file. If that process has been killed, a child that it had started
    still holds what it inherited; on Linux the system says which.
    """
    signed = file.read(200).decode(errors="replace").strip()
    here = re.escape(socket.gethostname())
    found = re.match(rf"process (\d+) on {here}(?!\S)(?P<since> since .*)?", signed)
    if found is None or _lives(int(found[1])):
        return signed or "another process"
    living = [f"process {pid} ({command})" for pid, command in _processes_with(file)]
    names = " and ".join(living) or "a process"
    return f"{names}{found['since'] or ''}, which process {found[1]}, now ended, had started"


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def _processes_with(file: BinaryIO) -> list[tuple[int, str]]:
    """Other processes that have a file open, each with its command; none where nobody tells."""
    own, found = os.fstat(file.fileno()), []
    for folder in Path("/proc").glob("[0-9]*"):
        if int(folder.name) == os.getpid():
            continue
        with suppress(OSError):
            if any(_same(each, own) for each in (folder / "fd").iterdir()):
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                found.append((int(folder.name), command.decode(errors="replace").strip()[:100]))
    return found


def _same(link: Path, file: os.stat_result) -> bool:
    with suppress(OSError):  # closed meanwhile
        return os.path.samestat(link.stat(), file)
    return False
