"""The report of a run of ``fit``."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from lfp_snn.data import Splits
from lfp_snn.training import fit

SILENT = """
import sys
import torch
from torch import nn
import lfp_snn
lfp_snn.fit(nn.Sequential(nn.Linear(4, 2)), (torch.rand(8, 4), torch.arange(8) % 2), steps=1,
            epochs=1, calibrate=None, progress=False)
assert "matplotlib" not in sys.modules and "jinja2" not in sys.modules
"""


@pytest.mark.usefixtures("fit_reports")
def test_a_run_has_its_report_and_figures(
    net: nn.Module, splits: Splits, settings: dict[str, Any], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    result = fit(net, splits, out=run, **{**settings, "epochs": 1})
    page = (run / "report.html").read_text()
    assert f"{result.test_accuracy:.2%}" in page
    assert "rate_coded" in page
    assert {each.stem for each in (run / "figures").iterdir()} >= {"accuracy", "firing", "raster"}
    # It says how the run went on.
    fit(net, splits, out=run, resume=True, **{**settings, "epochs": 2})
    assert (run / "report.html").read_text() != page


def test_without_one_nothing_is_drawn(
    net: nn.Module, splits: Splits, settings: dict[str, Any], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    drawn: list[Path] = []
    monkeypatch.setattr("lfp_snn.training.run.report_on", drawn.append)
    short = {**settings, "epochs": 1}
    fit(net, splits, **short)
    fit(net, splits, out=tmp_path / "bare", report=False, **short)
    assert drawn == []
    fit(net, splits, out=tmp_path / "run", **short)
    assert drawn == [tmp_path / "run"]


def test_one_that_cannot_be_written_leaves_the_result(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, reports_of_fit: Callable[[Path], None]
) -> None:
    with caplog.at_level(logging.WARNING, "lfp_snn"):
        reports_of_fit(tmp_path)
    assert f"The report of {tmp_path} is not written: {tmp_path} is not a run" in caplog.text


def test_nothing_that_draws_is_imported_where_nothing_is_kept() -> None:
    subprocess.run([sys.executable, "-c", SILENT], check=True, capture_output=True)
