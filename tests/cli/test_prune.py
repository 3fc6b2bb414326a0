"""``lfp-snn prune``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from lfp_snn.analysis.exchange.weights import load_weights
from lfp_snn.cli import app
from lfp_snn.training import TrainedRun
from tests.cli.conftest import SMALL, Cli


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two learners, each with a second seed that is a copy, and a run on other data."""
    folder = tmp_path_factory.mktemp("runs")
    for name in ("lfp", "surrogate"):
        changes = [f"learner={{name: {name}}}", "epochs=1", "--out", str(folder / f"{name}-0")]
        result = CliRunner().invoke(app, ["train", "digits", *SMALL, *changes])
        assert result.exit_code == 0, result.output
        copied(folder / f"{name}-0", folder / f"{name}-1", "\nseed: 0", "\nseed: 1")
    copied(folder / "lfp-1", folder / "other", "steps: 8", "steps: 9")
    return {path.name: path for path in sorted(folder.iterdir())}


def copied(run: Path, to: Path, old: str, new: str) -> None:
    """A run again, with another line in its config."""
    shutil.copytree(run, to)
    config = (to / "config.yaml").read_text()
    assert old in config
    (to / "config.yaml").write_text(config.replace(old, new, 1))


def test_learners_side_by_side(cli: Cli, runs: dict[str, Path]) -> None:
    paths = [path for name, path in runs.items() if name != "other"]
    done = cli("prune", *paths, "--shares", "0,0.5,0.9", "--draws", 2, "--samples", 10)
    assert done.exit_code == 0, done.output
    assert "That networks trained with lfp, rescale prune better than with surrogate" in " ".join(
        done.stdout.split()
    )
    found = json.loads(Path("runs/prune/results.json").read_text())
    assert [run["learner"] for run in found["runs"]] == ["lfp, rescale"] * 2 + ["surrogate"] * 2
    assert {each["criterion"] for each in found["differences"]} == {"magnitude", "relevance"}
    assert Path("runs/prune/report.html").is_file()


def test_two_rules_of_a_learner_are_told_apart_on_a_narrow_screen(
    cli: Cli, runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = []
    for rule in ("epsilon", "rescale"):
        paths.append(tmp_path / rule)
        shutil.copytree(runs["lfp-0"], paths[-1])
        config = yaml.safe_load((paths[-1] / "config.yaml").read_text())
        config["learner"]["rule"] = {"name": rule}
        (paths[-1] / "config.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.setenv("COLUMNS", "40")
    done = cli("prune", *paths, "--criteria", "magnitude", "--shares", "0,0.5,0.9",
               "--save", "0.5", "--out", "out")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert max(map(len, done.stdout.splitlines())) <= 40
    assert "\u2026" not in done.stdout  # nothing is cut
    assert "learner        lfp, rescale" in done.stdout
    saved = sorted(path.name for path in Path("out").glob("*.safetensors"))
    assert len(saved) == 2 and saved[-1] == "lfp-rescale-seed-0-magnitude-0.5.safetensors"


def test_a_pruned_network_trains_on_and_stays_pruned(cli: Cli, runs: dict[str, Path]) -> None:
    """LFP moves a weight by its own size: one of zero stays zero."""
    done = cli(
        "prune", runs["lfp-0"], "--criteria", "magnitude", "--scope", "layer",
        "--shares", "0,0.9", "--save", "0.75", "--out", "out",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    file = Path("out/lfp-rescale-seed-0-magnitude-0.75.safetensors")
    saved = load_weights(file).net
    start = {name: p.detach() for name, p in saved.named_parameters() if p.dim() > 1}
    whole = TrainedRun.open(runs["lfp-0"]).learner.net
    for name, weight in start.items():
        assert int((weight == 0).sum()) == round(0.75 * weight.numel())
        kept = weight != 0
        assert weight[kept].equal(whole.get_parameter(name).detach()[kept])
    done = cli("train", "digits", *SMALL, f"transfer={{source: {file}}}", "--out", "tuned")
    assert done.exit_code == 0, done.output
    tuned = TrainedRun.open("tuned").learner.net
    for name, weight in start.items():
        assert not weight.equal(tuned.get_parameter(name).detach())
        assert weight.eq(0).equal(tuned.get_parameter(name).detach().eq(0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lfp-0", "--criteria", "magnitud"), "--criteria has 'magnitud', which is not known; did"),
        (("lfp-0", "--scope", "neuron"), "expected global, layer"),
        (("lfp-0", "--shares", "0,half"), "--shares is '0,half'; expected numbers by commas"),
        (("lfp-0", "--shares", "0.5,0.9"), "expected numbers that rise from 0"),
        (("lfp-0", "other"), "another section data than"),
        (("nowhere",), "is not a run directory"),
        (("data.threshold=0.4",), "No RUN is named"),
        (("lfp-0", "data.treshold=0.4"), "did you mean"),
    ],
)
def test_mistakes(
    cli: Cli, runs: dict[str, Path], arguments: tuple[str, ...], message: str
) -> None:
    folder = runs["lfp-0"].parent
    given = [str(folder / each) if (folder / each).exists() else each for each in arguments]
    done = cli("prune", *given, "--out", "out")
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.split())
    assert not Path("out").exists()
