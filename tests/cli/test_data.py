"""``lfp-snn data`` on small recordings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.patches import StepPatch
from PIL import Image

from lfp_snn.analysis.eventplots import event_image, overview
from lfp_snn.data.events import Events
from lfp_snn.data.formats import read_recording, write_recording
from tests.cli.conftest import Cli


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    x, y = (rng.integers(0, 34, 400).astype(np.int16) for _ in range(2))
    t = np.sort(rng.integers(0, 300_000, 400))
    events = Events(x, y, t, rng.integers(0, 2, 400).astype(np.uint8), (2, 34, 34))
    write_recording(events, tmp_path / "one.bin", "bin")
    return tmp_path / "one.bin"


def test_info(cli: Cli, recording: Path) -> None:
    out = cli("data", "info", recording).stdout
    assert "N-MNIST .bin" in out and "400" in out and "34 x 34" in out


def test_show_draws_a_picture_and_an_animation(cli: Cli, recording: Path, tmp_path: Path) -> None:
    done = cli("data", "show", recording, "--gif", "one.gif")
    assert done.exit_code == 0
    with Image.open(tmp_path / "one.png") as picture:
        assert picture.size[0] > 500
        assert len(np.unique(np.asarray(picture))) > 20
    with Image.open(tmp_path / "one.gif") as film:
        assert film.n_frames == 40  # type: ignore[attr-defined]
        assert min(film.size) >= 272
    nowhere = cli("data", "show", recording, "--out", "no/where.png")
    assert nowhere.exit_code == 2 and "cannot be written" in nowhere.stderr


def test_the_event_image_counts_every_event(recording: Path) -> None:
    events = read_recording(recording)
    image = event_image(events)
    assert image.sum() == len(events)
    assert image[events.p[0], events.y[0], events.x[0]] >= 1
    overview(events, "name")


def test_check_lists_every_bad_file_in_one_go(cli: Cli, recording: Path, tmp_path: Path) -> None:
    assert cli("data", "check", tmp_path).exit_code == 0
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "cut.bin").write_bytes(b"123")
    (tmp_path / "empty.npy").touch()
    result = cli("data", "check", tmp_path)
    assert result.exit_code == 2
    assert "cut.bin is truncated" in result.stdout and "empty.npy is empty" in result.stdout
    assert "1 good" in result.stdout and "2 of 3" in result.stderr
    assert "no folder" in cli("data", "check", "nowhere").stderr


def test_convert_goes_there_and_back(cli: Cli, recording: Path, tmp_path: Path) -> None:
    assert cli("data", "convert", recording, "two.aedat4").exit_code == 0
    assert cli("data", "convert", "two.aedat4", "three.csv").exit_code == 0
    first, last = read_recording(recording), read_recording(tmp_path / "three.csv")
    np.testing.assert_array_equal(first.t, last.t)
    np.testing.assert_array_equal(first.x, last.x)
    again = cli("data", "convert", recording, "three.csv")
    assert again.exit_code == 2 and "exists already" in again.stderr
    unclear = cli("data", "convert", recording, "four.raw")
    assert unclear.exit_code == 2 and "raw3" in unclear.stderr
    wrong = cli("data", "convert", recording, "four.raw", "--to", "raw4")
    assert wrong.exit_code == 2 and "did you mean" in wrong.stderr


def test_convert_counts_from_zero_and_takes_one_camera(cli: Cli, recording: Path) -> None:
    events = read_recording(recording)
    stamps = replace(events, t=events.t + 1_700_000_000_000_000)
    write_recording(stamps, "stamps.aedat4", "aedat4")
    assert "0.2" in cli("data", "info", "stamps.aedat4").stdout
    assert cli("data", "show", "stamps.aedat4").exit_code == 0
    refused = cli("data", "convert", "stamps.aedat4", "late.raw", "--to", "raw3")
    assert refused.exit_code == 2 and "--from-zero" in refused.stderr
    assert not Path("late.raw").exists()
    done = cli("data", "convert", "stamps.aedat4", "late.raw", "--to", "raw3", "--from-zero")
    assert done.exit_code == 0
    again = read_recording("late.raw")
    np.testing.assert_array_equal(again.t, events.t - events.t.min())

    two = Path(__file__).parents[1] / "data" / "formats" / "cases" / "aedat3-two-cameras.aedat"
    refused = cli("data", "convert", two, "one.es")
    assert refused.exit_code == 2 and "--camera NAME" in refused.stderr
    assert cli("data", "convert", two, "one.es", "--camera", "2").exit_code == 0
    assert "128 x 128" in cli("data", "info", two, "--camera", "2").stdout
    assert len(read_recording("one.es")) == 100


def test_info_says_where_the_size_is_from(cli: Cli, recording: Path) -> None:
    assert "or more: the file does not say" in cli("data", "info", recording).stdout
    assert cli("data", "convert", recording, "one.aedat4").exit_code == 0
    assert "does not say" not in cli("data", "info", "one.aedat4").stdout


def test_simulate_makes_recordings_of_images_and_films(cli: Cli, tmp_path: Path) -> None:
    image = np.zeros((20, 20), np.uint8)
    image[5:15, 5:15] = 255
    Image.fromarray(image).save(tmp_path / "still.png")
    for dest in ("still.bin", "still.npz", "still.aedat4"):
        out = cli("data", "simulate", "still.png", dest).stdout
        assert "34 x 34" in out and "0.3 s" in out and "events/s" in out and dest in out
        events = read_recording(tmp_path / dest)
        assert f"{len(events):,}" in out and len(events) > 500
    (tmp_path / "film").mkdir()
    for number in range(4):
        Image.fromarray(np.roll(image, 2 * number, 1)).save(tmp_path / "film" / f"{number}.png")
    done = cli("data", "simulate", "film", "film.csv", "--fps", 20, "--noise-hz", 0)
    assert done.exit_code == 0 and "20 x 20" in done.stdout and "0.15 s" in done.stdout
    events = read_recording(tmp_path / "film.csv")
    assert events.y.min() >= 5 and events.y.max() < 15  # where something moves


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("still.png", "still.png"), "exists already"),
        (("still.png", "out.what"), "say with --to"),
        (("none.png", "out.npz"), "none.png cannot be read as an image"),
        ((".", "out.npz"), "give fps"),
    ],
)
def test_simulate_says_what_is_wrong(
    cli: Cli, tmp_path: Path, arguments: tuple[str, str], message: str
) -> None:
    Image.fromarray(np.zeros((20, 20), np.uint8)).save(tmp_path / "still.png")
    done = cli("data", "simulate", *arguments)
    assert done.exit_code == 2 and message in done.stderr


def test_a_recording_of_channels_is_drawn_as_a_raster(cli: Cli, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    t, channel = np.sort(rng.integers(0, 200_000, 300)), rng.integers(0, 6, 300)
    t[0], t[-1], channel[0] = 0, 200_000, 5
    for name, columns in (("emg.csv", (t, channel)), ("signed.csv", (t, channel, t % 2))):
        titles = ",".join(("time", "channel", "p")[: len(columns)])
        np.savetxt(name, np.stack(columns, 1), "%d", ",", header=titles, comments="")
        assert cli("data", "show", name, "--gif", "emg.gif").exit_code == 0
        with Image.open((tmp_path / name).with_suffix(".png")) as picture:
            assert picture.size[1] < picture.size[0]  # wider than a page of pixels is
        with Image.open(tmp_path / "emg.gif") as film:
            assert film.size == (6 * 45, 34) and film.n_frames > 1  # type: ignore[attr-defined]
    page = overview(read_recording("emg.csv"))
    raster, per_channel = page.axes[:2]
    assert raster.get_title(loc="left") == "raster"
    (marks,) = raster.get_lines()
    np.testing.assert_array_equal(np.asarray(marks.get_xdata()), t / 1000)
    np.testing.assert_array_equal(marks.get_ydata(), channel)
    (steps,) = per_channel.patches
    assert isinstance(steps, StepPatch)
    np.testing.assert_array_equal(steps.get_data()[0], np.bincount(channel))
    shown = cli("data", "info", "emg.csv").stdout
    assert "6 channels, 1 polarity" in shown and "ON" not in shown


def test_files_that_do_not_tell_their_columns(cli: Cli, tmp_path: Path) -> None:
    """Each command that reads a file by hand takes their order and unit."""
    rng = np.random.default_rng(0)
    rows = np.stack([rng.integers(0, 30, 50) for _ in range(4)], 1)
    rows[:, 2] %= 2
    np.savetxt(tmp_path / "odd.txt", rows, "%d")
    layout = ("--column-order", "x,y,p,t", "--time-unit", "ms")
    for command in (
        ("info", "odd.txt"), ("show", "odd.txt"), ("check", "."), ("convert", "odd.txt", "odd.es"),
    ):  # fmt: skip
        refused = cli("data", *command)
        assert refused.exit_code == 2 and "--column-order" in refused.stdout + refused.stderr
        assert cli("data", *command, *layout).exit_code == 0
    order = np.argsort(rows[:, 3], kind="stable")
    assert read_recording("odd.es").t.tolist() == (rows[order, 3] * 1000).tolist()
    needless = cli("data", "info", "odd.es", *layout)
    assert needless.exit_code == 2 and "tells its columns" in needless.stderr
    wrong = cli("data", "info", "odd.txt", "--time-unit", "weeks")
    assert wrong.exit_code == 2 and "no unit of time 'weeks'" in wrong.stderr
