"""A workspace with everything that commands ask for, made once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.analysis.study.here import jobs_here
from tests.conftest import REPOSITORY
from tests.data.helpers import few_digits
from tests.matrix.datasets import lay_out
from tests.matrix.workspace import Workspace, lay_in

__all__ = ["jobs_here"]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Datasets, runs and recordings under the names that the documentation uses."""
    folder = tmp_path_factory.mktemp("workspace")
    real = Path(os.environ.get("LFP_SNN_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    lay_out(folder / "datasets", real)
    with pytest.MonkeyPatch.context() as patch, few_digits():
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
    """Trainings and comparisons without their report, which takes six times as long when tiny."""
    leave_out_reports(monkeypatch)


def leave_out_reports(patch: pytest.MonkeyPatch) -> None:
    """Let trainings and comparisons end without one."""
    patch.setattr("lfp_snn.cli.train.write_report", lambda run: run / "report.html")
    patch.setattr("lfp_snn.cli.compare.write_comparison", lambda _, out, __: out / "report.html")


@pytest.fixture(scope="module", autouse=True)
def _little_work() -> Iterator[None]:
    """Few digits, few samples counted and steps timed, for the files of this folder alone."""
    with few_digits(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("lfp_snn.analysis.measures.STEPS_TIMED", 1)
        patch.setattr("lfp_snn.analysis.compare.seed.SAMPLES_COUNTED", 5)
        yield
