"""The walk over MATLAB files: what is sound comes out as it was, what is not is refused."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from scipy.io import loadmat, savemat

from lfp_snn.data.formats.mat5 import checked
from lfp_snn.errors import DataError

VARIABLES: dict[str, Any] = {
    "doubles": np.arange(12.0).reshape(3, 4),
    "small": np.arange(3, dtype=np.uint8),
    "text": "naïve words",
    "complex": np.array([1 + 2j, 3]),
    "logical": np.eye(3, dtype=bool),
    "cell": np.array([[1, "two", np.arange(3)]], object),
    "struct": {"a": np.arange(4), "b": {"c": "d"}},
    "nothing": np.empty((0, 3)),
}


def written(variables: dict[str, Any], packed: bool) -> bytes:
    content = io.BytesIO()
    savemat(content, variables, do_compression=packed)
    return content.getvalue()


def sound(tmp_path: Path, data: bytes) -> bytes:
    (tmp_path / "a.mat").write_bytes(data)
    return checked(tmp_path / "a.mat", data)


@pytest.mark.parametrize("packed", [True, False])
def test_what_is_sound_is_the_same(tmp_path: Path, packed: bool) -> None:
    data = written(VARIABLES, packed)
    before, after = loadmat(io.BytesIO(data)), loadmat(io.BytesIO(sound(tmp_path, data)))
    for name in VARIABLES:
        assert repr(before[name]) == repr(after[name])


def test_other_classes_are_left_out(tmp_path: Path) -> None:
    data = written({"a": np.arange(3), "s": sparse.csc_matrix(np.eye(3))}, packed=True)
    found = loadmat(io.BytesIO(sound(tmp_path, data)))
    assert "a" in found and "s" not in found


def matrix(kind: int = 6, sides: tuple[int, ...] = (1, 2), content: bytes | None = None) -> bytes:
    """A variable `t`, by default of two doubles."""
    if content is None:
        content = struct.pack("<II", 9, 16) + bytes(16)
    inside = struct.pack("<IIII", 6, 8, kind, 0) + struct.pack("<II", 5, 4 * len(sides))
    inside += struct.pack(f"<{len(sides)}I", *sides) + bytes(-4 * len(sides) % 8)
    inside += struct.pack("<HHcxxx", 1, 1, b"t") + content
    return struct.pack("<II", 14, len(inside)) + inside


def file(*elements: bytes, end: bytes = b"\x00\x01IM") -> bytes:
    return b"MATLAB 5.0 MAT-file".ljust(124) + end + b"".join(elements)


def test_a_variable_by_hand_is_sound(tmp_path: Path) -> None:
    data = file(matrix())
    assert sound(tmp_path, data)[128:] == data[128:]
    assert loadmat(io.BytesIO(sound(tmp_path, data)))["t"].tolist() == [[0, 0]]


EMPTY = struct.pack("<II", 14, 0)


@pytest.mark.parametrize(
    ("element", "problem"),
    [
        (matrix(sides=(30000, 30000)), "900000000 values are told of"),
        (matrix(sides=(1, 3)), "3 values are told of"),
        (matrix(sides=(2,)), "1 dimensions"),
        (matrix(sides=(1,) * 40), "40 dimensions"),
        (matrix(sides=(1, 1 << 31)), "or a negative one"),
        (matrix(kind=1, sides=(1, 1000), content=EMPTY), "more than there is room for"),
        (matrix(content=struct.pack("<II", 65535, 16) + bytes(16)), "type 65535"),
        (matrix(content=struct.pack("<II", 9, 1 << 30)), "more than are left"),
        (matrix(content=struct.pack("<II", 9, 16) + bytes(24)), "does not end where it says"),
        (matrix(kind=1, sides=(1, 60_000), content=60_000 * EMPTY), "more than 50000 cells"),
        (matrix()[:60], "more than are left"),
        (struct.pack("<II", 14, 0), "a variable is empty"),
        (struct.pack("<II", 3, 8) + bytes(8), "is no variable"),
        (struct.pack("<II", 15, 8) + b"notzlib!", "damaged"),
        (struct.pack("<II", 15, 20) + zlib.compress(matrix())[:20], "cut short"),
        (b"\x0e\x00", "an element is cut short"),
    ],
)
def test_what_is_not_sound_is_told(tmp_path: Path, element: bytes, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        sound(tmp_path, file(element))


def test_arrays_one_in_the_other(tmp_path: Path) -> None:
    inner = matrix()
    for _ in range(30):
        inner = matrix(kind=1, sides=(1, 1), content=inner)
    with pytest.raises(DataError, match="more than 16 arrays lie one in the other"):
        sound(tmp_path, file(inner))


def test_what_packs_to_little(tmp_path: Path) -> None:
    packed = zlib.compress(bytes(100 << 20), 9)
    with pytest.raises(DataError, match="would unpack to"):
        sound(tmp_path, file(struct.pack("<II", 15, len(packed)) + packed))


def test_a_header_of_no_byte_order(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="in which order bytes stand"):
        sound(tmp_path, file(matrix(), end=b"\x00\x01??"))
