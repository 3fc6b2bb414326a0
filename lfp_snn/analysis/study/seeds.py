"""The seeds of every arm, several at a time. What is finished stays finished."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from lfp_snn.analysis.study.jobs import Job, Outcome, run_jobs
from lfp_snn.analysis.study.kinds import Study
from lfp_snn.analysis.study.resources import Resources
from lfp_snn.analysis.study.seedrun import SeedRun
from lfp_snn.analysis.study.spec import Arm
from lfp_snn.analysis.study.state import State, Watcher
from lfp_snn.analysis.study.store import claim
from lfp_snn.errors import RunError

__all__ = ["run_seeds"]

WAIT_S = 2.0  # before looking again at what other sessions work on


def run_seeds(
    study: Study,
    seeds: Sequence[int],
    folder: Path,
    resources: Resources,
    lock: BinaryIO,
    states: Mapping[str, State],
    watcher: Watcher,
) -> None:
    """Train every arm with every seed; finished ones are left alone, failed ones tried again.

    Seed by seed, not arm by arm: what is there at any time can be compared in pairs.
    """
    runs = {arm.name: [SeedRun(folder, arm.name, seed) for seed in seeds] for arm in study.arms}
    by_job, tried = dict[str, SeedRun](), set[str]()

    def to_do() -> list[Job]:
        jobs = []
        for seed in seeds:
            for arm in study.arms:
                run, state = SeedRun(folder, arm.name, seed), states[arm.name]
                if "search" in state.failed or run.finished:
                    continue
                job = _job(run, arm, study, state.values, resources)
                by_job[job.label] = run
                if job.label not in tried:
                    jobs.append(job)
        return jobs

    def count(running: list[Job]) -> None:
        at_work = [by_job[job.label] for job in running]
        for name, state in states.items():
            state.seeds = (sum(run.finished for run in runs[name]), len(seeds))
            state.running = [_doing(run) for run in at_work if run.arm == name]
        watcher.changed(list(states.values()))

    def ended(outcome: Outcome) -> None:
        run = by_job[outcome.job.label]
        tried.add(outcome.job.label)
        if outcome.error:
            states[run.arm].failed[f"seed {run.seed}"] = outcome.error
            watcher.told(f"{outcome.job.label} failed: {outcome.error}")
        else:
            watcher.told(f"{outcome.job.label}: test {run.measured()['test_accuracy']:.1%}")

    while jobs := to_do():
        if not run_jobs(jobs, resources.jobs, lock=lock, watch=count, ended=ended):
            time.sleep(WAIT_S)  # other sessions have them; if one dies, they are free again
    count([])


def _job(
    run: SeedRun, arm: Arm, study: Study, values: Mapping[str, Any], resources: Resources
) -> Job:
    return Job(
        f"{arm.name}, seed {run.seed}",
        {
            "kind": study.section,
            **study.todo(),
            "seed": run.seed,
            "values": dict(values),
            "threads": resources.threads,
            "folder": str(run.folder.resolve()),
            "study": arm.model_dump(mode="json"),
        },
        run.path / "job.json",
        (lambda: _claim(run)) if resources.shared else None,
    )


def _claim(run: SeedRun) -> BinaryIO | None:
    """Take a seed of an arm; ``None`` if another session has it or has finished it."""
    taken = claim(run.path / ".claim")
    if taken is not None and run.finished:
        taken.close()
        return None
    return taken


def _doing(run: SeedRun) -> str:
    """How far a training is, read from what it has written."""
    try:
        metrics = run.run.read_metrics()
    except RunError:
        metrics = []
    if not metrics:
        return f"seed {run.seed}"
    return f"seed {run.seed}: epoch {metrics[-1]['epoch']}, {metrics[-1]['val_accuracy']:.1%}"
