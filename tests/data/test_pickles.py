"""The machine for pickles: plain data comes out as from Python's own, anything else is refused."""

from __future__ import annotations

import gzip
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lfp_snn.data.pickles import read_pickle
from lfp_snn.errors import DataError

DATA: dict[str, Any] = {
    "numbers": [0, -1, 255, 256, 65536, 1 << 40, -(1 << 70), 2.5, True, None],
    "texts": ["a", "é" * 300, b"b", b"c" * 300, ""],
    "nested": [(1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), (), [], {}, {"a": {"b": [1]}}],
    "arrays": [
        np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.array(["ab", "c"]), np.array([True]), np.array([b"x"]),
        np.empty((0, 3)), np.arange(4, dtype=np.complex64),
    ],
    "scalars": [np.float32(1.5), np.int16(-2), np.str_("a"), np.bool_(True)],
}  # fmt: skip


def same(found: Any, expected: Any) -> None:
    if isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype and found.flags.f_contiguous == (
            expected.flags.f_contiguous
        )
        np.testing.assert_array_equal(found, expected)
    elif isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected:
            same(found[key], expected[key])
    elif isinstance(expected, list | tuple):
        assert type(found) is type(expected) and len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            same(one, other)
    else:
        assert type(found) is type(expected) and found == expected


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("packed", [True, False])
def test_plain_data_is_the_same(tmp_path: Path, protocol: int, packed: bool) -> None:
    content = pickle.dumps(DATA, protocol)
    (tmp_path / "p").write_bytes(gzip.compress(content) if packed else content)
    same(read_pickle(tmp_path / "p"), DATA)


def test_the_byte_order_of_a_type(tmp_path: Path) -> None:
    """As with Python's own, the numbers of the array are those of this machine then."""
    array = np.arange(3, dtype=">i4")
    (tmp_path / "p").write_bytes(pickle.dumps({"array": array, "type": array.dtype}, 4))
    found = read_pickle(tmp_path / "p")
    assert found["array"].tolist() == [0, 1, 2] and found["type"] == array.dtype
    assert np.dtype("i4").isnative, "no type of NumPy's own is changed"


def test_texts_of_python_2(tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(b"(dS'data'\nU\x03abcs.")
    assert read_pickle(tmp_path / "p") == {"data": "abc"}
    assert read_pickle(tmp_path / "p", text="bytes") == {b"data": b"abc"}


DTYPE = b"cnumpy\ndtype\n(X\x02\0\0\0%s\x89\x88tR"
RECONSTRUCT = b"cnumpy._core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85C\x01b\x87R"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"cnumpy\nndarray\nJ\0\0\0\x40\x85R.", "an array by its size alone"),
        (b"cnumpy\nndarray\nK\x01\x85\x81.", "the instruction NEWOBJ"),
        (DTYPE % b"O8" + b".", "type"),
        (DTYPE % b"V8" + b".", "type"),
        # the state with which a field of objects is smuggled in
        (DTYPE % b"i8" + b"(K\x03X\x01\0\0\0<NX\x01\0\0\0f\x85N\x4a\xff\xff\xff\xff"
         b"J\xff\xff\xff\xffK?tb.", "byte order"),
        (DTYPE % b"i8" + b"(K\x03X\x01\0\0\0<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?tb.",
         "byte order"),
        (RECONSTRUCT + b"(K\x01K\x09\x85" + DTYPE % b"i8" + b"\x89C\x08AAAAAAAAtb.",
         r"array of \(9,\) values in 8 bytes"),
        (RECONSTRUCT + b"(K\x01J\xff\xff\xff\xff\x85" + DTYPE % b"i8" + b"\x89C\x08AAAAAAAAtb.",
         "an array of no shape"),
        (b"]q\0" + b"(h\0h\0lq\0" * 30 + b".", "would unpack to"),
        (b"]q\0" + b"(h\0h\0lq\0" * 60 + b".", "lists one in the other"),
        (b"]q\0h\0a.", "or one in itself"),
        (b"}K\x01K\x02s.", "keys that are no text"),
        (b"K\x01K\x02R.", "calls what is no function"),
        (b"K\x01K\x02b.", "gives a state to what has none"),
        (b"\x8f.", "the instruction EMPTY_SET"),
        (b"0.", "is no pickle"), (b"t.", "is no pickle"), (b"s.", "is no pickle"),
        (b"h\x07.", "is no pickle"), (b"\x93.", "is no pickle"), (b"", "is no pickle"),
    ],
)  # fmt: skip
def test_anything_else_is_refused(tmp_path: Path, content: bytes, problem: str) -> None:
    (tmp_path / "p").write_bytes(content)
    with pytest.raises(DataError, match=problem):
        read_pickle(tmp_path / "p")


def test_many_instructions_in_few_bytes(tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(gzip.compress(b"]" * 10_000_000 + b"."))
    with pytest.raises(DataError, match="more than 2[0-9]* instructions"):
        read_pickle(tmp_path / "p")
