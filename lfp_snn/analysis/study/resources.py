"""What the processes of a study may use, and what they run on."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lfp_snn import __version__
from lfp_snn.analysis.study.store import Store
from lfp_snn.errors import ConfigError
from lfp_snn.training.distributed import rank

__all__ = ["Resources", "machine", "resources", "usable_cores", "usable_threads"]


@dataclass(frozen=True)
class Resources:
    """What the processes may use.

    Attributes:
        jobs: processes at once.
        threads: of each.
        storage: where the trials are, if other sessions may take part; see
            :class:`~lfp_snn.analysis.study.store.Store`.
    """

    jobs: int
    threads: int
    storage: str | None = None

    @property
    def shared(self) -> bool:
        """May other sessions take part?"""
        return self.storage is not None

    def store(self, folder: Path) -> Store:
        """The trials of the study in a folder."""
        return Store(folder, self.storage)


def resources(jobs: int, threads: int | None, storage: str | None = None) -> Resources:
    """So many processes, which share the cores if nothing else is said.

    Raises:
        ConfigError: torchrun has started this process, and would start every trial several times.
    """
    if rank() is not None:
        raise ConfigError(
            "Comparisons and sweeps start their processes themselves: run them without torchrun, "
            "and share the work with other machines by --storage."
        )
    return Resources(jobs, threads or max(1, usable_threads() // jobs), storage)


def usable_threads() -> int:
    """Threads that this process may use: what OMP_NUM_THREADS says, else one for each core."""
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return int(asked) if asked.isdecimal() and int(asked) else usable_cores()


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine(using: Resources) -> dict[str, Any]:
    """What it runs on, and how."""
    return {
        "processes at a time": using.jobs,
        "threads of each": using.threads,
        "cores": usable_cores(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lfp_snn": __version__,
    }
