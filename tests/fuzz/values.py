"""Values that mutations put in the place of others: at the borders of types, or of no type."""

from __future__ import annotations

from typing import Any

#: Numbers at the borders of what formats can write.
NUMBERS = (
    0, 1, 2, 3, 7, 8, 16, 127, 128, 255, 256, 1 << 10, (1 << 15) - 1, 1 << 15, (1 << 16) - 1,
    1 << 16, 1 << 20, 1 << 24, 1 << 28, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 40, 1 << 62,
    (1 << 63) - 1, (1 << 64) - 1, -1, -2, -(1 << 31), -(1 << 63),
)  # fmt: skip
WORDS = (
    "", "nan", "inf", "-inf", "1e999", "-1", "0", "9" * 30, "9" * 5000, "0x" + "f" * 500,
    "1:" * 100 + "0.5", "null", "true", "[]", "{}", "\0", "\ud800", "\x85", "../../x", "/etc",
    "!!int ''",
    "&a [*a]", "*a", "x" * 3000, "é", "%", "\r", "\n", "\t", '"', "a,b", "1" + "0" * 400,
    "2001-99-99",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2.5, 1 << 31, 1 << 62, 1 << 70, -(1 << 70), 1e308, float("nan"),
    float("inf"), "", "x", "\0", "\ud800", "../up", "9" * 400, [], {}, [[]], [None], {"a": 1},
    [1] * 50,
    {"": {}}, "a" * 5000, ["a"] * 2, [1 << 40], [-1], {"name": "mlp"}, {"1": [1]},
)  # fmt: skip
INSTRUCTIONS = (
    *(bytes((n,)) for n in b"(]})N02tldRbas\x81\x85\x88\x8f"), b"h\x01", b"K\x03",
    b"cos\nsystem\n", b"cnumpy\nndarray\n", b"cnumpy\ndtype\n", b"J\xff\xff\xff\x7f",
)  # fmt: skip
DTYPES = ("u1", "i8", "f2", "f8", "S7", "?", "c16", ">i4", "U3")
COLUMNS = ("times", "units", "labels")  # that a reader of HDF5 looks for
LONG_JSON = (b"[" * 100_000, b'{"a":' * 20_000, b"[" + b"9" * 9000 + b"]", b"[]", b"0")
