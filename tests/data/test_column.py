"""A column of numbers in a file: what is read, and what a file that was cut comes to."""

import os
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest

from lfp_snn.data.ahead import ahead
from lfp_snn.data.column import StoredColumn
from lfp_snn.errors import DataError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The numbers 0 to 9999, in the column of an entry of a cache."""
    (tmp_path / "cache" / "entry").mkdir(parents=True)
    path = tmp_path / "cache" / "entry" / "indices"
    np.arange(10000, dtype=np.int32).tofile(path)
    return path


def test_pieces_are_laid_end_to_end(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = StoredColumn(file, np.int32, 10000)
    read = os.preadv

    def some(file: int, into: list[memoryview], start: int) -> int:
        return read(file, [into[0][:7]], start)

    for call in (read, some):  # a call of the system may give less than was asked for
        monkeypatch.setattr(os, "preadv", call)
        found = numbers.pieces([slice(5, 9), slice(3, 3), slice(9990, 10000), slice(0, 1)])
        assert found.tolist() == [5, 6, 7, 8, *range(9990, 10000), 0]
        np.testing.assert_array_equal(np.asarray(numbers), np.arange(10000))
    assert numbers.pieces([]).dtype == np.int32
    assert len(numbers) == 10000 and numbers.nbytes == numbers.size() == 40000


def test_a_copy_for_another_process_holds_the_numbers(file: Path) -> None:
    numbers = pickle.dumps(StoredColumn(file, np.int32, 10000))
    file.unlink()
    np.testing.assert_array_equal(pickle.loads(numbers), np.arange(10000))


def test_the_file_is_closed_with_the_last_user(file: Path) -> None:
    numbers = StoredColumn(file, np.int32, 10000)
    handle = numbers._file
    assert os.fstat(handle)
    del numbers
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(handle)


def test_a_file_cut_at_any_moment_is_one_sentence(file: Path) -> None:
    """It is cut while threads read batches ahead of time: what was whole is right, then it ends."""
    numbers, done = StoredColumn(file, np.int32, 10000), threading.Event()

    def cut() -> None:
        with file.open("r+b") as opened:
            done.wait()
            opened.truncate(30000)

    thread = threading.Thread(target=cut)
    thread.start()
    with pytest.raises(DataError, match=r"indices .*cache was cut to 30000 of its 40000 bytes"):
        for read, found in enumerate(ahead(lambda _: np.asarray(numbers), range(10**6), 2)):
            assert found[-1] == 9999
            if read == 20:
                done.set()
    thread.join()


def test_a_disk_that_fails_is_one_sentence(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = StoredColumn(file, np.int32, 10000)

    def fails(*_: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "preadv", fails)
    with pytest.raises(DataError, match=r"cannot be read \(Input/output error\).*LFP_SNN_CACHE"):
        numbers.checksum()
