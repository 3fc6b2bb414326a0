"""Fixtures and settings shared by all tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

# Before torch loads its OpenMP: threads of torch that spin while numba's work cost tests on a busy
# machine six times the time.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# Before Triton is loaded: where no device is, its kernels are interpreted.
if not Path("/proc/driver/nvidia").exists():
    os.environ.setdefault("TRITON_INTERPRET", "1")

import matplotlib as mpl
import pytest
import snntorch as snn
import torch
import typer
from hypothesis import settings

REPOSITORY = Path(__file__).resolve().parent.parent

mpl.use("Agg")
torch.set_num_threads(2)
# A busy machine is no failure: how long an example takes is nothing that a test decides on.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(autouse=True)
def _neurons_of_this_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """``snntorch.utils.reset`` resets every neuron ever made: of one test, those of no other."""
    monkeypatch.setattr(snn.SpikingNeuron, "instances", [])


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout that the tests run in."""
    return REPOSITORY


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Encoded data is kept for the session and neither found from before nor left behind.

    The processes of one session share it.
    """
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LFP_SNN_CACHE", str(root / "encoded"))
        yield


@pytest.fixture(scope="session", autouse=True)
def _commands_put_together_once() -> Iterator[None]:
    """The parser of the command line, which typer's runner would make anew for each call."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("typer.testing._get_command", cache(typer.main.get_command))
        yield


@pytest.fixture(scope="session", autouse=True)
def kinds_of_figures() -> Iterator[dict[str, tuple[str, ...]]]:
    """Figures are drawn once, as the SVG of their page: PNG and PDF take four times as long."""
    from lfp_snn.analysis import style

    kinds = style._METADATA
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(style, "_METADATA", {"svg": kinds["svg"]})
        yield kinds


@pytest.fixture(scope="session", autouse=True)
def reports_of_fit() -> Iterator[Callable[[Path], None]]:
    """Runs of ``fit`` end without their report, which takes ten times as long as a small one."""
    from lfp_snn.training.reporting import report_on

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lfp_snn.training.run.report_on", lambda _run: None)
        yield report_on


@pytest.fixture
def fit_reports(reports_of_fit: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of ``fit`` end as users get them, with a report."""
    monkeypatch.setattr("lfp_snn.training.run.report_on", reports_of_fit)


@pytest.fixture
def every_kind_of_figure(
    kinds_of_figures: dict[str, tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Figures as users get them, in every kind of file."""
    monkeypatch.setattr("lfp_snn.analysis.style._METADATA", kinds_of_figures)


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """A function from a dataset's folder name to its path; it skips the test where absent.

    The folder that holds the datasets is named by the environment variable LFP_SNN_TEST_DATA, by
    default ``../shared/data`` beside the checkout.
    """
    root = Path(os.environ.get("LFP_SNN_TEST_DATA", REPOSITORY.parent / "shared" / "data"))

    def find(name: str) -> Path:
        path = root / name
        if not path.exists():
            pytest.skip(f"no real data at {path}; set LFP_SNN_TEST_DATA to the folder with {name}")
        return path

    return find
