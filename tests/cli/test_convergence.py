"""``lfp-snn convergence``."""

from __future__ import annotations

from pathlib import Path

from lfp_snn.analysis.study.seedrun import SeedRun
from tests.analysis.convergence.test_findings import cell
from tests.analysis.convergence.test_study import write
from tests.cli.conftest import Cli


def test_a_study_that_is_finished_is_told_again(cli: Cli, tmp_path: Path) -> None:
    config = write(tmp_path, rules={"epsilon": {}}, depths={"deep": {"model.hidden": [8, 8]}})
    for seed in range(2):
        finished = SeedRun(Path("runs/tiny"), "epsilon@deep", seed)
        finished.path.mkdir(parents=True)
        finished.write(cell(seed, 0.1, 0.6))
    Path("runs/tiny/plan.json").write_text("{}")
    done = cli("convergence", config, "--seeds", 2)
    assert done.exit_code == 0, done.output
    assert "is 0.60 at the output and" in " ".join(done.stdout.split())
    assert Path("runs/tiny/report.html").is_file()


def test_mistakes(cli: Cli, tmp_path: Path) -> None:
    done = cli("convergence", write(tmp_path), "convergence.evry=3")
    assert done.exit_code == 2
    assert "did you mean convergence.every" in done.stderr
    assert cli("validate", "convergence_digits").exit_code == 0
    done = cli("train", "convergence_digits")
    assert done.exit_code == 2
    assert "has a section convergence: run it with lfp-snn convergence" in done.stderr
