"""Prophesee's event stream encodings EVT 2.0, 2.1 and 3.0: words to columns, and columns to words.

- EVT 2.0: words of 32 bits. The upper 4 bits are the type: OFF and ON events carry the lower 6 bits
  of the time, x and y (11 bits each); a time word carries the upper 28 bits.
- EVT 2.1: words of 64 bits, laid out as those of EVT 2.0 in their upper half. The lower half has a
  bit for each of 32 columns from x on.
- EVT 3.0: words of 16 bits. The upper 4 bits are the type: a word sets the row, or the upper or
  lower 12 bits of the time, or is an event in a column, or sets a column and polarity for vectors
  that follow, each with a bit for 12 or 8 columns.

Times of 34 bits (EVT 2) go round every 4 h 46 min, those of 24 bits (EVT 3) every 16.8 s: only a
time word whose upper part falls by more than half its range is a round, since lower parts run ahead
for a moment.

Source: Prophesee's documentation of its encoding formats.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lfp_snn.compiled import compiled
from lfp_snn.data.events import Events

LIMIT = 1 << 34
"""Times that are written are smaller: microseconds to the first round of EVT 2."""

_HALF_ROUND_2 = 1 << 27
_HALF_ROUND_3 = 1 << 11
_ONE_COLUMN = np.uint64(1)


class Decoded(NamedTuple):
    """The columns of the events in a stream of words.

    Args:
        x: the columns of the pixels, int32 [E].
        y: the rows of the pixels, int32 [E].
        t: the times in microseconds, int64 [E].
        p: the polarities, uint8 [E], 1 is ON.
        orphans: the number of events before the first time (and, in EVT 3, row), which are left
            out.
        mixed: whether there are events of two cameras in the stream.
    """

    x: npt.NDArray[np.int32]
    y: npt.NDArray[np.int32]
    t: npt.NDArray[np.int64]
    p: npt.NDArray[np.uint8]
    orphans: int
    mixed: bool


def decode_2(words: npt.NDArray[np.uint32]) -> Decoded:
    """Decode EVT 2.0 words, uint32 [W], to events."""
    return Decoded(*_evt2(words))


def decode_21(words: npt.NDArray[np.uint64]) -> Decoded:
    """Decode EVT 2.1 words, uint64 [W], to events."""
    return Decoded(*_evt21((words >> np.uint64(32)).astype(np.uint32), words.astype(np.uint32)))


def decode_3(words: npt.NDArray[np.uint16]) -> Decoded:
    """Decode EVT 3.0 words, uint16 [W], to events."""
    return Decoded(*_evt3(words))


@compiled
def _evt2(words):  # type: ignore[no-untyped-def]
    x, y = np.empty(len(words), np.int32), np.empty(len(words), np.int32)
    t, p = np.empty(len(words), np.int64), np.empty(len(words), np.uint8)
    kept = orphans = others = 0
    high, started, rounds = np.int64(0), False, np.int64(0)
    for word in words:
        kind = word >> 28
        if kind == 8:
            now = np.int64(word & 0xFFFFFFF)
            if started and high - now > _HALF_ROUND_2:
                rounds += 1
            high, started = now, True
        elif kind <= 1:
            if not started:
                orphans += 1
                continue
            t[kept] = ((rounds << 28 | high) << 6) | np.int64(word >> 22 & 0x3F)
            x[kept], y[kept], p[kept] = word >> 11 & 0x7FF, word & 0x7FF, kind
            kept += 1
        elif kind == 4 or kind == 5:  # events of the right camera of a pair
            others += 1
    return x[:kept], y[:kept], t[:kept], p[:kept], orphans, others > 0


@compiled
def _evt21(upper, lower):  # type: ignore[no-untyped-def]
    size = 0
    for w in range(len(upper)):
        if upper[w] >> 28 <= 1:
            bits = lower[w]
            while bits:
                size += 1
                bits &= bits - np.uint32(1)
    x, y = np.empty(size, np.int32), np.empty(size, np.int32)
    t, p = np.empty(size, np.int64), np.empty(size, np.uint8)
    kept = orphans = 0
    high, started, rounds = np.int64(0), False, np.int64(0)
    for w in range(len(upper)):
        word = upper[w]
        kind = word >> 28
        if kind == 8:
            now = np.int64(word & 0xFFFFFFF)
            if started and high - now > _HALF_ROUND_2:
                rounds += 1
            high, started = now, True
        elif kind <= 1:
            now = ((rounds << 28 | high) << 6) | np.int64(word >> 22 & 0x3F)
            place, bits = word >> 11 & 0x7FF, lower[w]
            while bits:
                if bits & 1:
                    if not started:
                        orphans += 1
                    else:
                        x[kept], y[kept], t[kept], p[kept] = place, word & 0x7FF, now, kind
                        kept += 1
                bits >>= np.uint32(1)
                place += 1
    return x[:kept], y[:kept], t[:kept], p[:kept], orphans, False


@compiled
def _evt3_count(words):  # type: ignore[no-untyped-def]
    """The largest number of events that the words can hold, and the number of upper times."""
    total = highs = 0
    for word in words:
        kind = word >> 12
        if kind == 2:
            total += 1
        elif kind == 4 or kind == 5:
            bits = word & (0xFFF if kind == 4 else 0xFF)
            while bits:
                total += 1
                bits &= bits - 1
        elif kind == 8:
            highs += 1
    return total, highs


@compiled
def _evt3(words):  # type: ignore[no-untyped-def]
    size, highs = _evt3_count(words)
    # A camera repeats the upper time all along. Writers that give it once count on by the lower.
    carries = highs == 1
    x, y = np.empty(size, np.int32), np.empty(size, np.int32)
    t, p = np.empty(size, np.int64), np.empty(size, np.uint8)
    kept = orphans = 0
    row, base, polarity = np.int64(-1), np.int64(0), np.int64(0)
    high, low, rounds = np.int64(-1), np.int64(0), np.int64(0)
    systems = np.int64(0)
    for word in words:
        kind, value = word >> 12, np.int64(word & 0xFFF)
        if kind == 0:
            row = value & 0x7FF
            systems |= np.int64(1) << (value >> 11)  # bit 11 tells the cameras of a pair apart
        elif kind == 3:
            base, polarity = value & 0x7FF, value >> 11
        elif kind == 6:
            if carries and low - value > _HALF_ROUND_3:
                high += 1
            low = value
        elif kind == 8:
            if high - value > _HALF_ROUND_3:
                rounds += 1
            if value != high:
                low = np.int64(0)
            high = value
        elif kind == 2 or kind == 4 or kind == 5:
            bits, place, on = np.int64(1), value & 0x7FF, value >> 11
            if kind != 2:
                width = np.int64(12 if kind == 4 else 8)
                bits, place, on = value & ((np.int64(1) << width) - 1), base, polarity
                base += width
            now = (((rounds << 12) + high) << 12) | low
            while bits:
                if bits & 1:
                    if row < 0 or high < 0:
                        orphans += 1
                    else:
                        x[kept], y[kept], t[kept], p[kept] = place, row, now, on
                        kept += 1
                bits >>= 1
                place += 1
    return x[:kept], y[:kept], t[:kept], p[:kept], orphans, systems == 3


def encode_2(events: Events) -> npt.NDArray[np.uint32]:
    """Encode events in order of time as EVT 2.0 words, uint32 [W]; times are below `LIMIT`."""
    t = events.t
    x, y, p = (each.astype(np.uint32) for each in (events.x, events.y, events.p))
    cd = p << np.uint32(28) | (t & 63).astype(np.uint32) << np.uint32(22) | x << np.uint32(11) | y
    high = t >> 6
    new = np.flatnonzero(np.diff(high, prepend=-1))
    marks = np.uint32(8 << 28) | high[new].astype(np.uint32)
    return np.insert(cd, new, marks)


def encode_21(events: Events) -> npt.NDArray[np.uint64]:
    """Encode events in order of time as EVT 2.1 words, one each, uint64 [W]; time below `LIMIT`."""
    bit = events.x.astype(np.uint64) & np.uint64(31)
    aligned = Events(events.x & ~31, events.y, events.t, events.p, events.sensor)
    upper = encode_2(aligned).astype(np.uint64)
    lower = np.zeros(len(upper), np.uint64)
    lower[upper >> np.uint64(28) <= _ONE_COLUMN] = _ONE_COLUMN << bit
    return upper << np.uint64(32) | lower


def encode_3(events: Events) -> npt.NDArray[np.uint16]:
    """Encode events in order of time as EVT 3.0 words, one each, uint16 [W]; time below `LIMIT`.

    Every upper time from 0 on has its word, as cameras write it, so that rounds can be counted.
    """
    high, low = events.t >> 12, (events.t & 0xFFF).astype(np.uint16)
    words: npt.NDArray[Any] = _words_3(
        high, low, events.x.astype(np.uint16), events.y.astype(np.uint16),
        events.p.astype(np.uint16), int(high[-1]) + 1 + 3 * len(high),
    )  # fmt: skip
    return words


@compiled
def _words_3(high, low, x, y, p, most):  # type: ignore[no-untyped-def]
    words = np.empty(most, np.uint16)
    count, last, row = 0, np.int64(-1), np.int64(-1)
    for e in range(len(high)):
        renewed = high[e] != last
        while last < high[e]:
            last += 1
            words[count] = np.uint16(0x8000 | (last & 0xFFF))
            count += 1
        if renewed or low[e] != low[e - 1]:
            words[count] = np.uint16(0x6000 | low[e])
            count += 1
        if y[e] != row:
            row = np.int64(y[e])
            words[count] = y[e]
            count += 1
        words[count] = np.uint16(0x2000 | (p[e] << 11) | x[e])
        count += 1
    return words[:count]
