"""The resources of a study: processes, threads, and the machine that they run on."""

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
    """The resources that a study may use.

    Attributes:
        jobs: the number of processes at once.
        threads: the threads of each process.
        storage: the storage of the trials, if other sessions may take part; see
            :class:`~lfp_snn.analysis.study.store.Store`.
    """

    jobs: int
    threads: int
    storage: str | None = None

    @property
    def shared(self) -> bool:
        """Whether other sessions may take part."""
        return self.storage is not None

    def store(self, folder: Path) -> Store:
        """The store of the trials of the study in a folder."""
        return Store(folder, self.storage)


def resources(jobs: int, threads: int | None, storage: str | None = None) -> Resources:
    """The resources of a number of processes, which share the cores if nothing else is said.

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
    """The threads that this process may use, by OMP_NUM_THREADS, else one for each core."""
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return int(asked) if asked.isdecimal() and int(asked) else usable_cores()


def usable_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine(using: Resources) -> dict[str, Any]:
    """The facts about the machine and the resources, for reports."""
    return {
        "processes at a time": using.jobs,
        "threads of each": using.threads,
        "cores": usable_cores(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lfp_snn": __version__,
    }
