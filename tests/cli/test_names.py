"""Names that are not UTF-8: shown, or refused in a sentence, and nothing is left half written."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import SMALL, Cli
from tests.data.helpers import encode, random_events

NAME = os.fsdecode(b"b\xff.bin")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Recordings of two classes, one of which has a name of bytes."""
    rng = np.random.default_rng(0)
    for label in "ab":
        (tmp_path / "own" / label).mkdir(parents=True)
        for n in range(5):
            file = tmp_path / "own" / label / f"{n}.bin"
            file.write_bytes(encode(random_events(rng, [20])))
    try:
        (tmp_path / "own" / "a" / "0.bin").rename(tmp_path / "own" / "a" / NAME)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    return tmp_path / "own"


def test_it_can_be_looked_at_and_checked(cli: Cli, folder: Path) -> None:
    for arguments in (("data", "info", folder / "a" / NAME), ("data", "check", folder)):
        result = cli(*arguments)
        assert result.exit_code == 0, (result.output, result.exception)
    (folder / "a" / NAME).write_bytes(b"123")
    result = cli("data", "check", folder)
    assert result.exit_code == 2 and "b\\udcff.bin is truncated" in result.stdout


def test_what_cannot_be_kept_is_refused(cli: Cli, folder: Path, tmp_path: Path) -> None:
    for arguments, told in (
        (("data", "import", folder), "whose name is not UTF-8; rename it"),
        (("train", "digits", *SMALL, "--out", os.fsdecode(b"run\xff")), "is not UTF-8"),
        (("train", os.fsdecode(b"c\xff.yaml")), "There is no config file"),
        (("evaluate", os.fsdecode(b"r\xff")), "is not a run directory"),
        (("validate", "digits", os.fsdecode(b"name=\xff")), "name="),
    ):
        result = cli(*arguments)
        assert result.exit_code == 2, (arguments, result.output, result.exception)
        assert told in result.stderr and result.stderr.count("\n") == 1
    assert [each.name for each in tmp_path.iterdir()] == ["own"]
