"""Prophesee's files: `.dat`, and `.raw` with EVT 2.0, EVT 2.1 or EVT 3.0.

All begin with lines of text, each a percent sign, a space, a keyword and a value; `.raw` may end
them with `% end`.

- `.dat`: then two bytes (type and size of an event), then 8 bytes an event, little-endian: time in
  microseconds (32 bits), and in version 2 x (14 bits), y (14 bits), polarity (4 bits), in version 1
  x (9 bits), y (8 bits), polarity (1 bit).
- `.raw`: then words in the encoding that the header names (see `evt`). Files from before there were
  several name none and hold EVT 2.0, which their words must confirm.

Source: Prophesee's documentation of its file and data formats.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lfp_snn.data.events import Events
from lfp_snn.data.formats import evt
from lfp_snn.data.formats.base import (
    Format,
    check_times,
    content,
    events_of,
    put,
    records,
    text_lines,
    unwrapped,
)
from lfp_snn.errors import DataError

_DAT = np.dtype([("t", "<u4"), ("data", "<u4")])
_CD_TYPES = (0x00, 0x0C)
_CLOCK = 32  # bits of the times in .dat
#: What the header calls the encodings, with the bytes of a word and their decoder.
_ENCODINGS: dict[str, tuple[int, Callable[[Any], evt.Decoded]]] = {
    "2": (4, evt.decode_2),
    "21": (8, evt.decode_21),
    "3": (2, evt.decode_3),
}
_KNOWN_TYPES_2 = (0x0, 0x1, 0x8, 0xA, 0xE, 0xF)
_SAMPLE = 1 << 16  # words, among which a camera sends hundreds of times
#: Keywords that only headers of .raw files have.
_RAW_KEYWORDS = re.compile(
    r"%\s*(evt|format|geometry|(?:camera_|plugin_)?integrator_name|plugin_name|system_ID"
    r"|subsystem_ID|sensor_generation|firmware_version)\b",
    re.I,
)


def _header(path: Path, data: bytes) -> tuple[str, int]:
    """The header's lines, which start with a percent sign and a space, and where they end."""
    end = text_lines(path, data, b"% ", last=(b"% end",))
    return data[:end].decode("latin-1"), end


def _size(header: str) -> tuple[int, int] | None:
    """The size (height, width) by the header: `Height 240`, `height=720` or `geometry 1280x720`."""
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
    word, t = raw["data"], unwrapped(raw["t"], _CLOCK)
    if _dat_version(path, header, word) == 1:
        return events_of(path, word & 0x1FF, word >> 9 & 0xFF, t, word >> 17 & 1, _size(header))
    return events_of(path, word & 0x3FFF, word >> 14 & 0x3FFF, t, word >> 28, _size(header))


def _dat_version(path: Path, header: str, words: npt.NDArray[np.uint32]) -> int:
    """The version, 1 or 2, by the header, else by the words, which have 18 bits in version 1."""
    named = re.search(r"%\s*version\W+(\d{1,9})", header, re.I)
    if named is None:
        return 1 if not (words >> 18).any() else 2
    if named[1] not in ("1", "2"):
        raise DataError(f"{path} is a .dat file of version {named[1]}; versions 1 and 2 are read")
    return int(named[1])


def write_dat(events: Events, path: Path) -> None:
    """Write a `.dat` file, version 2; times are below 2**32 microseconds."""
    check_times(path, events, 1 << _CLOCK)
    raw = np.empty(len(events), _DAT)
    raw["t"] = events.t
    x, y, p = (each.astype(np.uint32) for each in (events.x, events.y, events.p))
    raw["data"] = x | y << np.uint32(14) | p << np.uint32(28)
    _, height, width = events.sensor
    header = f"% Data file containing CD events.\n% Version 2\n% Height {height}\n% Width {width}\n"
    put(path, header.encode() + bytes((0x0C, 8)) + raw.tobytes())


def read_raw(path: Path) -> Events:
    """All events of a `.raw` file, EVT 2.0, 2.1 or 3.0."""
    data = content(path)
    header, start = _header(path, data)
    name = _encoding(header)
    if name not in (None, *_ENCODINGS):
        raise DataError(f"{path} has the encoding {name!r}; EVT 2.0, 2.1 and 3.0 are read")
    size, decode = _ENCODINGS[name or "2"]
    order = ">" if re.search(r"endianness\W+big", header, re.I) else "<"
    words = records(path, data, start, np.dtype(f"{order}u{size}"))
    words = words.astype(words.dtype.newbyteorder("="), copy=False)
    if name is None and not _look_like_evt2(words):
        raise DataError(
            f"{path} does not name its encoding in the header, and its words are no EVT 2.0; add "
            "a line such as '% evt 3.0' to the header if you know it"
        )
    if name == "21":
        words = _halves(header, words)
    found = decode(words)
    if found.mixed:
        raise DataError(
            f"{path} holds the events of two cameras in one stream, which is not read; separate "
            "them with the camera's own software"
        )
    if found.orphans and not len(found.t):
        raise DataError(f"{path} has no time before its events; it is damaged")
    return events_of(path, found.x, found.y, found.t, found.p, _size(header))


def _encoding(header: str) -> str | None:
    """The encoding by the header: '2', '21' or '3' if known; `None` if the header is silent."""
    named = re.search(r"%\s*format\s+([^\s;]+)", header, re.I)
    name = named[1] if named else None
    if name is None:
        version = re.search(r"%\s*evt\s+(\S+)", header, re.I)
        name = version[1] if version else None
    if name is None:
        return None
    number = re.fullmatch(r"(?:evt)?(\d)\.?(\d?)", name, re.I)
    return number[1] + number[2].strip("0") if number else name


def _look_like_evt2(words: npt.NDArray[np.uint32]) -> bool:
    """Whether words are of known types only, and times among them rise or go round."""
    kinds = words >> 28
    times = (words[kinds == 8] & 0xFFFFFFF).astype(np.int64)
    fall = -np.diff(times)
    in_order = ((fall <= 0) | (fall > 1 << 27)).all()
    return bool(np.isin(kinds, _KNOWN_TYPES_2).all() and len(times) and in_order)


def _halves(header: str, words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """EVT 2.1 words with their halves in order; some cameras send the upper half first.

    Where the header does not say so, the time words tell: their lower halves are empty.
    """
    if re.search(r"endianness\W+(little|big)", header, re.I):
        return words
    some = words[:_SAMPLE]
    legacy = re.search(r"endianness\W+legacy", header, re.I) is not None
    if legacy or _empty_times(_swapped(some)) > _empty_times(some):
        return _swapped(words)
    return words


def _swapped(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    return words << np.uint64(32) | words >> np.uint64(32)


def _empty_times(words: npt.NDArray[np.uint64]) -> int:
    times = words >> np.uint64(60) == np.uint64(8)
    return int(np.count_nonzero(times & (words.astype(np.uint32) == 0)))


def _raw_writer(
    version: str, name: str, encode: Callable[[Events], npt.NDArray[Any]]
) -> Callable[[Events, Path], None]:
    """A writer of `.raw` files of one encoding; times ascend, below 2**34 microseconds."""

    def write(events: Events, path: Path) -> None:
        check_times(path, events, evt.LIMIT)
        _, height, width = events.sensor
        header = (
            f"% evt {version}\n% format {name};height={height};width={width}\n"
            f"% geometry {width}x{height}\n% end\n"
        ).encode()
        words = encode(events.in_order())
        put(path, header + words.astype(words.dtype.newbyteorder("<")).tobytes())

    return write


def _is_raw(head: bytes) -> bool:
    return head.startswith(b"%") and _RAW_KEYWORDS.search(head.decode("latin-1")) is not None


def _recognises(encoding: str) -> Callable[[bytes], bool]:
    return lambda head: _is_raw(head) and _encoding(head.decode("latin-1")) == encoding


def _recognises_dat(head: bytes) -> bool:
    return head.startswith(b"%") and not _is_raw(head)


def _raw(name: str, version: str, recognises: Callable[[bytes], bool], encode: Any) -> Format:
    label = "EVT" + version.replace(".", "").rstrip("0")
    return Format(
        name, f"Prophesee .raw (EVT {version})", (".raw",), recognises, read_raw,
        _raw_writer(version, label, encode),
    )  # fmt: skip


DAT = Format("dat", "Prophesee .dat", (".dat",), _recognises_dat, read_dat, write_dat)
RAW_3 = _raw("raw3", "3.0", _recognises("3"), evt.encode_3)
RAW_21 = _raw("raw21", "2.1", _recognises("21"), evt.encode_21)
RAW_2 = _raw("raw2", "2.0", _is_raw, evt.encode_2)
