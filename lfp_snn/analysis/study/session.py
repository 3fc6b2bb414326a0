"""The run of a study from beginning to end: folder, search, seeds."""

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
from lfp_snn.console import command_line
from lfp_snn.training.assembly import load_classes

__all__ = ["Ended", "carry_out"]

SomeStudy = TypeVar("SomeStudy", bound=Study)
SomeFindings = TypeVar("SomeFindings", bound=Findings)


@dataclass(frozen=True)
class Ended:
    """A study that has ended: everything that could be done is done.

    Attributes:
        folder: the folder of the study.
        seeds: the seeds that were asked for, of every arm.
        states: the results of the search and the failures, by the name of the arm.
        store: the store of the trials.
        machine: the machine that it ran on, and how.
        data: the name, source and sizes of the data.
        command: the command that wrote the report.
    """

    folder: Path
    seeds: Sequence[int]
    states: Mapping[str, State]
    store: Store
    machine: Mapping[str, Any]
    data: Mapping[str, Any]
    command: str

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
        study: the study.
        gather: a function that reads back what was measured.
        write: a function that writes the report into the folder, under the experiment's name.
        seeds: the number of seeds, counted from the seed of the config on.
        folder: the folder that everything goes to; what it holds of the same study is kept.
        using: the processes and threads.
        watcher: the watcher that is told of what happens.
        name: the name of the experiment.

    Returns:
        The findings, and the path of the report.

    Raises:
        RunError: the folder is taken or in use, or cannot be written.
        DataError: the data cannot be read.
        ConfigError: the data have no classes, or lack a part that validates and is needed.
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
        ended = Ended(
            folder,
            wanted,
            states,
            using.store(folder),
            machine(using),
            data,
            command_line(),
        )
        findings = gather(study, ended)
        return findings, write(findings, folder, name)
