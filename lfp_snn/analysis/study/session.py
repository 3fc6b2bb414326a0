"""A study from beginning to end: folder, search, seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lfp_snn.analysis.study.kinds import Study
from lfp_snn.analysis.study.resources import Resources, machine
from lfp_snn.analysis.study.search import search_all
from lfp_snn.analysis.study.seedrun import SeedRun
from lfp_snn.analysis.study.seeds import run_seeds
from lfp_snn.analysis.study.state import State, Watcher, new_state
from lfp_snn.analysis.study.workspace import workspace
from lfp_snn.training.assembly import load_classes

__all__ = ["Ended", "carried_out"]


@dataclass(frozen=True)
class Ended:
    """A study of which everything that could be done is done.

    Attributes:
        folder: where it lies.
        seeds: those asked for, of every arm.
        states: what came of the search and what failed, by the name of the arm.
        machine: what it ran on, and how.
        data: name, source and sizes of the data.
    """

    folder: Path
    seeds: Sequence[int]
    states: Mapping[str, State]
    machine: Mapping[str, Any]
    data: Mapping[str, Any]

    def finished(self, arm: str) -> list[SeedRun]:
        """The seeds of an arm that have finished."""
        runs = (SeedRun(self.folder, arm, seed) for seed in self.seeds)
        return [run for run in runs if run.finished]


@contextmanager
def carried_out(
    study: Study, seeds: int, folder: Path, using: Resources, watcher: Watcher
) -> Iterator[Ended]:
    """Run what is missing of a study; within, its folder is held to write a report.

    Args:
        study: what is asked.
        seeds: how many; from the seed of the config on.
        folder: where everything goes; what it holds of the same study is kept.
        using: processes and threads.
        watcher: told of what happens.

    Raises:
        RunError: the folder is taken or in use, or cannot be written.
        DataError: the data cannot be read.
        ConfigError: the data have no classes, or nothing validates.
    """
    first = study.arms[0]
    # Fails here if it fails, and fills the cache for all.
    data = dict(load_classes(first.config({}, 0), validated=True).info)
    states = {arm.name: new_state(arm, seeds) for arm in study.arms}
    start = int(first.base.get("seed", 0))
    wanted = range(start, start + seeds)
    with workspace(folder, study.asked(using.threads), using.shared) as lock:
        if study.searches:
            search_all(study.arms, folder, using, lock, states, watcher)
        run_seeds(study, wanted, folder, using, lock, states, watcher)
        yield Ended(folder, wanted, states, machine(using), data)
