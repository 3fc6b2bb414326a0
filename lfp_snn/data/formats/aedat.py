"""AEDAT 2.0 (jAER) and 3.1 (cAER): iniVation's older files.

- 2.0: lines that start with `#`, then 8 bytes an event, big-endian: address and microseconds. What
  an address means depends on the chip, which the header names: DVS128 has polarity in bit 0
  (0 is ON), x in bits 1 to 7 and y in bits 8 to 14; a DAVIS and a DVXplorer have polarity in bit
  11, x in bits 12 to 21 and y in bits 22 to 30, and bits 10 and 31 mark what is no contrast event.
  jAER counts from the lower right corner; here, as everywhere, x and y begin at the upper left.
  Where no chip is named, addresses of 16 bits are those of a DVS128, and others are refused. The
  clock of 32 bits goes round every 71 minutes.
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
from lfp_snn.data.formats.base import (
    Format,
    check_times,
    content,
    events_of,
    one_camera,
    put,
    records,
    text_lines,
    unwrapped,
)
from lfp_snn.errors import DataError

_EVENT_2 = np.dtype([("address", ">u4"), ("t", ">u4")])
_EVENT_3 = np.dtype([("data", "<u4"), ("t", "<u4")])
_PACKET = struct.Struct("<hhiiiiii")
_POLARITY = 1
_CLOCK_2 = 32  # bits of the times in AEDAT 2.0
_DVS128 = "dvs128"
#: (height, width) by chip. All but the first have the addresses of a DAVIS.
_SIZES = {
    _DVS128: (128, 128), "davis128": (128, 128), "davis208": (192, 208), "davis240": (180, 240),
    "davis346": (260, 346), "davis640": (480, 640), "dvxplorer": (480, 640),
}  # fmt: skip
_OLDER_NAMES = {"sbret10": "davis240"}
_END_2 = b"#End Of ASCII Header"
_END_3 = b"#!END-HEADER"


def _version(path: Path, data: bytes, known: str) -> None:
    """Refuse every version of AEDAT but the given one."""
    named = re.match(rb"#!AER-DAT(\d+\.\d+)", data)
    if named is None or named[1].decode() != known:
        found = named[1].decode() if named else "none"
        raise DataError(
            f"{path} is of AEDAT version {found}; versions 2.0, 3.1 and 4.0 are read. Convert it "
            "with the software of the camera, such as DV or jAER"
        )


def _chip(name: str) -> str | None:
    """The chip of `_SIZES` that a header's name stands for, such as `DAVIS240C`; else `None`."""
    name = name.strip().lower().rpartition(".")[2]
    variant = re.match(r"davis\d{3}", name)
    name = variant[0] if variant else _OLDER_NAMES.get(name, name)
    return name if name in _SIZES else None


def _chip_of(path: Path, header: bytes, address: npt.NDArray[np.int64]) -> str:
    """The chip that the header of an AEDAT 2.0 file names."""
    named = re.search(rb"^#\s*AEChip\s*:\s*(.+)$", header, re.M)
    chip = _chip(named[1].decode()) if named else None
    if chip is not None:
        return chip
    if named is None and not (address >> 16).any():
        return _DVS128
    what = f"of the chip {named[1].decode().strip()!r}" if named else "of a chip it does not name"
    raise DataError(
        f"{path} is {what}, whose addresses are not known; known are {', '.join(_SIZES)}. If it is "
        "one of these, say so in a header line such as '# AEChip: DAVIS240C'"
    )


def read_2(path: Path) -> Events:
    """All contrast events of an AEDAT 2.0 file."""
    data = content(path)
    _version(path, data, "2.0")
    start = text_lines(path, data, b"#", last=(_END_2,))
    raw = records(path, data, start, _EVENT_2)
    address, t = raw["address"].astype(np.int64), unwrapped(raw["t"], _CLOCK_2)
    chip = _chip_of(path, data[:start], address)
    height, width = _SIZES[chip]
    if chip == _DVS128:
        kept = address < 1 << 15  # beyond are special events, such as synchronisation
        address, t = address[kept], t[kept]
        x, y, p = address >> 1 & 127, address >> 8 & 127, 1 - (address & 1)
    else:
        kept = (address >> 31 == 0) & (address >> 10 & 1 == 0)
        address, t = address[kept], t[kept]
        x, y, p = address >> 12 & 1023, address >> 22 & 511, address >> 11 & 1
    return events_of(path, width - 1 - x, height - 1 - y, t, p, (height, width))


def write_2(events: Events, path: Path) -> None:
    """Write an AEDAT 2.0 file of a DVS128, or of the smallest DAVIS that the sensor fits."""
    check_times(path, events, 1 << _CLOCK_2)
    _, height, width = events.sensor
    x, y, p = (each.astype(np.uint32) for each in (events.x, events.y, events.p))
    raw = np.empty(len(events), _EVENT_2)
    raw["t"] = events.t
    if (height, width) == _SIZES[_DVS128]:
        camera = "DVS128"
        raw["address"] = (1 - p) | (127 - x) << np.uint32(1) | (127 - y) << np.uint32(8)
    else:
        fitting = [name for name, size in _SIZES.items() if size == (height, width)]
        if not fitting:
            raise DataError(
                f"{path}: AEDAT 2.0 holds DVS128, DAVIS and DVXplorer cameras, none of which has "
                f"{width} x {height} pixels; write AEDAT 3.1 instead"
            )
        camera = fitting[0].replace("davis", "Davis")
        x, y = width - 1 - x, height - 1 - y
        raw["address"] = p << np.uint32(11) | x << np.uint32(12) | y << np.uint32(22)
    put(path, f"#!AER-DAT2.0\r\n# AEChip: {camera}\r\n".encode() + raw.tobytes())


def read_3(path: Path) -> Events:
    """All valid polarity events of an AEDAT 3.1 file of one camera."""
    return one_camera(path, read_cameras_3(path))


def read_cameras_3(path: Path) -> dict[str, Events]:
    """All valid polarity events of an AEDAT 3.1 file, by the source that they come from."""
    data = content(path)
    _version(path, data, "3.1")
    start = text_lines(path, data, b"#", last=(_END_3,))
    header = data[:start]
    form = re.search(rb"^#Format:\s*(\S+)", header, re.M)
    if form and form[1] != b"RAW":
        raise DataError(
            f"{path} has events in the form {form[1].decode()!r}; expected RAW. Convert it with "
            "the software of the camera, such as DV"
        )
    names = {
        int(number): name.decode().strip()
        for number, name in re.findall(rb"^#Source (\d+):(.*)$", header, re.M)
    }
    found = {}
    for source, (words, times) in _sources(path, data, start).items():
        word, chip = np.concatenate(words), _chip(names.get(source, ""))
        found[f"{source}: {names[source]}" if source in names else str(source)] = events_of(
            path, word >> 17, word >> 2 & 0x7FFF, np.concatenate(times), word >> 1 & 1,
            _SIZES[chip] if chip else None,
        )  # fmt: skip
    return found


_Columns = tuple[list[npt.NDArray[Any]], list[npt.NDArray[Any]]]


def _sources(path: Path, data: bytes, place: int) -> dict[int, _Columns]:
    """The words and times of the valid polarity events of every packet, by source."""
    found: dict[int, _Columns] = {}
    while place < len(data):
        if len(data) - place < _PACKET.size:
            raise DataError(f"{path} is truncated in the middle of a packet's header")
        kind, source, size, _, overflow, capacity, number, _ = _PACKET.unpack_from(data, place)
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
            words, times = found.setdefault(source, ([], []))
            words.append(raw["data"])
            times.append(raw["t"].astype(np.int64) + (overflow << 31))
        place += size * number
    return {source: columns for source, columns in found.items() if any(map(len, columns[0]))}


def write_3(events: Events, path: Path) -> None:
    """Write an AEDAT 3.1 file with one packet of polarity events."""
    check_times(path, events, 1 << 31)
    x, y, p = (each.astype(np.uint32) for each in (events.x, events.y, events.p))
    raw = np.empty(len(events), _EVENT_3)
    raw["data"] = np.uint32(1) | p << np.uint32(1) | y << np.uint32(2) | x << np.uint32(17)
    raw["t"] = events.t
    number = len(events)
    packet = _PACKET.pack(_POLARITY, 1, _EVENT_3.itemsize, 4, 0, number, number, number)
    put(path, b"#!AER-DAT3.1\r\n#Format: RAW\r\n" + _END_3 + b"\r\n" + packet + raw.tobytes())


def _other_version(head: bytes) -> bool:
    """Whether a file has any version but 3 and 4, so that `read_2` names unknown ones."""
    return head.startswith(b"#!AER-DAT") and head[9:10] not in (b"3", b"4")


FORMAT_2 = Format("aedat2", "AEDAT 2.0", (".aedat",), _other_version, read_2, write_2)
FORMAT_3 = Format(
    "aedat3", "AEDAT 3.1", (".aedat",), lambda h: h.startswith(b"#!AER-DAT3"), read_3, write_3,
    read_cameras_3,
)  # fmt: skip
