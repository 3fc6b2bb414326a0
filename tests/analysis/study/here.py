"""Jobs of studies without processes of their own, which take seconds to start."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from lfp_snn.analysis.study import jobs, worker
from lfp_snn.training.files import write_json

__all__ = ["jobs_here", "jobs_in_this_process"]


@dataclass(eq=False)
class _SimpleProcess:
    """What a study asks of a process; distinct from every other."""

    poll: Callable[[], int]
    returncode: int


def _start(job: jobs.Job, held: Any) -> Any:
    job.path.parent.mkdir(parents=True, exist_ok=True)
    write_json(job.path, dict(job.todo))
    with job.log.open("w") as log, redirect_stdout(log), redirect_stderr(log):
        code = worker.main(job.path)
    return _SimpleProcess(poll=lambda: code, returncode=code)


@contextmanager
def jobs_in_this_process() -> Iterator[None]:
    """Run jobs in this process, one after the other, and not in new ones."""
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "_start", _start)
        patch.setattr(jobs, "POLL_S", 0.0)
        patch.setattr(worker, "_die_with_the_parent", lambda: None)
        yield
    torch.set_num_threads(threads)


@pytest.fixture
def jobs_here() -> Iterator[None]:
    """:func:`jobs_in_this_process` for a test."""
    with jobs_in_this_process():
        yield
