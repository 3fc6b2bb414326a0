"""Trainings of every arm with every seed, several at a time; finished ones stay finished."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

from lfp_snn.analysis.study.jobs import Job, Outcome, run_jobs
from lfp_snn.analysis.study.kinds import Study
from lfp_snn.analysis.study.resources import Resources
from lfp_snn.analysis.study.seedrun import SeedRun
from lfp_snn.analysis.study.spec import Arm
from lfp_snn.analysis.study.state import Session
from lfp_snn.analysis.study.store import claim
from lfp_snn.errors import RunError
from lfp_snn.makers import those_permitted

__all__ = ["run_seeds"]

WAIT_S = 2.0  # before looking again at what other sessions work on


def run_seeds(study: Study, seeds: Sequence[int], session: Session) -> None:
    """Train every arm with every seed; finished ones are left alone, failed ones tried again.

    They run seed by seed, not arm by arm, so that finished ones can be compared in pairs at any
    time.
    """
    folder, using, states = session.folder, session.using, session.states
    runs = {arm.name: [SeedRun(folder, arm.name, seed) for seed in seeds] for arm in study.arms}
    by_job, tried = dict[str, SeedRun](), set[str]()

    def to_do() -> list[Job]:
        jobs = []
        for seed in seeds:
            for arm in study.arms:
                run, state = SeedRun(folder, arm.name, seed), states[arm.name]
                if "search" in state.failed or run.finished:
                    continue
                job = _job(run, arm, study, state.values, using)
                by_job[job.label] = run
                if job.label not in tried:
                    jobs.append(job)
        return jobs

    def count(running: list[Job]) -> None:
        at_work = [by_job[job.label] for job in running]
        for name, state in states.items():
            state.seeds = (sum(run.finished for run in runs[name]), len(seeds))
            state.running = [_doing(run) for run in at_work if run.arm == name]
        session.changed()

    def ended(outcome: Outcome) -> None:
        run = by_job[outcome.job.label]
        tried.add(outcome.job.label)
        if outcome.error:
            states[run.arm].failed[f"seed {run.seed}"] = outcome.error
            session.watcher.told(f"{outcome.job.label} failed: {outcome.error}")
        else:
            session.watcher.told(f"{outcome.job.label}: test {run.measured()['test_accuracy']:.1%}")

    while jobs := to_do():
        if not run_jobs(jobs, using.jobs, lock=session.lock, watch=count, ended=ended):
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
            "functions": those_permitted(),
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
    """The progress of a training in words, read from what it has written."""
    try:
        metrics = run.run.read_metrics()
    except RunError:
        metrics = []
    if not metrics:
        return f"seed {run.seed}"
    epoch, accuracy = metrics[-1]["epoch"], metrics[-1]["val_accuracy"]
    validated = "" if accuracy is None else f", {accuracy:.1%}"
    return f"seed {run.seed}: epoch {epoch}{validated}"
