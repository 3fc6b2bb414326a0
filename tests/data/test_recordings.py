"""One's own recordings: found, split without leakage, cut, trained on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lfp_snn.data import load
from lfp_snn.data.entries import Entry, find, read_table
from lfp_snn.data.events import Events
from lfp_snn.data.formats import Layout, write_recording
from lfp_snn.data.index import look, write_index
from lfp_snn.data.parts import draw_parts
from lfp_snn.data.recordings import cut
from lfp_snn.errors import DataError
from lfp_snn.models import build
from lfp_snn.training import fit
from tests.cli.conftest import Cli, cli  # noqa: F401 - the fixture

SIDE = 8


def recording(label: int, seed: int, count: int = 300) -> Events:
    """Class 0 on the left, class 1 on the right."""
    rng = np.random.default_rng([label, seed])
    x = rng.integers(0, SIDE // 2, count) + label * SIDE // 2
    y = rng.integers(0, SIDE, count)
    x[0], y[0] = (SIDE - 1) * label, SIDE - 1
    t = np.sort(rng.integers(0, 100_000, count))
    p = rng.integers(0, 2, count)
    return Events(x.astype(np.int16), y.astype(np.int16), t, p.astype(np.uint8), (2, SIDE, SIDE))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """20 recordings of two classes in as many formats as there are."""
    kinds = [("npy", ".npy"), ("table", ".csv"), ("bin", ".bin"), ("aedat4", ".aedat4")]
    for label, name in enumerate(("left", "right")):
        (tmp_path / "mine" / name).mkdir(parents=True)
        for number in range(10):
            kind, suffix = kinds[number % len(kinds)]
            path = tmp_path / "mine" / name / f"r{number}{suffix}"
            write_recording(recording(label, number), path, kind)
    (tmp_path / "mine" / "notes.md").write_text("x")
    return tmp_path / "mine"


def index_of(folder: Path, entries: list[Entry] | None = None) -> Path:
    seen = look(folder, entries or find(folder), lambda each: each)
    path = folder.parent / "index.json"
    write_index(path, folder, seen, draw_parts(seen.entries, 0.25, 0.2, 0))
    return path


def test_a_folder_is_read_and_learnt(folder: Path) -> None:
    splits = load("recordings", index=index_of(folder), steps=5)
    assert [len(part) for part in (splits.train, splits.val, splits.test)] == [12, 4, 4]
    assert splits.train.classes == ("left", "right")
    assert splits.train.feature_shape == (2, SIDE, SIDE)
    assert splits.info["skipped"] == 0
    for part in (splits.train, splits.val, splits.test):
        assert sorted(np.bincount(part.labels)) == [len(part) // 2] * 2
    torch.manual_seed(0)
    net = build("mlp", (2, SIDE, SIDE), 2, hidden=[16])
    result = fit(net, splits, epochs=10, batch_size=4, optimizer={"lr": 0.01}, calibrate=0.1)
    assert result.test_accuracy == 1.0


@pytest.mark.parametrize("window", [{"window_ms": 20.0}, {"window_events": 60}])
def test_windows_stay_in_the_part_of_their_recording(folder: Path, window: dict[str, Any]) -> None:
    splits = load("recordings", index=index_of(folder), steps=3, **window)
    files = [
        {name.split("#")[0] for name in part.ids}
        for part in (splits.train, splits.val, splits.test)
    ]
    assert [len(each) for each in files] == [12, 4, 4]
    assert not files[0] & files[1] and not files[0] & files[2] and not files[1] & files[2]
    assert len(splits.train) >= 12 * 4
    assert splits.train.ids[0].endswith("#0") and splits.train.ids[1].endswith("#1")


def test_groups_stay_together(folder: Path, tmp_path: Path) -> None:
    lines = ["file,label,group"]
    entries = find(folder)
    lines += [f"{e.file},{e.label},subject{n % 5}" for n, e in enumerate(entries)]
    (tmp_path / "table.csv").write_text("\n".join(lines))
    listed = read_table(tmp_path / "table.csv", folder)
    parted = draw_parts(listed, 0.25, 0.2, seed=3)
    by_group = {entry.group: set[str]() for entry in parted}
    for entry in parted:
        by_group[entry.group].add(entry.part)
    assert all(len(parts) == 1 for parts in by_group.values())
    assert {entry.part for entry in parted} == {"train", "val", "test"}


def test_cutting_by_time_and_by_count() -> None:
    t = np.array([0, 5, 9, 10, 30, 31, 39])
    zeros = np.zeros(7, np.int16)
    events = Events(zeros, zeros, t, zeros.astype(np.uint8), (2, 1, 1))
    windows = cut(events, window_ms=0.01, window_events=None)  # 10 us
    assert np.diff(windows.offsets).tolist() == [3, 1, 3]  # 20 to 30 is empty
    windows = cut(events, None, window_events=3)
    assert np.diff(windows.offsets).tolist() == [3, 3] and windows.t.tolist() == t[:6].tolist()
    assert cut(events, None, None) is events
    with pytest.raises(DataError, match="shorter than a window"):
        cut(events, 1.0, None)
    back = Events(zeros, zeros, t[::-1].copy(), zeros.astype(np.uint8), (2, 1, 1))
    assert cut(back, None, 7).t.tolist() == t.tolist()


def test_bad_files_are_told_or_skipped(folder: Path) -> None:
    index = index_of(folder)
    (folder / "left" / "r0.npy").write_bytes(b"\x93NUMPYbroken")
    with pytest.raises(DataError, match=r"r0\.npy is damaged"):
        load("recordings", index=index, steps=3)
    splits = load("recordings", index=index, steps=3, on_bad_file="skip")
    assert splits.info["skipped"] == 1
    assert sum(splits.info["sizes"].values()) == 19
    (folder / "left" / "r1.csv").unlink()
    with pytest.raises(DataError, match=r"r1\.csv .* is missing"):
        load("recordings", index=index, steps=3)
    assert load("recordings", index=index, steps=3, on_bad_file="skip").info["skipped"] == 2


def test_a_recording_of_which_nothing_is_left_is_told_or_skipped(folder: Path) -> None:
    index = index_of(folder)
    late = Events(*(np.zeros(3, np.int16),) * 2, np.arange(3), np.ones(3, np.uint8), (2, 8, 8))
    write_recording(late, folder / "left" / "r0.npy", "npy")
    later = [{"name": "time_window", "start_ms": 1.0}]
    with pytest.raises(DataError, match="leaves no events"):
        load("recordings", index=index, steps=3, preprocess=later)
    some = load("recordings", index=index, steps=3, preprocess=later, on_bad_file="skip")
    assert some.info["skipped"] == 1


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("name,label\na,b\n", "columns file and label"),
        ("file,label\na.bin,\n", "line 2"),
        ("file,label\n../../secret.bin,x\n", "outside of"),
    ],
)
def test_wrong_tables_are_told(table: str, message: str, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(table)
    with pytest.raises(DataError, match=message):
        read_table(tmp_path / "t.csv", folder)


def test_wrong_indices_are_told(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="make one with lfp-snn data import"):
        load("recordings", index=tmp_path / "none.json")
    index = index_of(folder)
    with pytest.raises(DataError, match="exists already"):
        index_of(folder)
    with pytest.raises(DataError, match="exclude each other"):
        load("recordings", index=index, window_ms=1.0, window_events=5)
    content = json.loads(index.read_text())
    content["sensor"] = [2, 3, 3]
    index.write_text(json.dumps(content))
    with pytest.raises(DataError, match="import the folder again"):
        load("recordings", index=index, steps=3)
    index.write_text("[]")
    with pytest.raises(DataError, match="no index of recordings"):
        load("recordings", index=index, steps=3)


def test_too_little_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="to train and to test each need one"):
        draw_parts([Entry("a", "x", "a"), Entry("b", "y", "a")], 0.2, 0.2, 0)
    (tmp_path / "one" / "only").mkdir(parents=True)
    write_recording(recording(0, 0), tmp_path / "one" / "only" / "a.npy", "npy")
    with pytest.raises(DataError, match="one class only"):
        look(tmp_path / "one", find(tmp_path / "one"), lambda each: each)
    with pytest.raises(DataError, match="no recordings in folders of their class"):
        find(tmp_path / "one" / "only")


def test_the_command_line_goes_all_the_way(cli: Cli, folder: Path) -> None:  # noqa: F811
    shown = cli("data", "import", folder, "--dry")
    assert shown.exit_code == 0 and "8 x 8" in shown.stdout and "index:" not in shown.stdout
    done = cli("data", "import", folder, "--validation", "0.25", "--out", "mine.json")
    assert done.exit_code == 0 and "data.index=mine.json" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("caution: few recordings (")
    trained = cli(
        "train", "digits", "data.name=recordings", "data.index=mine.json", "data.steps=5",
        "model.hidden=[16]", "epochs=2", "batch_size=4", "device=cpu", "--out", "run",
    )  # fmt: skip
    assert trained.exit_code == 0, trained.stderr
    read = cli("predict", "run", folder / "left" / "r0.npy")
    assert read.exit_code == 0 and "class " in read.stdout
    (folder / "left" / "bad.bin").write_bytes(b"123")
    refused = cli("data", "import", folder, "--out", "two.json")
    assert refused.exit_code == 2 and "--skip-bad" in refused.stderr
    assert "bad.bin cannot be read, for the reason above" in refused.stderr
    assert cli("data", "import", folder, "--out", "two.json", "--skip-bad").exit_code == 0


def test_channels_without_pixels_are_imported_and_learnt(cli: Cli, tmp_path: Path) -> None:  # noqa: F811
    """Text, `.npy` and `.npz` of channel and milliseconds: read by what is given, and learnt so."""
    for label, name in enumerate(("low", "high")):
        (tmp_path / "units" / name).mkdir(parents=True)
        for number in range(9):
            rng = np.random.default_rng([label, number])
            t = np.sort(rng.integers(0, 200_000, 120)) / 1000
            channel = rng.integers(0, 4, 120) + 4 * label
            channel[0] = 4 * label + 3
            path = tmp_path / "units" / name / f"r{number}"
            rows = np.stack([channel, t], 1)
            if number % 3 == 0:
                np.savetxt(f"{path}.txt", rows)
            elif number % 3 == 1:
                np.save(f"{path}.npy", rows)
            else:
                np.savez(f"{path}.npz", events=rows)
    refused = cli("data", "import", tmp_path / "units", "--out", "u.json")
    assert refused.exit_code == 2 and "--time-unit" in refused.stderr
    wrong = cli("data", "import", tmp_path / "units", "--column-order", "channel,when")
    assert wrong.exit_code == 2 and "no column 'when'" in wrong.stderr
    layout = ("--column-order", "channel,t", "--time-unit", "ms")
    done = cli(
        "data", "import", tmp_path / "units", "--out", "u.json", "--validation", "0.25", *layout
    )
    assert done.exit_code == 0, done.stderr
    assert "8 channels, 1 polarity" in done.stdout and "0.19" in done.stdout
    splits = load("recordings", index=Path("u.json"), steps=4)
    assert splits.train.feature_shape == (1, 1, 8)
    trained = cli(
        "train", "digits", "data.name=recordings", "data.index=u.json", "data.steps=4",
        "model.name=mlp", "model.hidden=[32]", "calibrate=0.1", "optimizer.lr=0.01",
        "epochs=12", "batch_size=4", "device=cpu", "--out", "run",
    )  # fmt: skip
    assert trained.exit_code == 0, trained.stderr
    result = json.loads(Path("run/result.json").read_text())
    assert result["test_accuracy"] == 1.0
    one = tmp_path / "units" / "high" / "r0.txt"
    assert "class high" in " ".join(cli("predict", "run", one).stdout.split())
    assert "8 channels" in cli("data", "info", one, *layout).stdout
    content = json.loads(Path("u.json").read_text())
    assert (content["column_order"], content["time_unit"]) == ("channel,t", "ms")
    content["time_unit"] = "weeks"
    Path("v.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="no unit of time 'weeks'"):
        load("recordings", index=Path("v.json"), steps=4)


def test_a_layout_is_for_the_files_that_need_one(folder: Path) -> None:
    """The others of the folder, which tell their columns, are read as they say."""
    before = load("recordings", index=index_of(folder), steps=5)
    for path in folder.glob("*/*.npy"):
        array = np.load(path)
        np.save(path, np.stack([array[key] for key in ("y", "x", "p", "t")], 1))
    layout = Layout.of("y,x,p,t", "us")
    seen = look(folder, find(folder), lambda each: each, layout)
    path = folder.parent / "again.json"
    write_index(path, folder, seen, draw_parts(seen.entries, 0.25, 0.2, 0), layout=layout)
    after = load("recordings", index=path, steps=5)
    rows = np.arange(len(before.train))
    one, two = (each.train.batch(rows).x for each in (before, after))
    assert before.train.ids == after.train.ids and one == two
