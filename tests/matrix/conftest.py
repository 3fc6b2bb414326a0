"""A workspace with everything that commands ask for, made once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from lfp_snn.analysis.study import jobs, worker
from lfp_snn.training.files import write_json
from tests.conftest import REPOSITORY
from tests.matrix.datasets import lay_out
from tests.matrix.workspace import Workspace, lay_in


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Datasets, runs and recordings under the names that the documentation uses."""
    folder = tmp_path_factory.mktemp("workspace")
    real = Path(os.environ.get("LFP_SNN_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    lay_out(folder / "datasets", real)
    with pytest.MonkeyPatch.context() as patch:
        leave_out_reports(patch)
        return lay_in(folder, patch.chdir)


@pytest.fixture
def workspace(prepared: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, in which the test stands."""
    prepared.enter(tmp_path, monkeypatch.chdir)
    return tmp_path


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with nothing in it, in which the test stands."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def no_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings without their report, which takes six times as long as they do when tiny."""
    leave_out_reports(monkeypatch)


def leave_out_reports(patch: pytest.MonkeyPatch) -> None:
    """Let trainings end without one."""
    patch.setattr("lfp_snn.cli.train.write_report", lambda run: run / "report.html")


@pytest.fixture
def jobs_here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Jobs of comparisons run in this process, one after the other, and not in new ones."""

    def start(job: jobs.Job, held: Any) -> Any:
        job.path.parent.mkdir(parents=True, exist_ok=True)
        write_json(job.path, dict(job.todo))
        job.log.touch()
        code = worker.main(job.path)
        return SimpleProcess(poll=lambda: code, returncode=code)

    monkeypatch.setattr(jobs, "_start", start)
    monkeypatch.setattr(jobs, "POLL_S", 0.0)
    monkeypatch.setattr(worker, "_die_with_the_parent", lambda: None)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@dataclass(eq=False)
class SimpleProcess:
    """What a comparison asks of a process; distinct from every other."""

    poll: Callable[[], int]
    returncode: int
