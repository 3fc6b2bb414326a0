"""Files are whole or absent: on a full disk, after a limit, after Ctrl-C."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lfp_snn.analysis.eventplots import animate
from lfp_snn.data.entries import Entry
from lfp_snn.data.events import Events
from lfp_snn.data.formats import FORMATS, read_recording, write_recording
from lfp_snn.data.index import FolderContents, write_index
from lfp_snn.errors import DataError, RunError
from lfp_snn.training.files import write_atomic
from lfp_snn.wholefiles import write_whole
from tests.cli.conftest import Cli, cli  # noqa: F401 - the fixture

EVENTS = Events(
    np.arange(60, dtype=np.int16) % 8,
    np.arange(60, dtype=np.int16) % 7,
    np.arange(60) * 1000,
    (np.arange(60) % 2).astype(np.uint8),
    (2, 128, 128),
)


def break_writing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Half of what is written arrives, then the disk is full, or the user has had enough."""
    opened = os.fdopen

    def half(descriptor: int, mode: str) -> Any:
        file = opened(descriptor, mode)
        write = file.write

        class Half:
            def __enter__(self) -> Half:
                return self

            def __exit__(self, *_: object) -> None:
                file.close()

            def write(self, content: bytes) -> None:
                write(content[: len(content) // 2])
                raise error

        return Half()

    monkeypatch.setattr(os, "fdopen", half)


def no_space() -> OSError:
    return OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("error", [no_space(), KeyboardInterrupt()])
@pytest.mark.parametrize("before", [None, b"before"])
def test_what_was_there_before_is_intact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, before: bytes | None
) -> None:
    path = tmp_path / "file"
    if before is not None:
        path.write_bytes(before)
    with monkeypatch.context() as broken:
        break_writing(broken, error)
        with pytest.raises(type(error)):
            write_whole(path, b"after")
    assert [each.name for each in tmp_path.iterdir()] == ([] if before is None else ["file"])
    assert before is None or path.read_bytes() == before
    write_whole(path, b"after")
    assert path.read_bytes() == b"after"
    with pytest.raises(FileExistsError):
        write_whole(path, b"more", new=True)
    assert path.read_bytes() == b"after"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_link_stays_a_link_and_rights_are_the_users(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "link", b"content")
    finally:
        os.umask(before)
    assert (tmp_path / "link").is_symlink() and (tmp_path / "file").read_bytes() == b"content"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_recordings_are_whole_or_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = tmp_path / f"recording{FORMATS[name].suffixes[0]}"
    with monkeypatch.context() as broken:
        break_writing(broken, no_space())
        with pytest.raises(DataError, match="cannot be written .No space left"):
            write_recording(EVENTS, path, name)
    assert not list(tmp_path.iterdir())
    write_recording(EVENTS, path, name)
    assert len(read_recording(path)) == len(EVENTS)


def test_films_indices_and_checkpoints_are_whole_or_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = FolderContents([Entry("a", "x", "a")], (2, 7, 8), np.ones(1), np.ones(1, np.int64), {})
    with monkeypatch.context() as broken:
        break_writing(broken, no_space())
        with pytest.raises(DataError, match="No space left"):
            animate(EVENTS, tmp_path / "film.gif")
        with pytest.raises(DataError, match="No space left"):
            write_index(tmp_path / "index.json", tmp_path, seen, seen.entries)
        with pytest.raises(RunError, match="No space left"):
            write_atomic(tmp_path / "weights", b"weights")
    assert not list(tmp_path.iterdir())
    write_index(tmp_path / "index.json", tmp_path, seen, seen.entries)
    assert json.loads((tmp_path / "index.json").read_text())["files"]


def test_commands_leave_nothing_that_blocks_a_retry(
    cli: Cli,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_recording(EVENTS, tmp_path / "one.bin", "bin")
    commands = {
        "two.h5": ("data", "convert", "one.bin", "two.h5"),
        "one.png": ("data", "show", "one.bin"),
        "digits.yaml": ("cp", "digits"),
    }
    for made, command in commands.items():
        with monkeypatch.context() as broken:
            break_writing(broken, no_space())
            failed = cli(*command)
        assert failed.exit_code == 2 and "No space left" in failed.stderr
        assert not list(tmp_path.glob(f"*{made}*")) and not list(tmp_path.glob(".*"))
        assert cli(*command).exit_code == 0
        assert (tmp_path / made).stat().st_size > 0


def test_a_limit_of_the_system_is_told(tmp_path: Path) -> None:
    code = (
        "import sys, signal\n"
        "from pathlib import Path\n"
        "from lfp_snn.wholefiles import write_whole\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "try:\n    write_whole(Path(sys.argv[1]), bytes(100_000))\n"
        "except OSError as error:\n    print(error.strerror)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "file")],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "too large" in done.stdout and not list(tmp_path.iterdir())
