"""Event files as their specifications lay them out, written without the package's own writers."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

Event = tuple[int, int, int, int]
"""(t in microseconds, x, y, polarity), y counted as the format counts it."""


def evt2(events: Sequence[Event], sort: str = "<I") -> bytes:
    """EVT 2.0: the upper time before each event, its clock going round at 2**34 us."""
    words = []
    for t, x, y, p in events:
        words += [0x8 << 28 | t >> 6 & 0xFFFFFFF, p << 28 | (t & 63) << 22 | x << 11 | y]
    return b"".join(struct.pack(sort, word) for word in words)


def evt21(events: Sequence[Event], upper_first: bool = False) -> bytes:
    """EVT 2.1: 64-bit words, of which some cameras send the upper half first."""
    halves = []
    for t, x, y, p in events:
        base = x & ~31
        for upper, lower in (
            (0x8 << 28 | t >> 6 & 0xFFFFFFF, 0),
            (p << 28 | (t & 63) << 22 | base << 11 | y, 1 << x - base),
        ):
            halves += [upper, lower] if upper_first else [lower, upper]
    return np.array(halves, "<u4").tobytes()


def evt3(events: Sequence[Event], system: int = 0) -> bytes:
    """EVT 3.0 as a camera writes it: every upper time has its word, and words are repeated."""
    words, high = [], -1
    for t, x, y, p in events:
        while high < t >> 12:
            high += 1
            words.append(0x8000 | high & 0xFFF)
        words += [0x8000 | high & 0xFFF, 0x6000 | t & 0xFFF, system << 11 | y, 0x2000 | p << 11 | x]
    return np.array(words, "<u2").tobytes()


def davis(events: Sequence[Event], width: int, height: int) -> bytes:
    """Records of AEDAT 2.0 with the addresses of a DAVIS, counted from the lower right corner."""
    return b"".join(
        struct.pack(">II", (height - 1 - y) << 22 | (width - 1 - x) << 12 | p << 11, t & 0xFFFFFFFF)
        for t, x, y, p in events
    )


def es_dvs(events: Sequence[Event], width: int, height: int) -> bytes:
    """Event Stream 2.0 of DVS events: 7 bits of time, overflows of 127 us, y from the bottom."""
    out, last = b"Event Stream" + bytes((2, 0, 0, 1)) + struct.pack("<HH", width, height), 0
    for t, x, y, p in events:
        step, last = t - last, t
        out += b"\xff" * (step // 127)
        out += bytes((step % 127 << 1 | p,)) + struct.pack("<HH", x, y)
    return out


def es_atis(events: Sequence[tuple[int, int, int, int, int]], width: int, height: int) -> bytes:
    """The same of ATIS events with a fifth value, 1 for a threshold crossing; overflows of 63 us,
    up to three in a byte."""
    out, last = b"Event Stream" + bytes((2, 0, 0, 2)) + struct.pack("<HH", width, height), 0
    for t, x, y, p, crossing in events:
        step, last = t - last, t
        many, some = divmod(step // 63, 3)
        out += b"\xff" * many + (bytes((0b11111100 | some,)) if some else b"")
        out += bytes((step % 63 << 2 | p << 1 | crossing,)) + struct.pack("<HH", x, y)
    return out


def es_generic(payloads: Sequence[bytes]) -> bytes:
    """The same of generic events, one a microsecond, each with its length in 7 bits."""
    events = b"".join(bytes((1, len(each) << 1)) + each for each in payloads)
    return b"Event Stream" + bytes((2, 0, 0, 0)) + events
