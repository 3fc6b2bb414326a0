"""The cache: never stale, safe between processes, mended when damaged."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lfp_snn.data import cache
from lfp_snn.data.binning import Binned


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LFP_SNN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Builder:
    """Yields two chunks and counts how often it was asked to."""

    def __init__(self, counted: bool = True) -> None:
        self.built = 0
        self.counted = counted

    def __call__(self) -> Iterator[Binned]:
        self.built += 1
        yield self.chunk([0, 2, 3], [1, 5, 2])
        yield self.chunk([0, 0, 1], [4])

    def chunk(self, indptr: list[int], indices: list[int]) -> Binned:
        values = np.arange(len(indices), dtype=np.float32) if self.counted else None
        return Binned(np.array(indptr), np.array(indices, dtype=np.int32), values)


def assert_whole(trains: Binned) -> None:
    np.testing.assert_array_equal(trains.indptr, [0, 2, 3, 3, 4])
    np.testing.assert_array_equal(trains.indices, [1, 5, 2, 4])
    assert trains.indptr.dtype == np.int64
    assert trains.indices.dtype == np.int32


def entries(folder: Path) -> list[Path]:
    return list(folder.iterdir())


@pytest.mark.parametrize("counted", [False, True])
def test_builds_once(folder: Path, counted: bool) -> None:
    build = Builder(counted)
    for _ in range(3):
        trains = cache.fetch("set", [], {"steps": 2}, build)
        assert_whole(trains)
        assert isinstance(trains.indices, np.memmap)
        if counted:
            assert trains.values is not None
            np.testing.assert_array_equal(trains.values, [0, 1, 2, 0])
        else:
            assert trains.values is None
    assert build.built == 1
    assert len(entries(folder)) == 1


def test_keeps_a_set_without_a_spike() -> None:
    silent = Binned(np.zeros(4, np.int64), np.empty(0, np.int32), None)
    for _ in range(2):
        trains = cache.fetch("set", [], {}, lambda: [silent])
        assert trains.indptr.tolist() == [0, 0, 0, 0]
        assert trains.indices.size == 0


def test_another_option_is_another_entry() -> None:
    build = Builder()
    for steps in (2, 3, 2, 3):
        cache.fetch("set", [], {"steps": steps}, build)
    assert build.built == 2


def test_other_code_is_another_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    build = Builder()
    cache.fetch("set", [], {}, build)
    monkeypatch.setattr(cache, "_code", lambda: "the next version")
    cache.fetch("set", [], {}, build)
    assert build.built == 2


def test_a_changed_file_is_another_entry(tmp_path: Path) -> None:
    build = Builder()
    file, other = tmp_path / "a.bin", tmp_path / "b.bin"
    file.write_bytes(b"12345")

    def asked(*files: Path) -> int:
        cache.fetch("set", files, {}, build)
        return build.built

    assert [asked(file), asked(file)] == [1, 1]
    file.write_bytes(b"1234567890")  # another size
    assert asked(file) == 2
    stat = file.stat()
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))  # same size, another time
    assert asked(file) == 3
    file.rename(other)  # another name
    assert asked(other) == 4
    file.write_bytes(b"12345")  # one more
    assert asked(file, other) == 5
    assert asked(other) == 5


def test_what_changed_while_it_was_read_is_not_kept(tmp_path: Path, folder: Path) -> None:
    file = tmp_path / "a.bin"
    file.write_bytes(b"12345")

    def build() -> Iterator[Binned]:
        yield from Builder()()
        file.write_bytes(b"1234567890")

    assert_whole(cache.fetch("set", [file], {}, build))
    assert entries(folder) == []


@pytest.mark.parametrize("column", ["indptr", "indices", "values", "meta.json"])
@pytest.mark.parametrize("damage", ["cut", "flip", "delete"])
def test_a_damaged_entry_is_built_anew(folder: Path, column: str, damage: str) -> None:
    build = Builder()
    cache.fetch("set", [], {}, build)
    (entry,) = entries(folder)
    file = entry / column
    content = file.read_bytes()
    if damage == "cut":
        file.write_bytes(content[:-3])
    elif damage == "flip":
        file.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    else:
        file.unlink()
    for _ in range(2):
        assert_whole(cache.fetch("set", [], {}, build))
    assert build.built == 2
    assert entries(folder) == [entry]


def test_a_failed_build_leaves_nothing(folder: Path) -> None:
    def build() -> Iterator[Binned]:
        yield from Builder()()
        raise ValueError("damaged recording")

    with pytest.raises(ValueError, match="damaged recording"):
        cache.fetch("set", [], {}, build)
    assert entries(folder) == []


def test_warns_and_goes_on_without_a_cache(folder: Path) -> None:
    folder.write_text("a file where the folder should be")
    build = Builder()
    with pytest.warns(UserWarning, match="cannot be used.*LFP_SNN_CACHE"):
        trains = cache.fetch("set", [], {}, build)
    assert_whole(trains)
    assert trains.values is not None


def test_warns_and_goes_on_when_the_disk_is_full(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "_write", full)
    with pytest.warns(UserWarning, match="No space left on device"):
        assert_whole(cache.fetch("set", [], {}, Builder()))
    assert entries(folder) == []


RACE = """
import sys, time
from pathlib import Path
from lfp_snn.data import cache
from tests.data.test_cache import Builder, assert_whole

me, other = Path(sys.argv[1]), Path(sys.argv[2])

class Slow(Builder):
    def __call__(self):
        me.touch()
        while not other.exists():  # both have found no entry, and both build
            time.sleep(0.01)
        yield from super().__call__()

assert_whole(cache.fetch("set", [], {"steps": 2}, Slow()))
"""


def test_two_processes_build_at_once(tmp_path: Path, folder: Path, repository: Path) -> None:
    marks = [str(tmp_path / name) for name in ("one", "two")]
    racers = [
        subprocess.Popen([sys.executable, "-c", RACE, *order], cwd=repository)
        for order in (marks, marks[::-1])
    ]
    assert [racer.wait(timeout=60) for racer in racers] == [0, 0]
    assert len(entries(folder)) == 1
    build = Builder()
    assert_whole(cache.fetch("set", [], {"steps": 2}, build))
    assert build.built == 0
