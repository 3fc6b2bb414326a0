"""AEDAT 4: iniVation's present files (DV).

A line, then a header and packets. The header is a flatbuffer that names the compression and holds
an XML text about the streams. A packet has 8 bytes (stream and size, little-endian) and a
compressed flatbuffer; in one of a stream of events (`EVTS`) is a vector of 16-byte events:
microseconds (64 bits), x, y (16 bits each), polarity (8 bits), padding. Each stream is of a camera.
The header says where the packets end and a table of them begins, which is not needed.

A flatbuffer begins with the offset of its table; a table with that of its vtable, which lists where
each field lies. Only what is needed of that is read here, every offset checked.

Source: iniVation's specification of AEDAT 4; the flatbuffers binary format.
"""

import struct
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lfp_snn.data.events import Events
from lfp_snn.data.formats.base import Format, content, events_of, one_camera, put
from lfp_snn.errors import DataError
from lfp_snn.unpacking import allowance, check_events

_MAGIC = b"#!AER-DAT4.0\r\n"
_EVENT = np.dtype(
    [("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "u1"), ("padding", "V3")], align=False
)
_NONE, _LZ4, _LZ4_HIGH, _ZSTD, _ZSTD_HIGH = range(5)
_COMPRESSION, _TABLE_PLACE, _XML = 0, 1, 2  # fields of the header's table
_ELEMENTS = 0  # field of an event packet's table


class _Table:
    """The root table of a flatbuffer."""

    def __init__(self, data: bytes, start: int = 0) -> None:
        self.data = data
        self.start = start + self._uint(start)
        self._vtable = self.start - self._int(self.start)
        self._fields = (self._ushort(self._vtable) - 4) // 2

    def place(self, field: int) -> int | None:
        """The place of a field; `None` if the buffer does not have it."""
        if field >= self._fields:
            return None
        offset = self._ushort(self._vtable + 4 + 2 * field)
        return self.start + offset if offset else None

    def integer(self, field: int) -> int:
        """A 32-bit number; 0 if absent."""
        place = self.place(field)
        return 0 if place is None else self._int(place)

    def long(self, field: int) -> int | None:
        """A 64-bit number; `None` if absent."""
        place = self.place(field)
        return None if place is None else self._unpack("<q", place)

    def vector(self, field: int) -> tuple[int, int]:
        """The place of the first element of a vector (or a text), and the number of elements."""
        place = self.place(field)
        if place is None:
            return 0, 0
        begin = place + self._uint(place)
        return begin + 4, self._uint(begin)

    def _unpack(self, form: str, at: int) -> int:
        if at < 0:
            raise struct.error("an offset leads before the beginning")
        return int(struct.unpack_from(form, self.data, at)[0])

    def _uint(self, at: int) -> int:
        return self._unpack("<I", at)

    def _int(self, at: int) -> int:
        return self._unpack("<i", at)

    def _ushort(self, at: int) -> int:
        return self._unpack("<H", at)


def read(path: Path) -> Events:
    """All events of a file of one camera."""
    return one_camera(path, read_cameras(path))


def read_cameras(path: Path) -> dict[str, Events]:
    """All events of each stream that has any."""
    data = content(path)
    if not data.startswith(_MAGIC):
        version = data[len("#!AER-DAT") : len(_MAGIC)].split(b"\r")[0].decode("latin-1")
        raise DataError(f"{path} is of AEDAT version {version!r}; versions 2.0, 3.1, 4.0 are read")
    try:
        header = _header(data)
        unpack = _unpacker(path, header.compression)
        packets = _packets(path, data[: header.end], header.begin, unpack, set(header.streams))
    except (struct.error, ElementTree.ParseError, UnicodeDecodeError, ValueError) as error:
        raise DataError(f"{path} is damaged: {error}") from error
    found = {}
    for number, parts in sorted(packets.items()):
        check_events(path, sum(map(len, parts)))
        events, stream = np.concatenate(parts), header.streams[number]
        found[f"{number}: {stream.source}" if stream.source else str(number)] = events_of(
            path, events["x"], events["y"], events["t"], events["p"], stream.size
        )
    return found


class _Stream(NamedTuple):
    """A stream of events as the header describes it: (height, width), and the camera."""

    size: tuple[int, int] | None
    source: str


class _Header(NamedTuple):
    """The header: compression, the event streams by number, and where packets begin and end."""

    compression: int
    streams: dict[int, _Stream]
    begin: int
    end: int


def _header(data: bytes) -> _Header:
    begin = len(_MAGIC)
    (size,) = struct.unpack_from("<I", data, begin)
    begin += 4
    if begin + size > len(data):
        raise ValueError("the header is cut short")
    table = _Table(data[begin : begin + size])
    place, length = table.vector(_XML)
    text = table.data[place : place + length].decode()
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ValueError("the header declares entities, which no camera does")
    streams: dict[int, _Stream] = {}
    for node in ElementTree.fromstring(text).iter("node"):
        attributes = {attr.get("key"): attr.text or "" for attr in node.findall("attr")}
        if attributes.get("typeIdentifier") == "EVTS":
            streams[int(node.get("name", ""))] = _stream(node)
    end = table.long(_TABLE_PLACE)
    if end is None or end <= 0:  # the table is written last: a recording cut off has none
        end = len(data)
    elif not begin + size <= end <= len(data):
        raise ValueError(f"its table of packets is said to begin at byte {end}, outside the file")
    return _Header(table.integer(_COMPRESSION), streams, begin + size, end)


def _stream(node: ElementTree.Element) -> _Stream:
    """The stream that a node `info` describes; only direct children are looked at, each once."""
    values = {attr.get("key"): attr.text or "" for attr in node.findall("node[@name='info']/attr")}
    size = None
    if {"sizeX", "sizeY"} <= values.keys():
        size = int(values["sizeY"]), int(values["sizeX"])
    return _Stream(size, values.get("source", ""))


def _packets(
    path: Path,
    data: bytes,
    place: int,
    unpack: Callable[[bytes], bytes],
    streams: set[int],
) -> dict[int, list[npt.NDArray[Any]]]:
    """Events of every packet, by stream."""
    found: dict[int, list[npt.NDArray[Any]]] = {}
    left = allowance(path)
    while place + 8 <= len(data):
        stream, size = struct.unpack_from("<ii", data, place)
        place += 8
        if stream not in streams:
            if stream < 0 or size < 0:  # the index, which is no packet
                break
            place += size
            continue
        if size <= 0 or place + size > len(data):
            raise ValueError(f"a packet at byte {place} is cut short")
        packet = unpack(data[place : place + size])
        place += size
        left -= len(packet)
        if left < 0:
            raise ValueError("it unpacks to far more than a recording of its size holds")
        # A size of 4 bytes precedes the buffer.
        begin, count = _Table(packet, 4).vector(_ELEMENTS)
        if begin + count * _EVENT.itemsize > len(packet):
            raise ValueError("a packet tells of more events than it holds")
        if count:
            events = np.frombuffer(packet, _EVENT, count, begin)
            found.setdefault(stream, []).append(events)
    return found


def _unpacker(path: Path, compression: int) -> Callable[[bytes], bytes]:
    """A function that undoes the compression of a packet, up to the allowance of the file."""
    most = allowance(path)
    if compression == _NONE:
        return lambda packet: packet
    try:
        if compression in (_LZ4, _LZ4_HIGH):
            import lz4.frame

            def lz4_frame(packet: bytes) -> bytes:
                decoder = lz4.frame.LZ4FrameDecompressor()
                try:
                    return bytes(decoder.decompress(packet, max_length=most + 1))
                except RuntimeError as error:
                    raise ValueError(f"a packet cannot be unpacked ({error})") from error

            return lz4_frame
        if compression in (_ZSTD, _ZSTD_HIGH):
            import zstandard

            def zstd_frame(packet: bytes) -> bytes:
                try:
                    with zstandard.ZstdDecompressor().stream_reader(packet) as reader:
                        return bytes(reader.read(most + 1))
                except zstandard.ZstdError as error:
                    raise ValueError(f"a packet cannot be unpacked ({error})") from error

            return zstd_frame
    except ImportError as error:
        raise DataError(
            f"{path} is compressed, and reading it takes {error.name}, which is not installed: "
            "pip install 'lfp_snn[formats]'"
        ) from error
    raise DataError(f"{path} has the compression {compression}, which is not known")


def write(events: Events, path: Path) -> None:
    """Write an AEDAT 4 file with one uncompressed stream; times are below 2**63 microseconds."""
    _, height, width = events.sensor
    xml = (
        '<dv version="2.0"><node name="outInfo" path="/mainloop/Recorder/outInfo/">'
        '<node name="0" path="/mainloop/Recorder/outInfo/0/">'
        '<attr key="compression" type="string">NONE</attr>'
        '<attr key="typeIdentifier" type="string">EVTS</attr>'
        '<node name="info" path="/mainloop/Recorder/outInfo/0/info/">'
        f'<attr key="sizeX" type="int">{width}</attr><attr key="sizeY" type="int">{height}</attr>'
        "</node></node></node></dv>"
    ).encode()
    raw = np.zeros(len(events), _EVENT)
    raw["t"], raw["x"], raw["y"], raw["p"] = events.t, events.x, events.y, events.p
    packet = _buffer(b"EVTS", raw.tobytes(), len(events))
    packet = struct.pack("<I", len(packet)) + packet
    header = _header_buffer(xml)
    body = struct.pack("<ii", 0, len(packet)) + packet
    put(path, _MAGIC + struct.pack("<I", len(header)) + header + body)


def _buffer(kind: bytes, elements: bytes, count: int) -> bytes:
    """A flatbuffer with one vector in field 0."""
    # root offset 8 bytes on (behind the identifier and the vtable), vtable of one field, table.
    vtable = struct.pack("<HHH", 6, 8, 4) + b"\0\0"
    root = 8 + len(vtable)
    table = struct.pack("<iI", root - 8, 4)
    return struct.pack("<I", root) + kind + vtable + table + struct.pack("<I", count) + elements


def _header_buffer(xml: bytes) -> bytes:
    """The header: no compression, no index, and the text in field 2."""
    vtable = struct.pack("<HHHHH", 10, 20, 4, 8, 16) + b"\0\0"
    root = 8 + len(vtable)
    table = struct.pack("<iiqI", root - 8, _NONE, -1, 4)
    text = struct.pack("<I", len(xml)) + xml + b"\0"
    return struct.pack("<I", root) + b"IOHE" + vtable + table + text


FORMAT = Format(
    "aedat4", "AEDAT 4", (".aedat4",), lambda head: head.startswith(b"#!AER-DAT4"), read, write,
    read_cameras,
)  # fmt: skip
