"""A whole sweep, whose jobs run here (tests/analysis/compare has processes)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lfp_snn.analysis.sweep.findings import gather
from lfp_snn.analysis.sweep.report import write_sweep
from lfp_snn.analysis.sweep.study import SweepStudy
from tests.analysis.study.tiny import LR, carry_out, write


@pytest.mark.usefixtures("jobs_here")
def test_a_sweep_shows_what_matters(tmp_path: Path) -> None:
    tune = {**LR, "learner.rule.eps": [0.01, 0.1, 1.0]}
    section = {"search": {"trials": 6, "epochs": 2}, "tune": tune}
    study = SweepStudy.load(write(tmp_path, sweep=section), [])
    findings, _ = carry_out(study, gather, write_sweep, tmp_path / "out", seeds=0)
    assert set(findings.values) == set(tune) and 0 < findings.best <= 1
    html = (tmp_path / "out" / "report.html").read_text()
    assert "learner.rule.eps" in html
    found = json.loads((tmp_path / "out" / "results.json").read_text())
    if found["importance"]:
        assert sum(found["importance"].values()) == pytest.approx(1)
        assert (tmp_path / "out" / "figures" / "importance.svg").is_file()
    trials = (tmp_path / "out" / "trials.csv").read_text().splitlines()
    assert len(trials) == 7
