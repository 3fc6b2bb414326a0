"""The store of a study's trials and claims on them, for one machine or several that share.

Alone, trials lie in SQLite in the folder of the study. Several machines take a journal there
or a database that all of them reach, and a folder that all of them see. Whoever works on a trial or
a seed holds a lock on a file for it, which the system releases when the process dies, however it
dies: nothing is done twice, and nothing stays undone.
"""

from __future__ import annotations

import fcntl
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from lfp_snn.errors import RunError

__all__ = ["Store", "claim"]

JOURNAL = "journal"
WAIT_S = 60  # for SQLite, while others write


@dataclass(frozen=True)
class Store:
    """The trials of a study.

    Args:
        folder: the folder of the study.
        place: the place of the trials: ``None`` for SQLite in the folder, for this session alone;
            ``journal`` for a file in the folder that several machines can write to; or the URL of a
            database.
    """

    folder: Path
    place: str | None = None

    @property
    def shared(self) -> bool:
        """Whether other sessions may work on the same study."""
        return self.place is not None

    def open(self) -> Any:
        """Open Optuna's storage.

        Raises:
            RunError: there is no such database, or no program to reach it with.
        """
        import optuna  # slow to load
        from optuna.storages.journal import JournalFileBackend

        if self.place is None:
            url = f"sqlite:///{self.folder / 'tuning.db'}"
            waiting = {"connect_args": {"timeout": WAIT_S}}
            return optuna.storages.RDBStorage(url, engine_kwargs=waiting)
        if self.place == JOURNAL:
            file = JournalFileBackend(str(self.folder / "tuning.log"))
            return optuna.storages.JournalStorage(file)
        try:
            return optuna.storages.RDBStorage(self.place)
        except Exception as error:  # of whatever driver the URL names
            reason = str(error).splitlines()[0]
            raise RunError(
                f"The storage {self.place!r} cannot be opened: {reason}; expected 'journal' or the "
                f"URL of a database as Optuna takes it, such as postgresql://host/name."
            ) from error

    def name(self, arm: str) -> str:
        """Name of an arm's trials in Optuna; a database may hold trials of other studies too."""
        own = self.place in (None, JOURNAL)
        return arm if own else f"{self.folder.resolve().name}/{arm}"

    def claim_trial(self, arm: str, number: int) -> BinaryIO | None:
        """Claim a trial; gives ``None`` if another process has it."""
        return claim(self.folder / "claims" / f"{arm}-trial-{number}")


def claim(path: Path) -> BinaryIO | None:
    """Claim what a file stands for, until the file is closed; gives ``None`` if it is taken.

    Raises:
        RunError: the file cannot be made or locked.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
    except OSError as error:
        raise RunError(f"{path} cannot be made: {error.strerror}.") from error
    try:
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
    except OSError as error:
        file.close()
        raise RunError(
            f"{path} cannot be locked ({error.strerror}): --storage needs a folder on which locks "
            f"work, as they do on local disks and NFS."
        ) from error
    file.close()
    return None
