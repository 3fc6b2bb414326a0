"""What files from strangers may take, and how damage to them is told."""

from __future__ import annotations

import errno
import os
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lfp_snn.data.entries import read_table
from lfp_snn.data.formats import aedat4, read_recording
from lfp_snn.errors import DataError, RunError
from lfp_snn.unpacking import allowance, check_events, check_text, inflated, open_hdf5, reading

h5py = pytest.importorskip("h5py")


def test_the_allowance_grows_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    sizes = (0, 1 << 10, 500 << 10, 1 << 20, 3 << 20, 10 << 20)
    allowed = []
    for size in sizes:
        with path.open("wb") as file:
            file.truncate(size)
        allowed.append(allowance(path))
    assert allowed == sorted(allowed)
    assert allowed[:2] == [64 << 20, 64 << 20] and allowed[-1] == 500 << 20
    assert max(allowed[:-1]) < 512 << 20
    with pytest.raises(DataError, match="would unpack to"):
        check_events(path, allowed[-1] // 64 + 1)


@pytest.mark.parametrize(
    "problem", [KeyError("a"), ValueError("b"), zlib.error("c"), RecursionError("d"), IndexError()]
)
def test_damage_is_told_once_and_where(problem: Exception) -> None:
    told = pytest.raises(RunError, match=r"^here is no run or is damaged: .*")
    with told as error, reading("here", "run", RunError):
        raise problem
    assert error.value.__cause__ is problem


def test_what_no_content_provokes_passes() -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    for problem in (NameError("x"), AssertionError(), ImportError(), DataError("said"), full):
        with pytest.raises(type(problem)) as same, reading("here"):
            raise problem
        assert same.value is problem
    with pytest.raises(DataError, match="takes more memory than there is"), reading("here"):
        raise MemoryError


def test_inflating_ends(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    content = os.urandom(3 << 20)
    packed = zlib.compress(content)
    assert inflated(tmp_path / "a", packed) == content
    with pytest.raises(DataError, match="would unpack to"):
        inflated(tmp_path / "a", packed, already=62 << 20)
    with pytest.raises(DataError, match="cut short"):
        inflated(tmp_path / "a", packed[:-10])


def test_letters_that_are_none() -> None:
    check_text("a", np.array(["ab", "\U0010ffff"]))
    with pytest.raises(DataError, match="the letter 0x110000"):
        check_text("a", np.array([0x110000], np.uint32).view("U1"))


def test_groups_in_two_places_and_datasets_in_many(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a/b/data"] = np.arange(10)
        file["c"] = file["a/b/data"]
    with open_hdf5(tmp_path / "a.h5") as file:
        assert file["c"].shape == (10,)
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file["d"] = file["a/b"]
    with pytest.raises(DataError, match="in two places"), open_hdf5(tmp_path / "a.h5"):
        pass


@pytest.mark.parametrize(
    "stored",
    [{}, {"chunks": (7,)}, {"chunks": (7,), "compression": "gzip", "shuffle": True}],
)
def test_rows_of_their_own_length(tmp_path: Path, stored: dict[str, Any]) -> None:
    """A length that the file tells of is compared with the file before the library sees it."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        rows = file.create_dataset("a", (40,), h5py.vlen_dtype(np.uint16), **stored)
        for n in range(40):
            rows[n] = np.arange(n)
        file["text"] = ["a", "bb"]
    with open_hdf5(tmp_path / "a.h5") as file:
        assert file["a"][39].tolist() == list(range(39))
    content = (tmp_path / "a.h5").read_bytes()
    if "compression" not in stored:
        with h5py.File(tmp_path / "a.h5") as file:
            first = file["a"]
            place = first.id.get_chunk_info(0).byte_offset if stored else first.id.get_offset()
        lying = content[: place + 16] + b"\xff\xff\xff\x7f" + content[place + 20 :]
        (tmp_path / "b.h5").write_bytes(lying)
        with pytest.raises(DataError, match="longer than the file"), open_hdf5(tmp_path / "b.h5"):
            pass


def test_more_rows_than_bytes(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a", (1 << 20,), h5py.vlen_dtype(np.uint16), chunks=(1 << 16,))
    with pytest.raises(DataError, match="more than its"), open_hdf5(tmp_path / "a.h5"):
        pass


# ------------------------------------------------------------------------- in linear time


def seconds(path: Path) -> float:
    """Of the processor, until it is refused."""
    began = time.process_time()
    with pytest.raises(DataError):
        read_recording(path)
    return time.process_time() - began


def test_headers_of_many_lines(tmp_path: Path) -> None:
    (tmp_path / "a.aedat").write_bytes(b"#!AER-DAT3.1\r\n" + b"#\n" * 500_000)
    assert seconds(tmp_path / "a.aedat") < 2


def test_streams_one_in_the_other(tmp_path: Path) -> None:
    """Each is looked at once, however deep it lies."""
    depth = 5000
    attribute = '<attr key="typeIdentifier">EVTS</attr><attr key="sizeX">4</attr>'
    nested = "".join(f'<node name="{n}">{attribute}' for n in range(depth)) + "</node>" * depth
    header = aedat4._header_buffer(f"<dv>{nested}</dv>".encode())
    content = aedat4._MAGIC + len(header).to_bytes(4, "little") + header
    (tmp_path / "a.aedat4").write_bytes(content)
    assert seconds(tmp_path / "a.aedat4") < 2


def test_a_table_of_many_columns(tmp_path: Path) -> None:
    """What a line does not have, a column that nobody asks for, takes no memory."""
    titles = ["file", "label", *(f"c{n}" for n in range(20_000))]
    lines = [",".join(titles), *(f"{n}.bin,a" for n in range(5000))]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    began = time.process_time()
    assert len(read_table(tmp_path / "t.csv", tmp_path)) == 5000
    assert time.process_time() - began < 2


def test_a_folder_in_the_place_of_an_hdf5_file_is_one_sentence(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    with pytest.raises(DataError, match=r"is a folder; expected a file$"), open_hdf5(tmp_path):
        pass
