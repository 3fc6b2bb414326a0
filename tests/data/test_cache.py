"""The cache: never stale, safe between processes, mended when damaged."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from lfp_snn.data import cache
from lfp_snn.data.binning import Binned, Stored
from lfp_snn.data.column import StoredColumn
from lfp_snn.data.event_set import row_set
from lfp_snn.data.events import Events
from lfp_snn.data.options import SpikeOptions
from lfp_snn.data.sets import SpikeSet
from lfp_snn.errors import DataError
from lfp_snn.spikes import Spikes


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


def assert_whole(trains: Stored) -> None:
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
        assert isinstance(trains.indices, StoredColumn)
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
        assert len(trains.indices) == 0


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


def swapped_words(content: bytearray, rng: np.random.Generator) -> None:
    words = np.frombuffer(content, np.uint32)
    while True:
        i, k = rng.integers(words.size, size=2)
        if words[i] != words[k]:
            words[[i, k]] = words[[k, i]]
            return


def swapped_blocks(content: bytearray, rng: np.random.Generator) -> None:
    blocks = np.frombuffer(content, np.uint8)[: len(content) // 512 * 512].reshape(-1, 512)
    i, k = rng.choice(len(blocks), 2, replace=False)
    assert (blocks[i] != blocks[k]).any()
    blocks[[i, k]] = blocks[[k, i]]


def flipped_bit(content: bytearray, rng: np.random.Generator) -> None:
    content[rng.integers(len(content))] ^= 1 << rng.integers(8)


def cut(content: bytearray, rng: np.random.Generator) -> None:
    del content[rng.integers(len(content)) :]


@pytest.mark.parametrize("harm", [swapped_words, swapped_blocks, flipped_bit, cut])
def test_every_harm_to_a_column_is_seen(
    folder: Path, harm: Callable[[bytearray, np.random.Generator], None]
) -> None:
    draw = np.random.default_rng(0)
    indptr = np.arange(0, 6001, 3)
    trains = Binned(indptr, draw.integers(1000, size=6000).astype(np.int32), None)
    cache.fetch("set", [], {}, lambda: [trains])
    (entry,) = entries(folder)
    file = entry / "indices"
    whole = file.read_bytes()
    for seed in range(70):
        content = bytearray(whole)
        harm(content, np.random.default_rng(seed))
        file.write_bytes(content)
        assert cache._read(entry) is None, seed
    file.write_bytes(whole)
    assert cache._read(entry) is not None


@pytest.mark.parametrize("column", ["indices", "values"])
def test_a_file_cut_in_mid_run_is_one_sentence(folder: Path, column: str) -> None:
    for _ in range(2):  # as it was built, and as it was found
        trains = cache.fetch("set", [], {}, Builder())
        samples = SpikeSet(
            trains, np.array([0, 1]), ["a", "b"], classes=("0", "1"), feature_shape=(6,), steps=2
        ).subset([1, 0])
        assert isinstance(x := samples.batch([0, 1]).x, Spikes)
        assert x.nnz == 4
        (entry,) = entries(folder)
        content = (entry / column).read_bytes()
        with (entry / column).open("r+b") as file:
            file.truncate(4)
        with pytest.raises(DataError, match=rf"{column} .* cut to 4 of its 16 bytes .* --resume"):
            samples.batch([0])
        (entry / column).write_bytes(content)


def test_the_trains_of_a_removed_cache_are_still_read(folder: Path) -> None:
    trains = cache.fetch("set", [], {}, Builder())
    shutil.rmtree(folder)
    assert_whole(trains)


BUILDING = """
import sys, time
from lfp_snn.data import cache
from tests.data.test_cache import Builder

class Endless(Builder):
    def __call__(self):
        yield from super().__call__()
        print("building", flush=True)
        time.sleep(60)

cache.fetch("set", [], {"steps": 3}, Endless())
"""


def test_what_a_killed_process_was_building_is_removed_and_a_living_ones_is_not(
    folder: Path, repository: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BUILDING], cwd=repository, stdout=subprocess.PIPE, text=True
    ) as builder:
        assert builder.stdout is not None
        assert builder.stdout.readline() == "building\n"
        (scratch,) = entries(folder)
        cache.fetch("set", [], {"steps": 2}, Builder())
        assert scratch.exists()
        builder.kill()
    cache.fetch("set", [], {"steps": 4}, Builder())
    assert not scratch.exists()
    assert all(not (entry / ".lock").exists() for entry in entries(folder))


def test_nothing_else_in_the_folder_of_the_cache_is_removed(folder: Path) -> None:
    """It may be a home directory; what a killed process of the version before left is removed."""
    others = [folder / ".my-settings", folder / ".a-b-12345678", folder / "notes-old"]
    cache.fetch("set", [], {}, Builder())
    (entry,) = entries(folder)
    left, fresh = (folder / f".{entry.name}-{end}" for end in ("abcd_123", "abcd_456"))
    for each in (*others, left, fresh):
        each.mkdir()
        (each / "indices").write_text("of long ago")
        os.utime(each / "indices", (0, 0))
        os.utime(each, (0, 0))
    (fresh / "indices").write_text("still written")  # by a builder without locks
    os.utime(fresh, (0, 0))
    cache.fetch("set", [], {"steps": 2}, Builder())
    assert all((each / "indices").exists() for each in (*others, fresh))
    assert not left.exists()


def two_events(row: int) -> Events:
    x = np.array([row % 4, (row + 1) % 4], np.int16)
    zero = np.zeros(2, np.int16)
    return Events(x, zero, np.array([0, 10]), zero.astype(np.uint8), (1, 1, 4))


def test_a_disk_that_fills_as_events_are_encoded_leaves_the_data_in_memory(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = cache._write

    def full(folder: Path, chunks: Iterable[Binned]) -> None:
        def some() -> Iterator[Binned]:
            yield next(iter(chunks))
            raise OSError(28, "No space left on device")

        write(folder, some())

    monkeypatch.setattr(cache, "_write", full)
    monkeypatch.setattr("lfp_snn.data.event_set._CHUNK", 2)
    with pytest.warns(UserWarning, match="No space left on device"):
        samples = row_set(
            "rows",
            lambda rows: Events.joined([two_events(int(row)) for row in rows]),
            SpikeOptions(steps=2),
            labels=np.zeros(5, np.int64),
            ids=list("abcde"),
            sensor=(1, 1, 4),
            classes=("0",),
        )
    whole = SpikeOptions(steps=2).encode(Events.joined([two_events(row) for row in range(5)]))
    assert isinstance(samples, SpikeSet)
    assert len(whole.indices) >= 5
    np.testing.assert_array_equal(samples.trains.indptr, whole.indptr)
    np.testing.assert_array_equal(samples.trains.indices, whole.indices)
    assert entries(folder) == []


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
