"""``lfp-snn export``, ``lfp-snn import`` and ``lfp-snn metrics``, which start from a run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from lfp_snn.analysis.exchange.integer import IntegerNetwork
from lfp_snn.analysis.exchange.weights import load_weights
from lfp_snn.cli import app
from lfp_snn.training import TrainedRun
from tests.cli.conftest import SMALL, Cli


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    result = CliRunner().invoke(app, ["train", "digits", *SMALL, "--out", str(out)])
    assert result.exit_code == 0, result.output
    return out


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A finished run of its own."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def test_nir_there_and_back(cli: Cli, run: Path) -> None:
    pytest.importorskip("nir", reason="the extra exchange is not installed")
    result = cli("export", run)
    assert result.exit_code == 0, result.output
    assert "other simulators set the membrane" in " ".join(result.output.split())
    before = json.loads((run / "result.json").read_text())["test_accuracy"]
    result = cli("import", run / "network.nir", "digits", *SMALL, "--json")
    assert json.loads(result.output)["test_accuracy"] == before
    result = cli("import", run / "network.nir")
    assert result.exit_code == 0
    assert "Leaky(subtract)" in result.output


def test_nothing_is_overwritten_unless_asked(cli: Cli, run: Path) -> None:
    (run / "network.safetensors").write_text("precious")
    result = cli("export", run, "--to", "safetensors")
    assert result.exit_code == 2
    assert "exists already" in result.stderr
    assert (run / "network.safetensors").read_text() == "precious"
    assert cli("export", run, "--to", "safetensors", "--force").exit_code == 0
    assert load_weights(run / "network.safetensors").classes == list("0123456789")


def test_onnx_goes_where_it_is_told(cli: Cli, run: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="the extra onnx is not installed")
    result = cli("export", run, "--to", "onnx", "--out", tmp_path / "mine.onnx")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "mine.onnx").stat().st_size > 1000


def test_int8_tells_accuracies_that_the_file_has(cli: Cli, run: Path) -> None:
    result = cli("export", run, "--to", "int8", "--finetune", "1")
    assert result.exit_code == 0, result.output
    integer = IntegerNetwork.load(run / "network.int8.npz")
    told = integer.info["test_accuracy"]
    assert f"{100 * told['int8']:.2f} %" in result.output
    test = TrainedRun.open(run).splits().test
    batch = test.batch(np.arange(len(test)))
    counts = integer.run(batch.x.dense().numpy()).sum(0)  # type: ignore[union-attr]
    share = (counts.argmax(1) == batch.labels.numpy()).mean()
    assert share == pytest.approx(told["int8"])


def test_fine_tuning_is_for_int8(cli: Cli, run: Path) -> None:
    result = cli("export", run, "--to", "nir", "--finetune", "1")
    assert result.exit_code == 2
    assert "--to int8" in result.stderr


def test_metrics_of_a_run(cli: Cli, run: Path) -> None:
    pytest.importorskip("neurobench", reason="the extra metrics is not installed")
    result = cli("metrics", run, "--samples", "20", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    assert 0 < found["effective_acs"] < found["synaptic_operations_dense"]
    assert found["energy"]["lfp_step_45nm"] < found["energy"]["bptt_dense_step_45nm"]
    result = cli("metrics", run, "--samples", "20")
    assert "ESTIMATED" in result.output
    assert f"{found['footprint']:,} bytes" in result.output


def test_metrics_of_more_samples_than_there_are(cli: Cli, run: Path) -> None:
    result = cli("metrics", run, "--samples", "1000000")
    assert result.exit_code == 2
    assert "but the test set has" in result.stderr
