"""A whole study, in processes of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from lfp_snn.analysis.convergence.session import converge
from lfp_snn.analysis.convergence.study import ConvergenceStudy
from lfp_snn.analysis.study.resources import Resources
from lfp_snn.errors import RunError
from tests.analysis.convergence.test_study import write
from tests.analysis.study.tiny import Told


@pytest.mark.slow
def test_finished_cells_stay(tmp_path: Path) -> None:
    broken = {"learner.name": "surrogate", "optimizer.lr": 1e38}
    config = write(
        tmp_path,
        rules={"epsilon": {}, "broken": broken},
        depths={"deep": {"model.hidden": [8, 8]}},
        every=2,
    )
    out = tmp_path / "out"

    def run() -> list[str]:
        told = Told()
        study = ConvergenceStudy.load(config, ["clip=null"])
        findings, report = converge(study, 1, out, Resources(2, 1), told, "tiny")
        assert report.is_file() and [case.rule for case in findings.finished] == ["epsilon"]
        assert "not finite" in findings.cases[1].failed["seed 0"]
        assert len(findings.cases[0].measured[0]["cosines"]) == 3
        return [line.partition(":")[0] for line in told.lines]

    assert sorted(run()) == ["broken@deep, seed 0 failed", "epsilon@deep, seed 0"]
    assert run() == ["broken@deep, seed 0 failed"]
    with pytest.raises(RunError, match="another every"):
        study = ConvergenceStudy.load(config, ["clip=null", "convergence.every=3"])
        converge(study, 1, out, Resources(2, 1), Told(), "tiny")
