"""AEDAT 2.0 (jAER) and 3.1 (cAER): iniVation's older files.

- 2.0: lines that start with `#`, then 8 bytes an event, big-endian: address and microseconds. What
  an address means depends on the camera, which the header names: DVS128 has polarity in bit 0
  (0 is ON), x in bits 1 to 7 and y in bits 8 to 14; a DAVIS has polarity in bit 11, x in bits 12 to
  21 and y in bits 22 to 30, and bits 10 and 31 mark what is no contrast event. jAER counts from the
  lower right corner; here, as everywhere, x and y begin at the upper left.
- 3.1: lines that start with `#`, the last of them `#!END-HEADER`, then packets, little-endian: 28
  bytes that say type, size and number of the events, then the events. Polarity events (type 1) have
  a word (bit 0 valid, bit 1 polarity, bits 2 to 16 y, bits 17 to 31 x) and microseconds.

Source: iniVation's and the Sensors Group's specification of the AEDAT file formats.
"""

import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lfp_snn.data.events import Events
from lfp_snn.data.formats.base import Format, content, events_of, put, records
from lfp_snn.errors import DataError

_EVENT_2 = np.dtype([("address", ">u4"), ("t", ">u4")])
_EVENT_3 = np.dtype([("data", "<u4"), ("t", "<u4")])
_PACKET = struct.Struct("<hhiiiiii")
_POLARITY = 1
_SIDE_128 = 128
#: (height, width) of the DAVIS cameras, by what a header calls them.
_DAVIS = {"davis128": (128, 128), "davis208": (192, 208), "davis240": (180, 240),
          "davis346": (260, 346), "davis640": (480, 640)}  # fmt: skip
_END_3 = b"#!END-HEADER\r\n"


def _header(path: Path, data: bytes) -> int:
    """Where the lines that start with a hash end."""
    end = 0
    while data[end : end + 1] == b"#":
        line = data.find(b"\n", end)
        if line < 0:
            raise DataError(f"{path} has a header that does not end; it is damaged")
        text, end = data[end:line], line + 1
        if text.rstrip(b"\r").endswith(b"#!END-HEADER"):
            break
    return end


def read_2(path: Path) -> Events:
    """All contrast events of an AEDAT 2.0 file."""
    data = content(path)
    start = _header(path, data)
    raw = records(path, data, start, _EVENT_2)
    address, t = raw["address"].astype(np.int64), raw["t"].astype(np.int64)
    camera = data[:start].lower()
    davis = re.search(rb"davis\D{0,2}(\d{3})", camera)
    if davis is None:
        kept = address < 1 << 15  # beyond are special events, such as those of synchronisation
        address, t = address[kept], t[kept]
        x, y = 127 - (address >> 1 & 127), 127 - (address >> 8 & 127)
        return events_of(path, x, y, t, 1 - (address & 1), (_SIDE_128, _SIDE_128))
    kept = (address >> 31 == 0) & (address >> 10 & 1 == 0)
    address, t = address[kept], t[kept]
    size = _DAVIS.get(f"davis{davis[1].decode()}")
    if size is None:
        raise DataError(
            f"{path} is of a camera {davis[0].decode()!r}; known are {', '.join(_DAVIS)} and dvs128"
        )
    x, y = size[1] - 1 - (address >> 12 & 1023), size[0] - 1 - (address >> 22 & 511)
    return events_of(path, x, y, t, address >> 11 & 1, size)


def write_2(events: Events, path: Path) -> None:
    """An AEDAT 2.0 file of a DVS128, or of the smallest DAVIS that the sensor fits."""
    _times(path, events)
    _, height, width = events.sensor
    x, y, p = (each.astype(np.uint32) for each in (events.x, events.y, events.p))
    raw = np.empty(len(events), _EVENT_2)
    raw["t"] = events.t
    if (height, width) == (_SIDE_128, _SIDE_128):
        camera = "DVS128"
        raw["address"] = (1 - p) | (127 - x) << np.uint32(1) | (127 - y) << np.uint32(8)
    else:
        fitting = [name for name, size in _DAVIS.items() if size == (height, width)]
        if not fitting:
            raise DataError(
                f"{path}: AEDAT 2.0 holds DVS128 and DAVIS cameras, none of which has "
                f"{width} x {height} pixels; write AEDAT 3.1 instead"
            )
        camera = fitting[0].replace("davis", "Davis")
        x, y = width - 1 - x, height - 1 - y
        raw["address"] = p << np.uint32(11) | x << np.uint32(12) | y << np.uint32(22)
    put(path, f"#!AER-DAT2.0\r\n# AEChip: {camera}\r\n".encode() + raw.tobytes())


def read_3(path: Path) -> Events:
    """All valid polarity events of an AEDAT 3.1 file."""
    data = content(path)
    parts: list[npt.NDArray[Any]] = []
    times: list[npt.NDArray[Any]] = []
    place = _header(path, data)
    while place < len(data):
        if len(data) - place < _PACKET.size:
            raise DataError(f"{path} is truncated in the middle of a packet's header")
        kind, _, size, _, overflow, capacity, number, _ = _PACKET.unpack_from(data, place)
        place += _PACKET.size
        if size < 1 or not 0 <= number <= capacity or place + size * number > len(data):
            raise DataError(
                f"{path} is truncated or damaged: a packet of {number} events of {size} bytes "
                f"begins at byte {place}, where {len(data) - place} bytes are left"
            )
        if kind == _POLARITY:
            if size != _EVENT_3.itemsize:
                raise DataError(f"{path} has polarity events of {size} bytes; expected 8")
            raw = np.frombuffer(data, _EVENT_3, number, place)
            raw = raw[raw["data"] & 1 == 1]
            parts.append(raw["data"])
            times.append(raw["t"].astype(np.int64) + (overflow << 31))
        place += size * number
    if not parts:
        raise DataError(f"{path} has no events")
    word = np.concatenate(parts)
    return events_of(path, word >> 17, word >> 2 & 0x7FFF, np.concatenate(times), word >> 1 & 1)


def write_3(events: Events, path: Path) -> None:
    """An AEDAT 3.1 file with one packet of polarity events."""
    _times(path, events)
    x, y, p = (each.astype(np.uint32) for each in (events.x, events.y, events.p))
    raw = np.empty(len(events), _EVENT_3)
    raw["data"] = np.uint32(1) | p << np.uint32(1) | y << np.uint32(2) | x << np.uint32(17)
    raw["t"] = events.t
    number = len(events)
    packet = _PACKET.pack(_POLARITY, 1, _EVENT_3.itemsize, 4, 0, number, number, number)
    put(path, b"#!AER-DAT3.1\r\n#Format: RAW\r\n" + _END_3 + packet + raw.tobytes())


def _times(path: Path, events: Events) -> None:
    if events.t.min() < 0 or events.t.max() >= 1 << 31:
        raise DataError(
            f"{path}: this format holds times below 2**31 us, but these run from {events.t.min()} "
            f"to {events.t.max()}"
        )


FORMAT_2 = Format(
    "aedat2", "AEDAT 2.0", (".aedat",), lambda h: h.startswith(b"#!AER-DAT2"), read_2, write_2
)
FORMAT_3 = Format(
    "aedat3", "AEDAT 3.1", (".aedat",), lambda h: h.startswith(b"#!AER-DAT3"), read_3, write_3
)
