"""Event Stream files (`.es`), version 2: contrast events, and those of an ATIS.

16 bytes (the name, three of the version, the type), then width and height (16 bits each,
little-endian), then events of 5 bytes: microseconds since the one before with the polarity, and x
and y (16 bits each, little-endian). Between events, a byte of its own adds the longest step to the
time, and another is there for receivers that have lost their place. An ATIS event carries another
bit, for the threshold crossings of its grey levels, which are no contrast events and are left out.

The specification does not say which corner rows are counted from; the tools that come with it count
them from the lower left. Here, as everywhere, y begins at the top.

Source: the Event Stream specification, version 2.0.
"""

import struct
from pathlib import Path

import numpy as np

from lfp_snn.compiled import compiled
from lfp_snn.data.events import Events
from lfp_snn.data.formats.base import Format, check_times, content, events_of, put
from lfp_snn.errors import DataError

_NAME = b"Event Stream"
_VERSION = 2
_START = struct.Struct("<12sBBBBHH")
_DVS, _ATIS = 1, 2
_TYPES = ("generic", "DVS", "ATIS", "display", "color")
_LONGEST_DVS = 127  # microseconds that a byte between events adds
_LIMIT = 1 << 34  # gaps are counted in bytes, so a late first event would take many


def read(path: Path) -> Events:
    """All contrast events of a file."""
    data = content(path)
    if len(data) < 16:
        raise DataError(f"{path} is truncated: its header takes 16 bytes, and it has {len(data)}")
    version, kind = data[12], data[15]
    if version != _VERSION:
        raise DataError(
            f"{path} is of Event Stream version {'.'.join(map(str, data[12:15]))}; expected 2.x"
        )
    if kind not in (_DVS, _ATIS):
        name = _TYPES[kind] if kind < len(_TYPES) else f"unknown (type {kind})"
        raise DataError(
            f"{path} holds {name} events, which have no place and polarity that are specified; "
            "DVS and ATIS events are read"
        )
    if len(data) < _START.size:
        raise DataError(f"{path} is truncated in the middle of its header")
    *_, width, height = _START.unpack_from(data)
    stream = np.frombuffer(data, np.uint8, offset=_START.size)
    x, y, t, p, left = _decode(stream, 1 if kind == _DVS else 2)
    if left:
        raise DataError(f"{path} is truncated: {left} of the 5 bytes of the last event are there")
    return events_of(path, x, height - 1 - y, t, p, (height, width))


@compiled
def _decode(stream, flags):  # type: ignore[no-untyped-def]
    """The columns of the events, and the number of bytes of an incomplete event at the end.

    A first byte has the time above one flag (DVS: polarity) or two (ATIS: threshold crossing, and
    polarity). The largest time is none: with no flags it is a reset, with others an overflow.
    """
    size = len(stream) // 5
    x, y = np.empty(size, np.int32), np.empty(size, np.int32)
    t, p = np.empty(size, np.int64), np.empty(size, np.uint8)
    longest = 255 >> flags
    mask = (1 << flags) - 1
    kept, now, place = 0, np.int64(0), 0
    while place < len(stream):
        first = np.int64(stream[place])
        step, bits = first >> flags, first & mask
        if step == longest:
            now += longest * bits
            place += 1
            continue
        if place + 5 > len(stream):
            return x[:kept], y[:kept], t[:kept], p[:kept], len(stream) - place
        now += step
        if flags == 1 or bits & 1 == 0:
            x[kept] = np.int32(stream[place + 1]) | np.int32(stream[place + 2]) << 8
            y[kept] = np.int32(stream[place + 3]) | np.int32(stream[place + 4]) << 8
            t[kept], p[kept] = now, bits >> (flags - 1)
            kept += 1
        place += 5
    return x[:kept], y[:kept], t[:kept], p[:kept], 0


def write(events: Events, path: Path) -> None:
    """Write a file of DVS events in order of time, below 2**34 microseconds."""
    check_times(path, events, _LIMIT)
    events = events.in_order()
    _, height, width = events.sensor
    step = np.diff(events.t, prepend=0)
    overflows = step // _LONGEST_DVS
    ends = np.cumsum(overflows + 5)
    stream = np.full(ends[-1], 0xFF, np.uint8)
    y = height - 1 - events.y
    for n, column in enumerate(
        (step % _LONGEST_DVS << 1 | events.p, events.x & 255, events.x >> 8, y & 255, y >> 8)
    ):
        stream[ends - 5 + n] = column
    put(path, _START.pack(_NAME, _VERSION, 0, 0, _DVS, width, height) + stream.tobytes())


FORMAT = Format(
    "es", "Event Stream .es", (".es",), lambda head: head.startswith(_NAME), read, write
)
