"""Files that are never half written."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from lfp_snn.errors import RunError
from lfp_snn.training.files import append_line, read_json, write_atomic, write_json


def test_writing_replaces_and_leaves_nothing_beside(tmp_path: Path) -> None:
    file = tmp_path / "a.bin"
    write_atomic(file, b"one")
    write_atomic(file, b"two")
    assert file.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [file]


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        write_atomic(tmp_path / "a", b"")
    finally:
        os.umask(old)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    file = tmp_path / "a.bin"
    write_atomic(file, b"old")

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, full)
    monkeypatch.setattr(Path, "replace", full if call == "replace" else Path.replace)
    with pytest.raises(RunError, match=r"a\.bin cannot be written \(No space left on device\)"):
        write_atomic(file, b"new")
    monkeypatch.undo()
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot be written"):
        write_atomic(tmp_path / "no" / "a", b"")
    with pytest.raises(RunError, match="cannot be written"):
        append_line(tmp_path / "no" / "a", "")


def test_json_reads_back(tmp_path: Path) -> None:
    value = {"a": [1, 0.1, None, "ä"]}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value


def test_json_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no file"):
        read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_text('{"a": ')
    with pytest.raises(RunError, match="cannot be read as JSON"):
        read_json(tmp_path / "a.json")
