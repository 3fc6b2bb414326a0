"""Own recordings as papers split them: no validation part, a stretch of time, targets."""

from __future__ import annotations

import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lfp_snn.data import load
from lfp_snn.data.entries import find
from lfp_snn.data.formats import read_recording, write_recording
from lfp_snn.data.index import look, write_index
from lfp_snn.data.parts import draw_parts
from lfp_snn.data.recordings import between
from lfp_snn.errors import ConfigError, DataError
from lfp_snn.models import build
from lfp_snn.training import Result, fit, load_config
from lfp_snn.training.assembly import load_classes
from lfp_snn.training.rundir import RunDir
from tests.cli.conftest import Cli, cli  # noqa: F401 - the fixture
from tests.data.test_recordings import SIDE, recording

TRAIN = (
    "train", "digits", "data.name=recordings", "data.index=mine.json", "data.steps=5",
    "model.hidden=[8]", "epochs=3", "batch_size=4", "device=cpu", "calibrate=null",
)  # fmt: skip


IMPORT = (
    "data", "import", "mine", "--table", "numbers.csv", "--targets", "x,y",
    "--validate-by", "time", "--out", "mine.json",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two sessions of three recordings of each of two classes."""
    for label, name in enumerate(("left", "right")):
        (tmp_path / "mine" / name).mkdir(parents=True)
        for number in range(6):
            path = tmp_path / "mine" / name / f"r{number}.npy"
            write_recording(recording(label, number), path, "npy")
    lines = ["file,label,group,x,y"]
    for n, entry in enumerate(find(tmp_path / "mine")):
        x = 0.4 if entry.label == "left" else -0.4
        lines.append(f"{entry.file},{entry.label},session{n % 2},{x},0.1")
    (tmp_path / "table.csv").write_text("\n".join(lines))
    return tmp_path / "mine"


def index_of(folder: Path, **options: Any) -> Path:
    seen = look(folder, find(folder), lambda each: each)
    path = folder.parent / "index.json"
    write_index(path, folder, seen, draw_parts(seen.entries, 0, 0.25, 0), **options)
    return path


def test_two_sessions_train_without_validation(cli: Cli, folder: Path) -> None:  # noqa: F811
    done = cli("data", "import", folder, "--table", "table.csv", "--out", "mine.json")
    assert done.exit_code == 0, done.stderr
    assert "train 6, val 0, test 6" in done.stdout and "nothing validates" in done.stdout
    trained = cli(*TRAIN, "patience=1", "--out", "run")
    assert trained.exit_code == 0, trained.stderr
    told = " ".join(trained.stdout.split())
    assert "Nothing validates" in told and "none; the last epoch, 3, was tested" in told
    result = json.loads(Path("run/result.json").read_text())
    assert result["val_accuracy"] is None and result["best_epoch"] == 3
    assert len(Path("run/metrics.jsonl").read_text().splitlines()) == 3  # patience stops nothing
    page = Path("run/report.html").read_text()
    assert "last epoch: 3" in page and "weights of the last epoch were tested" in page
    read = Result.read(RunDir.open(Path("run")))
    assert math.isnan(read.val_accuracy) and not read.validated
    more = cli(*TRAIN, "patience=1", "epochs=4", "--out", "run", "--resume")
    assert more.exit_code == 0, more.stderr
    assert json.loads(Path("run/result.json").read_text())["best_epoch"] == 4
    assert cli("evaluate", "run").exit_code == 0
    config = load_config(Path("run/config.yaml"))
    assert len(load_classes(config).train) == 6
    with pytest.raises(ConfigError, match="this chooses by validation"):
        load_classes(config, validated=True)


def test_by_hand_too_the_last_weights_are_tested(folder: Path) -> None:
    splits = load("recordings", index=index_of(folder), steps=4)
    assert len(splits.val) == 0
    torch.manual_seed(0)
    net = build("mlp", (2, SIDE, SIDE), 2, hidden=[8])
    result = fit(net, splits, epochs=2, batch_size=4, patience=1)
    assert result.best_epoch == 2 and math.isnan(result.val_accuracy)
    assert any("Nothing validates" in warning for warning in result.warnings)
    assert [epoch["val_accuracy"] for epoch in result.metrics] == [None, None]


@pytest.mark.parametrize("storage", ["cached", "streamed"])
@pytest.mark.parametrize("window", [{}, {"window_ms": 10.0}])
def test_the_last_stretch_of_training_recordings_validates(
    folder: Path, storage: str, window: dict[str, Any]
) -> None:
    index = index_of(folder, validation_time=0.25)
    splits = load("recordings", index=index, steps=3, storage=storage, **window)
    files = [{re.sub("(@end)?#.*", "", name) for name in p.ids} for p in (splits.train, splits.val)]
    assert files[0] == files[1] and len(files[0]) == 9
    assert not set(splits.train.ids) & set(splits.val.ids)
    assert len(splits.train) == 9 * (7 if window else 1)
    assert len(splits.val) == 9 * (2 if window else 1)
    assert "last 0.25" in splits.info["validation"] and splits.info["skipped"] == 0
    assert len(load("recordings", index=index, steps=3, validation_time=0).val) == 0
    half = load("recordings", index=index, steps=3, storage=storage, validation_time=0.5)
    first = half.train.batch(range(9)).x
    assert not torch.equal(first.dense(), splits.train.batch(range(9)).x.dense())  # type: ignore[union-attr]


def test_stretches_meet_without_overlap(folder: Path) -> None:
    events = read_recording(folder / "left" / "r0.npy")
    head, tail = between(events, 0.0, 0.7), between(events, 0.7, 1.0)
    assert len(head) + len(tail) == len(events) and head.t.max() < tail.t.min()
    assert abs((tail.t.min() - events.t.min()) / np.ptp(events.t) - 0.7) < 0.02
    with pytest.raises(DataError, match="no events between"):
        between(head, 0.99999, 0.999991)


def test_validation_by_time_from_the_command_line(cli: Cli, folder: Path) -> None:  # noqa: F811
    done = cli("data", "import", folder, "--validate-by", "time", "--validation", "0.25",
               "--table", "table.csv", "--out", "mine.json")  # fmt: skip
    assert done.exit_code == 0 and "the last 0.25 of the time of train" in done.stdout
    assert "nothing validates" not in done.stdout
    trained = cli(*TRAIN, "--out", "run")
    assert trained.exit_code == 0, trained.stderr
    assert json.loads(Path("run/result.json").read_text())["samples"]["val"] == 6
    assert "last 0.25 of the time" in Path("run/report.html").read_text()


def test_an_index_moves_with_its_folder_or_is_pointed_elsewhere(
    folder: Path, tmp_path: Path
) -> None:
    index = index_of(folder)
    before = load("recordings", index=index, steps=3)
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    shutil.move(folder, moved / "mine")
    with pytest.raises(DataError, match=r"is missing; .* with root"):
        load("recordings", index=index, steps=3)
    pointed = load("recordings", root=moved / "mine", index=index, steps=3)
    shutil.move(index, moved / "index.json")
    together = load("recordings", index=moved / "index.json", steps=3)
    for now in (pointed, together):
        assert now.train.ids == before.train.ids
        x, y = (each.train.batch(range(9)).x.dense() for each in (now, before))  # type: ignore[union-attr]
        assert torch.equal(x, y)


def test_targets_are_learnt(cli: Cli, folder: Path) -> None:  # noqa: F811
    text = Path("table.csv").read_text().splitlines()
    rows = [line.split(",") for line in text]
    Path("numbers.csv").write_text("\n".join(",".join([r[0], r[2], *r[3:]]) for r in rows))
    done = cli(*IMPORT)
    assert done.exit_code == 0 and "none, but 2 targets" in done.stdout, done.stderr
    refused = cli(*TRAIN, "--out", "no")
    assert refused.exit_code == 2 and "membrane_target" in refused.stderr
    options = ("learner.reward.name=membrane_target", "optimizer.lr=0.02", "epochs=30")
    trained = cli(*TRAIN, *options, "--out", "run")
    assert trained.exit_code == 0, trained.stderr
    assert "test error" in trained.stdout and "val error" in trained.stdout
    result = json.loads(Path("run/result.json").read_text())
    assert result["test_accuracy"] is None and result["classes"] == ["x", "y"]
    errors = [
        json.loads(e)["val_error"] for e in Path("run/metrics.jsonl").read_text().split("\n")[:-1]
    ]
    assert result["val_error"] == min(errors) < 0.6 * errors[0]
    assert result["test_error"] < 0.25  # the spread of the targets is 0.28
    assert "Test error" in Path("run/report.html").read_text()
    tested = cli("evaluate", "run", "--json")
    assert json.loads(tested.stdout)["test_error"] == pytest.approx(result["test_error"])
    left, right = (
        json.loads(cli("predict", "run", folder / name / "r0.npy", "--json").stdout)["targets"]
        for name in ("left", "right")
    )
    assert left["x"] > 0.1 and right["x"] < -0.1
    lines = Path("numbers.csv").read_text().replace("0.1", "0.2", 1)
    Path("numbers.csv").write_text(lines)
    Path("mine.json").unlink()
    assert cli(*IMPORT).exit_code == 0
    other = cli(*TRAIN, *options, "epochs=31", "--out", "run", "--resume")
    assert other.exit_code == 2 and "the targets of its train part" in other.stderr
    refused = cli("metrics", "run")
    assert refused.exit_code == 2 and "targets and no classes" in refused.stderr


def test_targets_are_learnt_beside_a_label(cli: Cli, folder: Path) -> None:  # noqa: F811
    shutil.copy("table.csv", "numbers.csv")
    assert Path("numbers.csv").read_text().startswith("file,label,")
    done = cli(*IMPORT)
    assert done.exit_code == 0 and "none, but 2 targets" in done.stdout, done.stderr
    content = json.loads(Path("mine.json").read_text())
    assert content["classes"] == content["targets"] == ["x", "y"]
    splits = load("recordings", index="mine.json", steps=3)
    assert splits.train.is_regression and splits.train.batch([0]).targets is not None


def test_import_and_check_warn(cli: Cli, folder: Path) -> None:  # noqa: F811
    (folder / "empty").mkdir()
    (folder / "rare").mkdir()
    odd = recording(0, 1)
    odd.t[:] = 5
    write_recording(odd, folder / "rare" / "one.npy", "npy")
    done = cli("data", "import", folder, "--dry")
    told = done.stdout
    assert "empty has no recordings" in told and "the class rare has one recording" in told
    assert "rare/one.npy: it has zero duration" in told and done.exit_code == 0
    checked = cli("data", "check", folder)
    assert checked.exit_code == 0
    assert "empty has no recordings" in checked.stdout and "zero duration" in checked.stdout


def test_classes_and_targets_do_not_mix(folder: Path) -> None:
    index = index_of(folder)
    splits = load("recordings", index=index, steps=3)
    assert splits.train.targets is None and not splits.train.is_regression
    aiming = splits.train.aiming_at(np.zeros((12, 1), np.float32))
    assert aiming.batch([0]).targets is not None and not aiming.is_regression
    content = json.loads(index.read_text())
    content["files"][0]["targets"] = [1.0]
    index.write_text(json.dumps(content))
    with pytest.raises(DataError, match="other targets"):
        load("recordings", index=index, steps=3)
    content["files"][0] = {**content["files"][0], "targets": [], "part": "val"}
    index.write_text(json.dumps(content))
    with pytest.raises(DataError, match="has recordings to validate"):
        load("recordings", index=index, steps=3, validation_time=0.5)


def test_earlier_indices_are_read(folder: Path) -> None:
    index = index_of(folder)
    content = json.loads(index.read_text())
    for key in ("from_here", "targets", "validation_time"):
        del content[key]
    for each in content["files"]:
        del each["targets"]
    index.write_text(json.dumps(content))
    assert len(load("recordings", index=index, steps=3).train) == 9
