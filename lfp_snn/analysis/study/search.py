"""The search of every arm, which spends its budget in several processes at a time."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from lfp_snn.analysis.study.jobs import TRIALS, Job, Outcome, run_jobs
from lfp_snn.analysis.study.resources import Resources
from lfp_snn.analysis.study.spec import Arm
from lfp_snn.analysis.study.state import Session, State
from lfp_snn.analysis.study.tuning import Tuning, session_name
from lfp_snn.errors import RunError
from lfp_snn.makers import those_permitted

__all__ = ["search_all"]

WAIT_S = 2.0  # before looking again at what other sessions work on


def search_all(arms: Sequence[Arm], session: Session) -> None:
    """Spend the budget of every arm; trials that were spent before count.

    A trial that fails counts too. The outcome of each arm ends up in its state. Where no arm has
    anything to search, no store is made.
    """
    for arm in (each for each in arms if each.trials):
        state = session.states[arm.name]
        tuning = Tuning(arm, session.using.store(session.folder))
        tuning.give_up_interrupted()
        _count_trials(state, tuning)
        while left := tuning.remaining():
            # Others may be at work on the last ones; if one of them dies, they are free again.
            free = tuning.free()
            jobs = _trial_jobs(arm, session.folder, session.using, free)

            def watch(running: list[Job], state: State = state, tuning: Tuning = tuning) -> None:
                state.running = [job.label for job in running]
                _count_trials(state, tuning)
                session.changed()

            def ended(outcome: Outcome, name: str = arm.name) -> None:
                if outcome.error:
                    session.watcher.told(f"{name}: {outcome.job.label} failed: {outcome.error}")

            outcomes = run_jobs(
                jobs, session.using.jobs, lock=session.lock, watch=watch, ended=ended
            )
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
        session.changed()
        if state.best is not None:
            session.watcher.told(f"{arm.name}: best of {state.trials[0]} trials {state.best:.1%}")


def _count_trials(state: State, tuning: Tuning) -> None:
    state.trials = (len(tuning.spent()), tuning.arm.trials)


def _conclude(state: State, tuning: Tuning) -> None:
    try:
        state.values, state.best = tuning.best()
    except RunError as error:
        state.failed["search"] = str(error)
    for number, reason in enumerate(tuning.failed(), 1):
        state.failed[f"trial (failure {number})"] = reason


def _trial_jobs(arm: Arm, folder: Path, resources: Resources, left: int) -> list[Job]:
    """The jobs of the remaining trials, shared out to as many processes as run at once."""
    workers = min(resources.jobs, left)
    of = f"-{session_name(os.getpid())}" if resources.storage else ""
    shares = [left // workers + (n < left % workers) for n in range(workers)]
    return [
        Job(
            f"search {number + 1}",
            {
                "kind": TRIALS,
                "trials": share,
                "threads": resources.threads,
                "functions": those_permitted(),
                "storage": resources.storage,
                "folder": str(folder.resolve()),
                "study": arm.model_dump(mode="json"),
            },
            folder / "jobs" / f"{arm.name}-search-{number + 1}{of}.json",
        )
        for number, share in enumerate(shares)
    ]
