"""A study from beginning to end: folder, search, seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from lfp_snn.analysis.study.findings import Findings
from lfp_snn.analysis.study.kinds import Study
from lfp_snn.analysis.study.resources import Resources, machine
from lfp_snn.analysis.study.search import search_all
from lfp_snn.analysis.study.seedrun import SeedRun
from lfp_snn.analysis.study.seeds import run_seeds
from lfp_snn.analysis.study.state import Session, State, Watcher, new_state
from lfp_snn.analysis.study.store import Store
from lfp_snn.analysis.study.workspace import workspace
from lfp_snn.training.assembly import load_classes

__all__ = ["Ended", "carry_out"]

SomeStudy = TypeVar("SomeStudy", bound=Study)
SomeFindings = TypeVar("SomeFindings", bound=Findings)


@dataclass(frozen=True)
class Ended:
    """A study of which everything that could be done is done.

    Attributes:
        folder: where it lies.
        seeds: those asked for, of every arm.
        states: what came of the search and what failed, by the name of the arm.
        store: where the trials are.
        machine: what it ran on, and how.
        data: name, source and sizes of the data.
    """

    folder: Path
    seeds: Sequence[int]
    states: Mapping[str, State]
    store: Store
    machine: Mapping[str, Any]
    data: Mapping[str, Any]

    def finished(self, arm: str) -> list[SeedRun]:
        """The seeds of an arm that have finished."""
        runs = (SeedRun(self.folder, arm, seed) for seed in self.seeds)
        return [run for run in runs if run.finished]


def carry_out(
    study: SomeStudy,
    gather: Callable[[SomeStudy, Ended], SomeFindings],
    write: Callable[[SomeFindings, Path, str], Path],
    *,
    seeds: int,
    folder: Path,
    using: Resources,
    watcher: Watcher,
    name: str,
) -> tuple[SomeFindings, Path]:
    """Run what is missing of a study, and write its report.

    Args:
        study: what is asked.
        gather: reads back what was measured.
        write: writes the report of that into the folder, under the name of the experiment.
        seeds: how many; from the seed of the config on.
        folder: where everything goes; what it holds of the same study is kept.
        using: processes and threads.
        watcher: told of what happens.
        name: of the experiment.

    Returns:
        What was found, and the path of the report.

    Raises:
        RunError: the folder is taken or in use, or cannot be written.
        DataError: the data cannot be read.
        ConfigError: the data have no classes, or no part that validates and is needed.
    """
    first = study.arms[0]
    # Fails here if it fails, and fills the cache for all.
    data = dict(load_classes(first.config({}, 0), validated=study.validates).info)
    states = {arm.name: new_state(arm, seeds) for arm in study.arms}
    start = int(first.base.get("seed", 0))
    wanted = range(start, start + seeds)
    with workspace(folder, study.asked(using.threads), using.shared) as lock:
        session = Session(folder, using, lock, states, watcher)
        if study.searches:
            search_all(study.arms, session)
        run_seeds(study, wanted, session)
        ended = Ended(folder, wanted, states, using.store(folder), machine(using), data)
        findings = gather(study, ended)
        return findings, write(findings, folder, name)
