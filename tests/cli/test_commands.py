"""Every command: what it does, what it prints, and with which code it exits."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from lfp_snn import __version__
from lfp_snn.errors import RunError
from lfp_snn.training import TrainedRun
from tests.cli.conftest import SMALL, Cli


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    from typer.testing import CliRunner

    from lfp_snn.cli import app

    out = tmp_path_factory.mktemp("runs") / "run"
    result = CliRunner().invoke(app, ["train", "digits", *SMALL, "--out", str(out)])
    assert result.exit_code == 0, result.output
    out.with_suffix(".txt").write_text(result.output)
    return out


def test_train_ends_with_a_table_and_a_report(run: Path) -> None:
    printed = run.with_suffix(".txt").read_text()
    assert "simulated" in printed
    assert "epoch 1/2" in printed
    assert "epoch 2/2" in printed
    assert "firing Leaky 16 (2): " in printed
    assert "test accuracy" in printed
    assert "report.html" in printed
    assert (run / "report.html").stat().st_size > 1000
    result = json.loads((run / "result.json").read_text())
    assert 0 <= result["test_accuracy"] <= 1
    assert {"val_accuracy", "seed", "wall_s"} <= set(result)
    assert "baseline" not in result


def test_the_run_holds_the_resolved_config(run: Path) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["model"]["hidden"] == [16]
    assert config["data"]["mismatch"] == 0.1
    assert config["optimizer"]["lr"] == 0.01


def test_train_refuses_a_directory_that_is_there(cli: Cli, run: Path) -> None:
    before = (run / "result.json").read_bytes()
    result = cli("train", "digits", *SMALL, "--out", run)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert "exists already" in result.stderr
    assert result.stderr.count("\n") == 1
    assert (run / "result.json").read_bytes() == before


def test_resuming_a_finished_run_shows_its_result(cli: Cli, run: Path) -> None:
    result = cli("train", run / "config.yaml", "--out", run, "--resume")
    assert result.exit_code == 0, result.output
    assert "test accuracy" in result.output
    assert "epoch" not in result.output.partition("test accuracy")[0]


def test_a_training_is_watched_where_it_says(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    def look(*_: object, observers: Sequence[Any], **__: object) -> None:
        with urllib.request.urlopen(observers[-1].url, timeout=5) as answer:
            asked.append(answer.read())
        raise RunError("told by the test.")

    monkeypatch.setattr("lfp_snn.cli.train.run_training", look)
    result = cli("train", "digits", *SMALL, "--out", "watched", "--watch", "--port", 0)
    assert "told by the test" in result.stderr
    assert re.search(r"^watch: http://127\.0\.0\.1:\d+/$", result.output, re.M)
    assert b"<h1>watched</h1>" in asked[0]


def test_a_page_that_cannot_be_served_starts_no_training(cli: Cli, tmp_path: Path) -> None:
    alone = cli("train", "digits", *SMALL, "--port", 8000)
    assert (alone.exit_code, alone.stderr) == (2, "error: --port is for --watch.\n")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = cli("train", "digits", *SMALL, "--out", "run", "--watch", "--port", port)
    assert result.exit_code == 2
    assert f"--port {port} of 127.0.0.1 cannot be listened on" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_run_directory_is_named_after_the_config(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lfp_snn.cli.train.run_training", _fail)
    result = cli("train", "digits", *SMALL)
    assert result.exit_code == 2
    assert "run: runs/digits-20" in result.output


def _fail(*_: Any, **__: Any) -> None:
    raise RunError("two\nlines.")


def test_an_error_is_one_line(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lfp_snn.cli.train.run_training", _fail)
    assert cli("train", "digits", *SMALL).stderr == "error: two lines.\n"


def test_ctrl_c_exits_with_130_and_says_how_to_go_on(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lfp_snn.training.display import Display

    def press(self: Display, report: Any) -> None:
        if report.step == 2:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Display, "stepped", press)
    result = cli("train", "digits", *SMALL, "--out", "run")
    assert result.exit_code == 130
    assert result.stderr.startswith("error: Stopped in epoch 1, step 2 and saved")
    command = result.stderr.strip().partition("lfp-snn ")[2].split()
    monkeypatch.setattr(Display, "stepped", lambda self, report: None)
    resumed = cli(*command)
    assert resumed.exit_code == 0, resumed.output
    assert "resumed in epoch 1, after step 2" in resumed.output
    assert len(Path("run/metrics.jsonl").read_text().splitlines()) == 2


def test_baseline_is_put_beside_the_result(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lfp_snn.analysis.baseline.logistic_baseline", lambda splits: 0.875)
    result = cli("train", "digits", *SMALL, "baseline=true", "epochs=1", "--out", "run")
    assert result.exit_code == 0, result.output
    assert "87.50 %" in result.output
    written = json.loads(Path("run/result.json").read_text())
    assert written["baseline"] == {
        "name": "logistic regression on events summed over time",
        "test_accuracy": 0.875,
    }


def test_evaluate_finds_the_accuracy_again(cli: Cli, run: Path) -> None:
    expected = json.loads((run / "result.json").read_text())
    result = cli("evaluate", run, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {
        "test_accuracy": expected["test_accuracy"],
        "test_ties": expected["test_ties"],
    }
    assert f"{100 * expected['test_accuracy']:.2f} %" in cli("evaluate", run).output


def test_evaluate_takes_overrides(cli: Cli, run: Path) -> None:
    assert cli("evaluate", run, "batch_size=7").exit_code == 0
    assert "did you mean" in cli("evaluate", run, "batch_sise=7").stderr


def test_evaluate_of_what_is_no_run(cli: Cli, tmp_path: Path) -> None:
    result = cli("evaluate", tmp_path)
    assert result.exit_code == 2
    assert "is not a run directory" in result.stderr


def test_predict_a_recording(cli: Cli, run: Path, tmp_path: Path) -> None:
    recording = tmp_path / "one.bin"
    recording.write_bytes(events(300))
    result = cli("predict", run, recording, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert set(told["counts"]) == {str(digit) for digit in range(10)}
    assert told["counts"][told["class"]] == max(told["counts"].values())
    plain = cli("predict", run, recording).stdout
    assert plain.startswith(f"class {told['class']}")


SHIFTED = "data.augment=[{name: shift, pixels: 3}, {name: crop_time, share: 0.5}]"


def test_copies_vote(cli: Cli, run: Path, tmp_path: Path) -> None:
    recording = tmp_path / "one.bin"
    recording.write_bytes(events(300))
    alone = json.loads(cli("predict", run, recording, SHIFTED, "--json").stdout)
    assert alone == json.loads(cli("predict", run, recording, "--json").stdout)
    result = cli("predict", run, recording, SHIFTED, "--votes", "4", "--json")
    assert result.exit_code == 0, result.output
    voted = json.loads(result.stdout)
    trained = TrainedRun.open(run, [SHIFTED])
    counts = [trained.learner.counts(each)[0] for each in trained.copies(recording, 4)]
    mean = torch.stack(counts).mean(0)
    assert list(voted["counts"].values()) == pytest.approx(mean.tolist())
    assert voted["class"] == str(int(mean.argmax()))
    result = cli("evaluate", run, SHIFTED, "--votes", "2", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["votes"] == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((), "2 copies of each sample shall vote, but they are all alike"),
        (("data.augment=[{name: mix}]",), "data.augment has mix, which puts a part of another"),
    ],
)
def test_copies_that_cannot_vote_are_refused(
    cli: Cli, run: Path, tmp_path: Path, change: Sequence[str], message: str
) -> None:
    recording = tmp_path / "one.bin"
    recording.write_bytes(events(300))
    for words in (("predict", run, recording), ("evaluate", run)):
        result = cli(*words, *change, "--votes", "2")
        assert result.exit_code == 2
        assert message in " ".join(result.stderr.split())


def events(count: int) -> bytes:
    """A recording in the format of N-MNIST: x, y, then polarity and 23 bits of microseconds."""
    rows = bytearray()
    for n in range(count):
        time = 1000 * n
        rows += bytes([n * 7 % 34, n * 11 % 34, (n % 2) << 7 | time >> 16])
        rows += bytes([time >> 8 & 255, time & 255])
    return bytes(rows)


@pytest.mark.parametrize("content", [None, b"", b"abc"])
def test_predict_a_broken_recording(
    cli: Cli, run: Path, tmp_path: Path, content: bytes | None
) -> None:
    recording = tmp_path / "one.bin"
    if content is not None:
        recording.write_bytes(content)
    result = cli("predict", run, recording)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert "one.bin" in result.stderr


def test_ls_lists_every_kind_with_explanations(cli: Cli) -> None:
    everything = cli("ls").stdout
    for name in ("digits", "nmnist_csnn", "mlp", "mnist", "lfp", "epsilon", "rate_coded"):
        assert name in everything
    models = cli("ls", "models").stdout
    assert "csnn" in models
    assert "rate_coded" not in models
    assert cli("ls", "nonsense").exit_code == 2


def test_cp_copies_once(cli: Cli, tmp_path: Path, repository: Path) -> None:
    assert cli("cp", "digits").exit_code == 0
    copied = (tmp_path / "digits.yaml").read_text()
    assert copied == (repository / "configs" / "digits.yaml").read_text()
    again = cli("cp", "digits")
    assert again.exit_code == 2
    assert "exists already" in again.stderr
    assert cli("cp", "digits", "mine.yaml").exit_code == 0
    (tmp_path / "folder").mkdir()
    assert cli("cp", "digits", "folder").exit_code == 0
    assert (tmp_path / "folder" / "digits.yaml").read_text() == copied
    assert "cannot be written" in cli("cp", "digits", "nowhere/x.yaml").stderr


@pytest.mark.parametrize("name", ["digits_layers", "compare_digits"])
def test_cp_full_writes_every_field(cli: Cli, tmp_path: Path, name: str) -> None:
    assert cli("cp", name, "full.yaml", "--full").exit_code == 0
    text = (tmp_path / "full.yaml").read_text()
    assert "\nbatch_size: 50 " in text and "# the number of samples in a step" in text
    short = yaml.safe_load(cli("show", name, "--config").stdout)
    assert yaml.safe_load(text) == short
    assert "is valid" in cli("validate", "full.yaml").stdout


def test_show_config_prints_the_resolved_one(cli: Cli) -> None:
    shown = yaml.safe_load(cli("show", "digits", "epochs=7", "--config").stdout)
    assert (shown["epochs"], shown["optimizer"]["name"]) == (7, "adam")


def test_validate(cli: Cli, tmp_path: Path) -> None:
    assert "is valid" in cli("validate", "digits").stdout
    assert "is valid" in cli("validate", "compare_digits").stdout
    assert "is valid" in cli("validate", "sweep_digits", "sweep.search.trials=3").stdout
    assert "did you mean" in cli("validate", "sweep_digits", "sweep.search.trialz=3").stderr
    assert "run it with lfp-snn compare" in cli("train", "compare_digits").stderr
    wrong = cli("validate", "digits", "epochz=3")
    assert wrong.exit_code == 2
    assert "did you mean epochs?" in wrong.stderr
    (tmp_path / "mine.yaml").write_text("name: [")
    broken = cli("validate", "mine.yaml")
    assert broken.exit_code == 2
    assert "mine.yaml, line 1" in broken.stderr
    missing = cli("validate", "digit")
    assert missing.exit_code == 2
    assert "did you mean digits?" in missing.stderr


def test_usage(cli: Cli) -> None:
    assert cli("--version").stdout.strip() == __version__
    assert cli("train").exit_code == 2
    assert cli("nonsense").exit_code == 2
    assert cli("train", "digits", "--resume").exit_code == 2


def test_show_has_a_row_for_every_layer(cli: Cli) -> None:
    result = cli("show", "nmnist_resnet", "--input", "2x34x34", "model.width=1.0")
    assert result.exit_code == 0, result.output
    assert "lif_resnet for inputs of 2 x 34 x 34, 10 classes" in result.output
    rows = {line.split()[0]: line.split()[1:] for line in result.output.splitlines()}
    assert rows["6.shortcut.0"][:4] == ["Conv2d", "250x8x8", "weight", "250x150x1x1"]
    assert rows["maximum"][:2] == ["Maximum", "250x8x8"]
    assert rows["11"][:4] == ["Linear", "10", "weight", "10x1800"]
    assert "1,235,000 parameters" in result.output


def test_show_takes_the_shape_of_the_data(cli: Cli) -> None:
    result = cli("show", "digits_layers", "data.steps=8")
    assert result.exit_code == 0, result.output
    assert "layers for inputs of 2 x 34 x 34, 10 classes" in result.output
    assert "2.residual.1" in result.output


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("digits", "--input", "2x0x3"), "--input is '2x0x3'; expected sizes such as 2x34x34"),
        (("nmnist_lifcnn", "--input", "2x9x9"), "lifcnn needs maps of at least 16 x 16"),
        (
            ("digits_layers", "--input", "2x34x34", "--classes", "3", "model.layers=[lif]"),
            "layers[0], the output, has the shape 2 x 34 x 34",
        ),
    ],
)
def test_show_says_what_does_not_fit(cli: Cli, arguments: tuple[str, ...], problem: str) -> None:
    result = cli("show", *arguments)
    assert result.exit_code == 2
    assert problem in result.stderr
