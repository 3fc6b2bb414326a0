"""Prophesee's files: `.dat`, and `.raw` with EVT 2.0 or EVT 3.0.

All begin with lines of text that start with `%`.

- `.dat`: then two bytes (type and size of an event), then 8 bytes an event, little-endian: time in
  microseconds (32 bits), x (14 bits), y (14 bits), polarity (4 bits).
- EVT 2.0: words of 32 bits. The upper 4 bits are the type: OFF and ON events carry the lower 6 bits
  of the time, x and y (11 bits each); a time word carries the upper 28 bits.
- EVT 3.0: words of 16 bits. The upper 4 bits are the type: a word sets the row, or the upper or
  lower 12 bits of the time, or is an event in a column, or sets a column and polarity for vectors
  that follow, each with a bit for 12 or 8 columns. The 24 bits of time go round every 16.8 s.

Source: Prophesee's documentation of its file and data formats.
"""

import re
from pathlib import Path

import numba
import numpy as np

from lfp_snn.data.events import Events
from lfp_snn.data.formats.base import Format, content, events_of, put, records
from lfp_snn.errors import DataError

_DAT = np.dtype([("t", "<u4"), ("data", "<u4")])
_CD_TYPES = (0x00, 0x0C)
_HALF_ROUND = 1 << 11  # a step back of the upper 12 bits by more than that is a round of the clock


def _header(path: Path, data: bytes) -> tuple[str, int]:
    """The lines that start with a percent sign, and where they end."""
    end = 0
    while data[end : end + 1] == b"%":
        line = data.find(b"\n", end)
        if line < 0:
            raise DataError(f"{path} has a header that does not end; it is damaged")
        end = line + 1
        if data[end - 5 : end].strip() == b"end":
            break
    return data[:end].decode("latin-1"), end


def _size(header: str) -> tuple[int, int] | None:
    """(height, width), if the header tells: `Height 240`, `height=720` or `geometry 1280x720`."""
    geometry = re.search(r"geometry\W+(\d{1,5})x(\d{1,5})", header, re.I)
    if geometry:
        return int(geometry[2]), int(geometry[1])
    found = [re.search(rf"{word}\W+(\d{{1,5}})", header, re.I) for word in ("height", "width")]
    if all(found):
        height, width = (int(each[1]) for each in found if each)
        return (height, width) if height and width else None
    return None


def read_dat(path: Path) -> Events:
    """All events of a `.dat` file."""
    data = content(path)
    header, start = _header(path, data)
    if len(data) < start + 2:
        raise DataError(f"{path} has a header, but no events")
    kind, size = data[start], data[start + 1]
    if kind not in _CD_TYPES or size != _DAT.itemsize:
        raise DataError(
            f"{path} holds events of type {kind} in {size} bytes; expected contrast events "
            f"(type 0 or 12) in 8 bytes"
        )
    raw = records(path, data, start + 2, _DAT)
    word = raw["data"]
    return events_of(path, word & 0x3FFF, word >> 14 & 0x3FFF, raw["t"], word >> 28, _size(header))


def write_dat(events: Events, path: Path) -> None:
    """A `.dat` file; times below 2**32 microseconds."""
    _times(path, events, 1 << 32)
    raw = np.empty(len(events), _DAT)
    raw["t"] = events.t
    x, y, p = (each.astype(np.uint32) for each in (events.x, events.y, events.p))
    raw["data"] = x | y << np.uint32(14) | p << np.uint32(28)
    _, height, width = events.sensor
    header = f"% Data file containing CD events.\n% Version 2\n% Height {height}\n% Width {width}\n"
    put(path, header.encode() + bytes((0x0C, 8)) + raw.tobytes())


def read_raw(path: Path) -> Events:
    """All events of a `.raw` file, EVT 2.0 or 3.0."""
    data = content(path)
    header, start = _header(path, data)
    if _is_evt3(header):
        words = records(path, data, start, np.dtype("<u2"))
        x, y, t, p, orphans = _evt3(words)
    else:
        words = records(path, data, start, np.dtype("<u4"))
        x, y, t, p, orphans = _evt2(words)
    if orphans and not len(t):
        raise DataError(f"{path} has no time before its events; it is damaged")
    return events_of(path, x, y, t, p, _size(header))


def _is_evt3(header: str) -> bool:
    return re.search(r"evt\W*3", header, re.I) is not None


@numba.njit(cache=True, nogil=True)
def _evt2(words):  # type: ignore[no-untyped-def]
    """Columns of the events, and how many came before the first time word (left out)."""
    x, y = np.empty(len(words), np.int32), np.empty(len(words), np.int32)
    t, p = np.empty(len(words), np.int64), np.empty(len(words), np.uint8)
    kept = orphans = 0
    high, started, rounds = np.int64(0), False, np.int64(0)
    for word in words:
        kind = word >> 28
        if kind == 8:
            now = np.int64(word & 0xFFFFFFF)
            if started and high - now > 1 << 27:
                rounds += 1
            high, started = now, True
        elif kind <= 1:
            if not started:
                orphans += 1
                continue
            t[kept] = ((rounds << 28 | high) << 6) | np.int64(word >> 22 & 0x3F)
            x[kept], y[kept], p[kept] = word >> 11 & 0x7FF, word & 0x7FF, kind
            kept += 1
    return x[:kept], y[:kept], t[:kept], p[:kept], orphans


@numba.njit(cache=True, nogil=True)
def _evt3_count(words):  # type: ignore[no-untyped-def]
    """How many events the words can hold at most."""
    total = 0
    for word in words:
        kind = word >> 12
        if kind == 2:
            total += 1
        elif kind == 4 or kind == 5:
            bits = word & (0xFFF if kind == 4 else 0xFF)
            while bits:
                total += 1
                bits &= bits - 1
    return total


@numba.njit(cache=True, nogil=True)
def _evt3(words):  # type: ignore[no-untyped-def]
    """Columns of the events, and how many came before row and time were known (left out)."""
    size = _evt3_count(words)
    x, y = np.empty(size, np.int32), np.empty(size, np.int32)
    t, p = np.empty(size, np.int64), np.empty(size, np.uint8)
    kept = orphans = 0
    row, base, polarity = np.int64(-1), np.int64(0), np.int64(0)
    high, low, rounds = np.int64(-1), np.int64(0), np.int64(0)
    renewed = False  # has the upper part of the time come since the lower part did?
    for word in words:
        kind, value = word >> 12, np.int64(word & 0xFFF)
        if kind == 0:
            row = value & 0x7FF
        elif kind == 3:
            base, polarity = value & 0x7FF, value >> 11
        elif kind == 6:
            if value < low and not renewed:
                high += 1  # some writers leave the upper part out as it counts on
            low, renewed = value, False
        elif kind == 8:
            if high - value > _HALF_ROUND:
                rounds += 1
            if value != high:
                low, renewed = np.int64(0), True
            high = value
        elif kind == 2 or kind == 4 or kind == 5:
            bits, place, on = np.int64(1), value & 0x7FF, value >> 11
            if kind != 2:
                width = np.int64(12 if kind == 4 else 8)
                bits, place, on = value & ((np.int64(1) << width) - 1), base, polarity
                base += width
            now = ((rounds << 12 | high) << 12) | low
            while bits:
                if bits & 1:
                    if row < 0 or high < 0:
                        orphans += 1
                    else:
                        x[kept], y[kept], t[kept], p[kept] = place, row, now, on
                        kept += 1
                bits >>= 1
                place += 1
    return x[:kept], y[:kept], t[:kept], p[:kept], orphans


def write_raw2(events: Events, path: Path) -> None:
    """A `.raw` file with EVT 2.0: in order of time, below 2**34 microseconds."""
    _times(path, events, 1 << 34)
    order = np.argsort(events.t, kind="stable")
    t = events.t[order]
    x, y, p = (each[order].astype(np.uint32) for each in (events.x, events.y, events.p))
    cd = p << np.uint32(28) | (t & 63).astype(np.uint32) << np.uint32(22) | x << np.uint32(11) | y
    high = t >> 6
    new = np.flatnonzero(np.diff(high, prepend=-1))
    marks = np.uint32(8 << 28) | high[new].astype(np.uint32)
    put(
        path, _raw_header(events, "2.0", "EVT2") + np.insert(cd, new, marks).astype("<u4").tobytes()
    )


def write_raw3(events: Events, path: Path) -> None:
    """A `.raw` file with EVT 3.0, an event a word and no vectors: in order of time."""
    _times(path, events, 1 << 24)
    order = np.argsort(events.t, kind="stable")
    words: list[int] = []
    row = high = low = -1
    for x, y, t, p in zip(
        events.x[order].tolist(),
        events.y[order].tolist(),
        events.t[order].tolist(),
        events.p[order].tolist(),
        strict=True,
    ):
        if t >> 12 != high:
            high, low = t >> 12, 0
            words.append(8 << 12 | high)
        if t & 0xFFF != low:
            low = t & 0xFFF
            words.append(6 << 12 | low)
        if y != row:
            row = y
            words.append(row)
        words.append(2 << 12 | p << 11 | x)
    put(path, _raw_header(events, "3.0", "EVT3") + np.array(words, "<u2").tobytes())


def _raw_header(events: Events, version: str, name: str) -> bytes:
    _, height, width = events.sensor
    return (
        f"% evt {version}\n% format {name};height={height};width={width}\n"
        f"% geometry {width}x{height}\n% end\n"
    ).encode()


def _times(path: Path, events: Events, end: int) -> None:
    if events.t.min() < 0 or events.t.max() >= end:
        raise DataError(
            f"{path}: this format holds times from 0 to {end - 1} us, but these run from "
            f"{events.t.min()} to {events.t.max()}"
        )


def _is_raw(head: bytes) -> bool:
    return head.startswith(b"%") and re.search(rb"%\s*(evt|format\s+EVT)", head, re.I) is not None


def _recognises_3(head: bytes) -> bool:
    return _is_raw(head) and _is_evt3(head.decode("latin-1"))


def _recognises_dat(head: bytes) -> bool:
    return head.startswith(b"%") and not _is_raw(head)


DAT = Format("dat", "Prophesee .dat", (".dat",), _recognises_dat, read_dat, write_dat)
RAW_2 = Format("raw2", "Prophesee .raw (EVT 2.0)", (".raw",), _is_raw, read_raw, write_raw2)
RAW_3 = Format("raw3", "Prophesee .raw (EVT 3.0)", (".raw",), _recognises_3, read_raw, write_raw3)
