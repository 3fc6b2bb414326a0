"""``lfp-snn explain``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from lfp_snn.cli import app
from tests.cli.conftest import SMALL, Cli


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    result = CliRunner().invoke(app, ["train", "digits", *SMALL, "--out", str(out)])
    assert result.exit_code == 0, result.output
    return out


@pytest.mark.usefixtures("every_kind_of_figure")
def test_samples(cli: Cli, trained: Path, tmp_path: Path) -> None:
    done = cli("explain", trained, "--sample", 3, "--sample", 0, "--out", tmp_path / "e")
    assert done.exit_code == 0, done.output
    assert done.stdout.count("read as") == 2
    drawn = {f"{name}.{kind}" for name in ("strip", "profile") for kind in ("png", "svg", "pdf")}
    names = drawn | {"frames.gif", "page.html", "events.csv", "relevance.npz"}
    for index in (0, 3):
        assert {path.name for path in (tmp_path / "e" / f"test-{index}").iterdir()} == names
    head, first = (tmp_path / "e/test-3/events.csv").read_text().splitlines()[:2]
    assert head == "t,x,y,p,relevance"
    assert first.startswith("0,")


@pytest.mark.parametrize(
    "options",
    [
        ("--target", "contrast", "--class", "3", "--against", "5", "--split", "val"),
        ("--target", "share"),
        ("--smooth", "0"),
        ("--target", "reward", "--rule", "run"),
        ("--rule", "{name: gamma, gamma: 0.5}"),
        ("--rule", "epsilon_plus_flat"),
    ],
)
def test_what_can_be_asked(cli: Cli, trained: Path, options: tuple[str, ...]) -> None:
    done = cli("explain", trained, *options, "--out", "e")
    assert done.exit_code == 0, done.output
    assert "read as" in done.stdout


@pytest.mark.usefixtures("every_kind_of_figure")
def test_a_split(cli: Cli, trained: Path) -> None:
    done = cli("explain", trained, "--batch", "--faithfulness", "--samples", 10, "--out", "e")
    assert done.exit_code == 0, done.output
    assert "10 samples" in done.stdout and "gradient x input, smoothed" in done.stdout
    for name in ("test-classes.png", "test-classes.npz", "test.csv", "test-faithfulness.png"):
        assert Path("e", name).stat().st_size > 0
    found = json.loads(Path("e/test-faithfulness.json").read_text())
    assert found["samples"] == 10
    assert found["areas"]["LFP"]["low"] > found["areas"]["random"]["high"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--sample", "100000"), "--sample is 100000, but the test set has the samples 0 to"),
        (("--class", "seven"), "--class is 'seven', which is no class; there are 0, 1"),
        (("--against", "3"), "--against is for --target contrast"),
        (("--target", "reward", "--class", "3"), "--class is for"),
        (("--target", "reward", "--faithfulness"), "--target class, contrast or share"),
        (("--rule", "magic"), "magic"),
        (("--rule", "{name: gamma, gamma: -1}"), "expected a number of 0 or more"),
        (("--rule", "{name"), "neither a name nor a mapping"),
        (("--samples", "3"), "--samples is for"),
        (("--batch", "--sample", "3"), "--sample names samples"),
        (("--batch", "--samples", "100000"), "--samples is 100000, but the test set has"),
    ],
)
def test_mistakes(cli: Cli, trained: Path, options: tuple[str, ...], message: str) -> None:
    done = cli("explain", trained, *options, "--out", "e")
    assert done.exit_code == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("every_kind_of_figure")
def test_a_recording_by_a_shipped_network(cli: Cli, tmp_path: Path) -> None:
    t = np.arange(0, 300_000, 100, dtype=np.int64)
    rng = np.random.default_rng(0)
    columns = rng.integers(0, 34, (2, len(t))).astype(np.uint8)
    words = np.stack([columns[0], columns[1], t >> 16, (t >> 8) & 255, t & 255], axis=1)
    Path("five.bin").write_bytes(words.astype(np.uint8).tobytes())
    done = cli("explain", "hub:nmnist_csnn", "five.bin", "--smooth", "0", "--style", "paper")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("five.bin: read as")
    assert Path("runs/nmnist_csnn/explain/five/strip.pdf").read_bytes().startswith(b"%PDF")
    done = cli("explain", "hub:nmnist_csnn", "five.bin", "--sample", 3)
    assert done.exit_code == 2 and "recordings are named" in done.stderr


def test_a_recording_of_a_smaller_sensor_is_noted(cli: Cli) -> None:
    rows = [f"{100 * n} {n % 16} {n * 7 % 16} {n % 2}" for n in range(400)]
    Path("small.txt").write_text("\n".join(["t x y p", *rows]))
    done = cli("predict", "hub:nmnist_csnn", "small.txt", "--json")
    assert done.exit_code == 0 and done.stdout.startswith('{"file"')
    assert done.stderr.startswith("note: small.txt has events in 16 x 16 of 34 x 34 pixels")
    done = cli("predict", "hub:braille", "small.txt")
    assert done.exit_code == 2 and "lfp-snn explain RUN --sample 0" in done.stderr


def test_an_unknown_network(cli: Cli) -> None:
    done = cli("explain", "hub:nmnist", "five.bin")
    assert done.exit_code == 2
    assert "no shipped network hub:nmnist" in done.stderr and "Traceback" not in done.stderr
