from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from lfp_snn.analysis.bench import suite
from lfp_snn.analysis.bench.contenders import OURS, Ours, OursOnTorch
from lfp_snn.analysis.bench.peers import SnnTorch
from lfp_snn.analysis.bench.sweeps import SWEEPS
from lfp_snn.analysis.bench.timing import Comparison
from lfp_snn.cli import app
from lfp_snn.cli.bench import Quantity
from lfp_snn.cli.bench_tables import outcome

run = CliRunner().invoke


def test_quick_prints_everyone_and_writes_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suite, "EVERYONE", (Ours, OursOnTorch, SnnTorch))
    folder = tmp_path / "new" / "bench"
    result = run(app, ["bench", "--quick", "--out", str(folder)])
    assert result.exit_code == 0, result.output
    for name in (OURS, OursOnTorch.name, SnnTorch.name):
        assert result.output.count(name) == 2  # mlp and csnn
    assert "pass" not in result.output
    record = json.loads((folder / "bench.json").read_text())
    assert record["steps"].keys() == {"mlp", "csnn"}
    assert record["machine"]["threads"] == 2


def test_a_sweep_shows_the_slope(tmp_path: Path) -> None:
    result = run(app, ["bench", "--quick", "--sweep", "width", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "slope" in result.output
    assert (tmp_path / "bench-width.svg").exists()


def test_every_sweep_can_be_asked_for() -> None:
    assert [quantity.value for quantity in Quantity] == list(SWEEPS)


def test_missing_data_is_told_in_a_line(tmp_path: Path) -> None:
    result = run(app, ["bench", "mnist-epoch", "--root", str(tmp_path)])
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ") and "MNIST" in result.stderr


def test_a_folder_that_cannot_be_made_is_told_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = run(app, ["bench", "--out", str(tmp_path / "file")])
    assert result.exit_code == 2 and "cannot be made" in result.stderr


def test_one_that_is_left_out_is_shown_with_the_reason() -> None:
    facts = {"model": "mlp", "batch": 2, "steps": 3, "input_activity": 0.1, "input": "none"}
    comparison = Comparison(facts, {}, {"lfprop": "does not import: no lxt"}, 9, 2, (0, 0))
    table = outcome(comparison)
    assert not isinstance(table, str)
    assert [*table.columns[0].cells] == ["lfprop"]
    assert "no lxt" in str([*table.columns[1].cells])


def test_a_device_is_measured_beside_its_roofline(tmp_path: Path) -> None:
    result = run(app, ["bench", "--quick", "--device", "cpu", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "roofline" in result.output and "GB/s" in result.output
    record = json.loads((tmp_path / "bench-device.json").read_text())
    assert record["steps"].keys() == {"mlp", "csnn"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("device", ["cuda", "nothing"])
def test_a_device_that_is_not_there_is_told_in_a_line(device: str) -> None:
    result = run(app, ["bench", "--quick", "--device", device])
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ") and device in result.stderr
