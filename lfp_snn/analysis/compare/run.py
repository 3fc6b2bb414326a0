"""A whole comparison or sweep: search, then seeds. What is finished stays finished."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from pydantic import ValidationError

from lfp_snn.analysis.compare.cells import Cell
from lfp_snn.analysis.compare.jobs import Job, Outcome, run_jobs
from lfp_snn.analysis.compare.plan import Study
from lfp_snn.analysis.compare.store import Store, claim
from lfp_snn.analysis.compare.tuning import Tuning, session
from lfp_snn.errors import ConfigError, RunError
from lfp_snn.training.files import read_json, write_json
from lfp_snn.training.lock import locked

__all__ = ["Resources", "State", "Watcher", "run_seeds", "search_all", "workspace"]

WAIT_S = 2.0  # before looking again at what other sessions work on


@dataclass(frozen=True)
class Resources:
    """What the processes may use.

    Attributes:
        jobs: processes at once.
        threads: of each.
        storage: where the trials are, if other sessions may take part; see
            :class:`~lfp_snn.analysis.compare.store.Store`.
    """

    jobs: int
    threads: int
    storage: str | None = None

    def store(self, folder: Path) -> Store:
        """The trials of the comparison in a folder."""
        return Store(folder, self.storage)


@dataclass
class State:
    """How far one learner is.

    Attributes:
        name: of the learner in the comparison.
        trials: spent and asked for.
        cells: finished and asked for.
        epochs: of a trial and of a cell, at most.
        values: those that the search found.
        best: validation accuracy of the best trial; ``None`` if nothing was searched.
        running: what its processes do, in a few words.
        failed: why trials or seeds failed, by what failed.
    """

    name: str
    trials: tuple[int, int] = (0, 0)
    cells: tuple[int, int] = (0, 0)
    epochs: tuple[int, int] = (1, 1)
    values: dict[str, Any] = field(default_factory=dict)
    best: float | None = None
    running: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def work(self) -> tuple[int, int]:
        """Epochs done and epochs in all, as far as trials and cells have ended."""
        pairs = zip((self.trials, self.cells), self.epochs, strict=True)
        done, total = zip(*((e * part[0], e * part[1]) for part, e in pairs), strict=True)
        return sum(done), sum(total)


class Watcher(Protocol):
    """What is told while a comparison runs."""

    def changed(self, states: Sequence[State]) -> None:
        """How far everyone is; called several times a second."""

    def told(self, line: str) -> None:
        """Something ended."""


@contextmanager
def workspace(folder: Path, asked: Mapping[str, Any], shared: bool = False) -> Iterator[BinaryIO]:
    """The folder of a comparison: new, or one in which the same was asked for.

    Args:
        folder: where everything goes.
        asked: what makes the comparison what it is, as JSON takes it. What is there may have
            more, or less, but not something else: a learner can join later.
        shared: let other sessions that share it work in the folder at the same time.

    Yields:
        A lock, held as long as the comparison or a process of it lives.

    Raises:
        RunError: the folder is something else, holds another comparison, or is in use.
    """
    plan = folder / "plan.json"
    if folder.exists() and not plan.exists() and any(folder.iterdir()):
        raise RunError(f"{folder} exists and is no comparison: name another directory with --out.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder} cannot be made: {error.strerror}.") from error
    with locked(folder, shared=shared, hint=", or let all share it with --storage") as lock:
        known = read_json(plan) if plan.exists() else {}
        pairs = {key: (known.get(key, now), now) for key, now in asked.items()}
        differing = sorted(key for key, pair in pairs.items() if not _same(*pair))
        if differing:
            raise RunError(
                f"{folder} holds a comparison with another {' and '.join(differing)}: name another "
                f"directory with --out, or go back to what it was."
            )
        if not all(known.get(key) == asked[key] for key in asked):
            write_json(plan, {**known, **asked})
        yield lock


def _same(before: Any, now: Any) -> bool:
    """Whether the same is asked for; of studies, which may write defaults or leave them out."""
    if before == now:
        return True
    if not (isinstance(before, dict) and isinstance(now, dict) and "base" in before.keys() & now):
        return False
    try:
        return Study.model_validate(before).asks_the_same(Study.model_validate(now))
    except (ConfigError, ValidationError):  # of a version that knew other settings
        return False


def search_all(
    studies: Sequence[Study],
    folder: Path,
    resources: Resources,
    lock: BinaryIO,
    states: Mapping[str, State],
    watcher: Watcher,
) -> None:
    """Spend the budget of every study; what was spent before counts.

    A trial that fails is one of the budget. Each learner's outcome ends up in its state.
    """
    for study in studies:
        state = states[study.name]
        tuning = Tuning(study, resources.store(folder))
        tuning.give_up_interrupted()
        _count_trials(state, tuning)
        while left := tuning.remaining():
            # Others may be at work on the last ones; if one of them dies, they are free again.
            free = tuning.free()
            jobs = _trial_jobs(study, folder, resources, free)

            def watch(running: list[Job], state: State = state, tuning: Tuning = tuning) -> None:
                state.running = [job.label for job in running]
                _count_trials(state, tuning)
                watcher.changed(list(states.values()))

            def ended(outcome: Outcome, name: str = study.name) -> None:
                if outcome.error:
                    watcher.told(f"{name}: {outcome.job.label} failed: {outcome.error}")

            outcomes = run_jobs(jobs, resources.jobs, lock=lock, watch=watch, ended=ended)
            state.running = []
            tuning.fail_open("its process died")
            if not jobs:
                watch([])
                time.sleep(WAIT_S)
                tuning.give_up_interrupted()
            if outcomes and (tuning.remaining(), tuning.free()) == (left, free):
                reason = outcomes[-1].error or "nothing was tried"
                state.failed["search"] = reason
                break
        _count_trials(state, tuning)
        _conclude(state, tuning)
        watcher.changed(list(states.values()))
        if state.best is not None:
            watcher.told(f"{study.name}: best of {state.trials[0]} trials {state.best:.1%}")


def _count_trials(state: State, tuning: Tuning) -> None:
    wanted = tuning.study.search.trials if tuning.study.tune else 0
    state.trials = (len(tuning.spent()), wanted)


def _conclude(state: State, tuning: Tuning) -> None:
    try:
        state.values, state.best = tuning.best()
    except RunError as error:
        state.failed["search"] = str(error)
    for number, reason in enumerate(tuning.failed(), 1):
        state.failed[f"trial (failure {number})"] = reason


def _trial_jobs(study: Study, folder: Path, resources: Resources, left: int) -> list[Job]:
    """The remaining trials, shared out to as many processes as run at once."""
    workers = min(resources.jobs, left)
    of = f"-{session(os.getpid())}" if resources.storage else ""
    shares = [left // workers + (n < left % workers) for n in range(workers)]
    return [
        Job(
            f"search {number + 1}",
            {
                "kind": "trials",
                "trials": share,
                "threads": resources.threads,
                "storage": resources.storage,
                "folder": str(folder.resolve()),
                "study": study.model_dump(mode="json"),
            },
            folder / "jobs" / f"{study.name}-search-{number + 1}{of}.json",
        )
        for number, share in enumerate(shares)
    ]


def run_seeds(
    studies: Sequence[Study],
    seeds: Sequence[int],
    folder: Path,
    resources: Resources,
    lock: BinaryIO,
    states: Mapping[str, State],
    watcher: Watcher,
    todo: Mapping[str, Any] | None = None,
) -> None:
    """Train every learner with every seed; finished cells are left alone, failed ones tried again.

    Seed by seed, not learner by learner: what is there at any time can be compared in pairs.

    Args:
        studies: of each learner.
        seeds: of the cells.
        folder: where they lie.
        resources: processes and threads.
        lock: held by every process.
        states: kept up to date.
        watcher: told of what happens.
        todo: kind of the cells for the worker, with what that kind needs; those of a comparison if
            it is not given.
    """
    cells = {study.name: [Cell(folder, study.name, seed) for seed in seeds] for study in studies}
    by_job, tried = dict[str, Cell](), set[str]()

    def to_do() -> list[Job]:
        jobs = []
        for seed in seeds:
            for study in studies:
                cell, state = Cell(folder, study.name, seed), states[study.name]
                if "search" in state.failed or cell.finished:
                    continue
                job = _cell_job(cell, study, state.values, resources, todo or {"kind": "cell"})
                by_job[job.label] = cell
                if job.label not in tried:
                    jobs.append(job)
        return jobs

    def count(running: list[Job]) -> None:
        for study in studies:
            state = states[study.name]
            state.cells = (sum(c.finished for c in cells[study.name]), len(seeds))
            state.running = [_doing(by_job[j.label]) for j in running if _is_of(j, study)]
        watcher.changed(list(states.values()))

    def ended(outcome: Outcome) -> None:
        cell = by_job[outcome.job.label]
        tried.add(outcome.job.label)
        if outcome.error:
            states[cell.name].failed[f"seed {cell.seed}"] = outcome.error
            watcher.told(f"{outcome.job.label} failed: {outcome.error}")
        else:
            watcher.told(f"{outcome.job.label}: test {cell.figures()['test_accuracy']:.1%}")

    while jobs := to_do():
        if not run_jobs(jobs, resources.jobs, lock=lock, watch=count, ended=ended):
            time.sleep(WAIT_S)  # other sessions have them; if one dies, they are free again
    count([])


def _is_of(job: Job, study: Study) -> bool:
    return bool(job.todo["study"]["name"] == study.name)


def _cell_job(
    cell: Cell,
    study: Study,
    values: Mapping[str, Any],
    resources: Resources,
    todo: Mapping[str, Any],
) -> Job:
    return Job(
        f"{study.name}, seed {cell.seed}",
        {
            **todo,
            "seed": cell.seed,
            "values": dict(values),
            "threads": resources.threads,
            "folder": str(cell.folder.resolve()),
            "study": study.model_dump(mode="json"),
        },
        cell.path / "job.json",
        (lambda: _claim(cell)) if resources.storage else None,
    )


def _claim(cell: Cell) -> BinaryIO | None:
    """Take a cell; ``None`` if another session has it or has finished it."""
    taken = claim(cell.path / ".claim")
    if taken is not None and cell.finished:
        taken.close()
        return None
    return taken


def _doing(cell: Cell) -> str:
    """How far a cell is, read from what its run has written."""
    try:
        metrics = cell.run.read_metrics()
    except RunError:
        metrics = []
    if not metrics:
        return f"seed {cell.seed}"
    return f"seed {cell.seed}: epoch {metrics[-1]['epoch']}, {metrics[-1]['val_accuracy']:.1%}"


def usable_threads() -> int:
    """Threads that this process may use: what OMP_NUM_THREADS says, else one for each core."""
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return int(asked) if asked.isdecimal() and int(asked) else usable_cores()


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
