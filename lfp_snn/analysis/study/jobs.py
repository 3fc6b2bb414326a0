"""Jobs in several processes at a time, watched until all have ended."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from lfp_snn.training.files import write_json

__all__ = ["TRIALS", "Job", "Outcome", "run_jobs"]

#: The kind of a job that searches; that of a job that trains a seed is the section of its study.
TRIALS = "trials"

POLL_S = 0.3
_LONGEST_REASON = 400


@dataclass(frozen=True)
class Job:
    """A job for a worker process.

    Args:
        label: the name of the job where it is shown.
        todo: the content of the job file.
        path: the path of the job file; what the process prints goes beside it.
        claim: a function that opens a file which the process holds as long as it lives; the job is
            left out if it gives ``None``, since another session has the job or has done it.
    """

    label: str
    todo: Mapping[str, Any]
    path: Path
    claim: Callable[[], BinaryIO | None] | None = None

    @property
    def log(self) -> Path:
        """The path of what the process prints."""
        return self.path.with_suffix(".log")


@dataclass(frozen=True)
class Outcome:
    """The outcome of a job; ``error`` is ``None`` if it ended well."""

    job: Job
    error: str | None


def run_jobs(
    jobs: Iterable[Job],
    at_once: int,
    *,
    lock: BinaryIO,
    watch: Callable[[list[Job]], None],
    ended: Callable[[Outcome], None],
) -> list[Outcome]:
    """Run jobs in order, several at once, each in a process of its own.

    Args:
        jobs: the jobs.
        at_once: the number of processes at a time.
        lock: an open file that every process keeps open.
        watch: a function that is told several times a second which jobs run.
        ended: a function that is told of each job as it ends.

    Returns:
        The outcomes of the jobs, in the order of ending.

    Raises:
        KeyboardInterrupt: Ctrl-C; the processes were asked to stop and have.
    """
    waiting, running = deque(jobs), dict[subprocess.Popen[bytes], Job]()
    outcomes: list[Outcome] = []
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                job = waiting.popleft()
                with ExitStack() as held:  # from here on by the process alone
                    claim = None if job.claim is None else job.claim()
                    if claim is not None:
                        held.enter_context(claim)
                    if claim is not None or job.claim is None:
                        running[_start(job, [lock, *([claim] if claim else [])])] = job
            watch(list(running.values()))
            time.sleep(POLL_S)
            for process in [each for each in running if each.poll() is not None]:
                outcome = _outcome(running.pop(process), process.returncode)
                outcomes.append(outcome)
                ended(outcome)
    except KeyboardInterrupt:
        _stop(running)
        raise
    return outcomes


def _start(job: Job, held: Sequence[BinaryIO]) -> subprocess.Popen[bytes]:
    job.path.parent.mkdir(parents=True, exist_ok=True)
    write_json(job.path, dict(job.todo))
    with job.log.open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "lfp_snn.analysis.study.worker", str(job.path)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=[each.fileno() for each in held],
            start_new_session=True,  # Ctrl-C reaches it from here, once
        )


def _stop(running: Mapping[subprocess.Popen[bytes], Job]) -> None:
    """Let every process end its step and save."""
    for process in running:
        process.send_signal(signal.SIGINT)
    for process in running:
        process.wait()


def _outcome(job: Job, code: int) -> Outcome:
    if code == 0:
        return Outcome(job, None)
    lines = job.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    reason = lines[-1].removeprefix("error: ")[:_LONGEST_REASON] if lines else "it printed nothing"
    if code < 0:
        reason = f"killed by {signal.Signals(-code).name}; {reason}"
    return Outcome(job, f"{reason} (exit code {code}; see {job.log.name})")
