"""What a user gets wrong, and what the machine refuses: one line each, exit code 2."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from lfp_snn.data import load
from lfp_snn.errors import DataError
from lfp_snn.training.display import Display
from tests.cli.conftest import SMALL, Cli

TRAIN = ("train", "digits", *SMALL)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("train", "folder"), "There is no config file folder"),
        (("train", "binary.yaml"), "binary.yaml cannot be read"),
        (("train", "empty.yaml"), "empty.yaml holds nothing; expected a mapping"),
        (("train", "run"), "run is a run, and its config is run/config.yaml; a training that was"),
        (("train", "n" * 300), "File name too long"),
        ((*TRAIN, "epochs=ten"), "epochs is 'ten', expected a valid integer"),
        ((*TRAIN, "on_non_finite=ignore"), "on_non_finite is 'ignore', expected 'stop' or 'skip'"),
        ((*TRAIN, "keep_checkpoints=0"), "keep_checkpoints is 0, expected a number greater"),
        ((*TRAIN, "epochs"), "'epochs' should read key=value"),
        ((*TRAIN, "--out", "file/run"), "file/run cannot be made: "),
        ((*TRAIN, "--out", "n" * 300), "File name too long"),
        ((*TRAIN, "--out", "folder", "--resume"), "folder is not a run directory"),
        ((*TRAIN, "--out", "file", "--resume"), "file is not a run directory"),
        ((*TRAIN, "transfer={source: nowhere}", "--out", "new"), "there is no such run or file"),
        (("train", "braille", "data.root=nowhere"), "tutorial5_braille_spiking_data.pkl.gz is"),
        (("train", "mnist_mlp", "data.root=file"), "file/train-images-idx3-ubyte"),
        (("evaluate", "nowhere"), "nowhere is not a run directory"),
        (("predict", "nowhere", "file"), "nowhere is not a run directory"),
        (("import", "file"), "file is damaged"),
        (("import", "nowhere.nir"), "There is no file nowhere.nir"),
        (("data", "info", "nowhere.bin"), "nowhere.bin cannot be read"),
        (("data", "info", "folder"), "folder"),
        (("data", "import", "folder", "--table", "no.csv"), "There is no file no.csv"),
    ],
)
def test_a_mistake_is_one_line(
    cli: Cli, tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"\x01\x02")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "empty.yaml").touch()
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.yaml").touch()
    before = sorted(tmp_path.rglob("*"))
    result = cli(*arguments)
    assert result.exit_code == 2, (result.output, result.exception)
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert told in result.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_a_directory_that_cannot_be_written_to(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    result = cli(*TRAIN, "--out", "deep/run")
    assert result.exit_code == 2
    assert "is no directory that can be written to; name another with --out" in result.stderr
    assert not Path("deep").exists()


def fail_with(error: BaseException) -> Any:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (MemoryError(), 2, "error: Memory ran out: make batch_size, data.train or the network"),
        (OSError(errno.EROFS, "Read-only file system", "runs"), 2, "error: runs: Read-only file"),
        (KeyboardInterrupt(), 130, "error: Stopped."),
    ],
)
def test_what_the_machine_refuses_is_one_line(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, told: str
) -> None:
    monkeypatch.setattr("lfp_snn.cli.train.load_splits", fail_with(error))
    result = cli(*TRAIN, "--out", "run")
    assert result.exit_code == code
    assert result.stderr.startswith(told) and result.stderr.count("\n") == 1


def test_errors_of_the_program_itself_are_shown_whole(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lfp_snn.cli.train.load_splits", fail_with(RuntimeError("a fault")))
    assert isinstance(cli(*TRAIN, "--out", "run").exception, RuntimeError)


def test_a_second_ctrl_c_stops_at_once_and_says_how_to_go_on(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Display, "stepped", fail_with(KeyboardInterrupt()))
    result = cli(*TRAIN, "--out", "run")
    assert result.exit_code == 130
    assert "Stopped at once" in result.stderr and result.stderr.count("\n") == 1
    monkeypatch.setattr(Display, "stepped", lambda self, report: None)
    resumed = cli(*result.stderr.strip().partition("lfp-snn ")[2].split())
    assert resumed.exit_code == 0, resumed.output


def test_a_missing_folder_is_named_by_the_key_of_the_config(cli: Cli) -> None:
    result = cli("train", "braille", "data.root=nowhere")
    assert "name its folder with data.root" in result.stderr
    with pytest.raises(DataError, match="name its folder with root"):
        load("braille", root="nowhere")
