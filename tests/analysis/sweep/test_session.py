"""A whole sweep, in processes of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lfp_snn.analysis.study.resources import Resources
from lfp_snn.analysis.sweep.session import sweep
from lfp_snn.analysis.sweep.study import SweepStudy
from tests.analysis.study.tiny import LR, Told, write


def test_a_sweep_shows_what_matters(tmp_path: Path) -> None:
    tune = {**LR, "learner.rule.eps": [0.01, 0.1, 1.0]}
    section = {"search": {"trials": 6, "epochs": 2}, "tune": tune}
    study = SweepStudy.load(write(tmp_path, sweep=section), [])
    findings, report = sweep(study, tmp_path / "out", Resources(2, 1), Told(), "tiny")
    assert set(findings.values) == set(tune) and 0 < findings.best <= 1
    html = report.read_text()
    assert "learner.rule.eps" in html
    found = json.loads((tmp_path / "out" / "results.json").read_text())
    if found["importance"]:
        assert sum(found["importance"].values()) == pytest.approx(1)
        assert (tmp_path / "out" / "figures" / "importance.png").is_file()
    trials = (tmp_path / "out" / "trials.csv").read_text().splitlines()
    assert len(trials) == 7
