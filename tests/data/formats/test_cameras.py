"""The binary formats of cameras: read right, or refused in one sentence."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lfp_snn.data.events import Events
from lfp_snn.data.formats import FORMATS, detect, read_recording, write_recording
from lfp_snn.errors import DataError
from tests.data.formats import encoders
from tests.data.formats.encoders import Event

CASES = Path(__file__).parent / "cases"

SOME: list[Event] = [(5, 3, 2, 1), (70, 60, 40, 0), (70, 63, 41, 1), (9000, 0, 47, 0)]


def columns(events: Events) -> list[Event]:
    """Events as rows of (t, x, y, p)."""
    parts = (events.t, events.x, events.y, events.p)
    return list(zip(*(part.tolist() for part in parts), strict=True))


def read(tmp_path: Path, name: str, data: bytes, **how: Any) -> Events:
    (tmp_path / name).write_bytes(data)
    return read_recording(tmp_path / name, **how)


# ---------------------------------------------------------------- files that were read wrong


@pytest.mark.parametrize(
    ("name", "form", "size", "start"),
    [
        ("aedat4-uncompressed.aedat4", "aedat4", (480, 640), 1_700_000_000_000_000),
        ("aedat2-sbret10.aedat", "aedat2", (180, 240), 0),
        ("aedat2-dvxplorer.aedat", "aedat2", (480, 640), 0),
        ("evt21.raw", "raw21", (320, 320), 0),
        ("evt21-no-geometry.raw", "raw21", (60, 100), 0),
        ("dat-version-1.dat", "dat", (60, 100), 0),
        ("raw-old-header.raw", "raw2", (60, 100), 0),
        ("hdf5-dsec.h5", "hdf5", (60, 100), 57_000_000_000),
        ("hdf5-xs-ys.hdf5", "hdf5", (60, 100), 0),
        ("hdf5-CD-events.hdf5", "hdf5", (60, 640), 0),
        ("mat-7.3.mat", "mat", (60, 100), 0),
    ],
)
def test_the_400_events_are_read(name: str, form: str, size: tuple[int, int], start: int) -> None:
    """All files hold the same events; one of them, evt21.raw, is compared with by its columns."""
    if FORMATS[form].suffixes[0] in (".h5", ".mat"):
        pytest.importorskip("h5py")
    assert detect(CASES / name).name == form
    events = read_recording(CASES / name)
    assert len(events) == 400 and events.sensor == (2, *size)
    assert columns(events)[:3] == [
        (start + 547, 96, 55, 1), (start + 1070, 31, 12, 0), (start + 1281, 79, 20, 0),
    ]  # fmt: skip
    same = read_recording(CASES / "evt21.raw")
    assert columns(events) == [(start + t, x, y, p) for t, x, y, p in columns(same)]
    assert events.size_from_events == (size[0] == 60)


def test_data_that_begin_with_the_mark_of_a_header() -> None:
    events = read_recording(CASES / "raw-without-end.raw")
    assert len(events) == 400 and events.t[0] == 2403
    events = read_recording(CASES / "aedat2-first-byte-hash.aedat")
    assert len(events) == 400 and columns(events)[0] == (547, 96, 38, 1)
    events = read_recording(CASES / "aedat2-hash-inside.aedat")
    assert columns(events) == [(10, 3, 38, 1), (20, 4, 60, 0), (30, 5, 61, 1)]


def test_a_lower_time_that_runs_ahead_is_no_round_of_the_clock() -> None:
    assert read_recording(CASES / "evt3-time.raw").t.tolist() == [4196, 4197, 8192]


def test_two_cameras_are_a_choice() -> None:
    path = CASES / "aedat3-two-cameras.aedat"
    with pytest.raises(DataError, match="2 cameras: '1: DAVIS240C', '2: DVS128'"):
        read_recording(path)
    one, two = (read_recording(path, camera=name) for name in ("1", "2: DVS128"))
    assert (len(one), one.sensor, len(two), two.sensor) == (400, (2, 180, 240), 100, (2, 128, 128))
    with pytest.raises(DataError, match="no events of a camera '3'"):
        read_recording(path, camera="3")
    with pytest.raises(DataError, match="holds one camera"):
        read_recording(CASES / "evt21.raw", camera="1")


# ---------------------------------------------------------------- Prophesee


@pytest.mark.parametrize("rounds", [0, 1, 3])
def test_clocks_of_evt_go_round(rounds: int, tmp_path: Path) -> None:
    late = [(t + (rounds << 24) + k * (1 << 12), x, y, p) for k, (t, x, y, p) in enumerate(SOME)]
    data = b"% evt 3.0\n% end\n" + encoders.evt3(late)
    assert columns(read(tmp_path, "3.raw", data)) == late
    # A clock of 34 bits: it is not at zero when a recording begins, so the first round is what is.
    far = [(t + k * (1 << 33) // 2, x, y, p) for k in range(2 * rounds + 1) for t, x, y, p in SOME]
    for version, encode in (("2.0", encoders.evt2), ("2.1", encoders.evt21)):
        events = read(tmp_path, "2.raw", f"% evt {version}\n% end\n".encode() + encode(far))
        assert columns(events) == far


def test_both_orders_of_the_halves_of_evt21(tmp_path: Path) -> None:
    for header in (b"% evt 2.1\n", b"% format EVT21;endianness=legacy\n", b"% format EVT21\n"):
        data = header + b"% end\n" + encoders.evt21(SOME, upper_first=True)
        assert columns(read(tmp_path, "a.raw", data)) == SOME
    swapped = np.frombuffer(encoders.evt21(SOME), "<u8").astype(">u8").tobytes()
    data = b"% format EVT21;endianness=big\n% end\n" + swapped
    assert columns(read(tmp_path, "a.raw", data)) == SOME


def test_an_evt21_word_is_an_event_for_each_of_its_bits(tmp_path: Path) -> None:
    words = [0x8 << 60, 1 << 60 | 7 << 54 | 64 << 43 | 9 << 32 | 0x80000005]
    events = read(tmp_path, "v.raw", b"% evt 2.1\n% end\n" + np.array(words, "<u8").tobytes())
    assert columns(events) == [(7, 64, 9, 1), (7, 66, 9, 1), (7, 95, 9, 1)]


def test_words_of_the_other_byte_order(tmp_path: Path) -> None:
    data = b"% format EVT2;endianness=big\n% end\n" + encoders.evt2(SOME, ">I")
    assert columns(read(tmp_path, "big.raw", data)) == SOME


@pytest.mark.parametrize(
    ("header", "data", "message"),
    [
        (b"% evt 4.0\n% end\n", bytes(8), "encoding '4'"),
        (b"% format HISTO3D;height=320\n% end\n", bytes(8), "encoding 'HISTO3D'"),
        (b"% plugin_name x\n% end\n", encoders.evt3(SOME) + bytes(2), "does not name its encoding"),
        (b"% evt 2.0\n% end\n", encoders.evt2([(1, 1, 1, 0), (2, 1, 1, 4)]), "two cameras"),
        (b"% evt 3.0\n% end\n", encoders.evt3(SOME) + encoders.evt3(SOME, 1), "two cameras"),
        (b"% evt 2.1\n% end\n", encoders.evt21(SOME)[:-3], "truncated"),
        (b"% Data file containing CD\n% Version 3\n", b"\x0c\x08" + bytes(8), "version 3"),
    ],
)
def test_what_is_unknown_is_named(header: bytes, data: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, "unknown.raw", header + data)


def test_dat_files_that_name_no_version(tmp_path: Path) -> None:
    old = struct.pack("<II", 7, 1 << 17 | 200 << 9 | 300)
    new = struct.pack("<II", 7, 1 << 28 | 700 << 14 | 1200)
    for word, row in ((old, (7, 300, 200, 1)), (new, (7, 1200, 700, 1))):
        events = read(tmp_path, "v.dat", b"% Date 2015\n\x0c\x08" + word)
        assert columns(events) == [row]


def test_the_clock_of_dat_goes_round(tmp_path: Path) -> None:
    times = [2**32 - 5, 3, 2**32 - 1, 4, 1, 2**31, 2**32 - 4, 2]
    data = b"".join(struct.pack("<II", t, 1) for t in times)
    events = read(tmp_path, "c.dat", b"% Data file containing CD\n% Version 2\n\x0c\x08" + data)
    rounds = [0, 1, 0, 1, 1, 1, 1, 2]
    assert events.t.tolist() == [t + (n << 32) for t, n in zip(times, rounds, strict=True)]


# ---------------------------------------------------------------- AEDAT


@pytest.mark.parametrize(
    ("chip", "size"),
    [
        ("eu.seebetter.ini.chips.davis.DAVIS240A", (240, 180)),
        ("eu.seebetter.ini.chips.davis.Davis346blue", (346, 260)),
        ("eu.seebetter.ini.chips.davis.DAVIS640", (640, 480)),
        ("eu.seebetter.ini.chips.sbret10.SBret10", (240, 180)),
        ("eu.seebetter.ini.chips.davis.DVXplorer", (640, 480)),
    ],
)
def test_chips_of_aedat_2(chip: str, size: tuple[int, int], tmp_path: Path) -> None:
    header = f"#!AER-DAT2.0\r\n# HardwareInterface: DVS128\r\n# AEChip: {chip}\r\n".encode()
    events = read(tmp_path, "c.aedat", header + encoders.davis(SOME, *size))
    assert columns(events) == SOME and events.sensor == (2, size[1], size[0])


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"#!AER-DAT2.0\r\n# AEChip: com.sec.dvs.SecDvs640Gen2\r\n", "SecDvs640Gen2"),
        (b"#!AER-DAT2.0\r\n# AEChip: a.DavisRGBW640\r\n", "DavisRGBW640"),
        (b"#!AER-DAT2.0\r\n# no chip\r\n", "a chip it does not name"),
        (b"#!AER-DAT1.0\r\n", "AEDAT version 1.0"),
        (b"#!AER-DAT3.0\r\n#Format: RAW\r\n", "AEDAT version 3.0"),
        (b"#!AER-DAT3.1\r\n#Format: Compressed\r\n#!END-HEADER\r\n", "form 'Compressed'"),
        (b"#!AER-DAT4.1\r\n", "AEDAT version '4.1'"),
    ],
)
def test_versions_and_chips_that_are_unknown(header: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, "c.aedat", header + encoders.davis(SOME, 240, 180))


def test_without_a_chip_addresses_of_16_bits_are_those_of_a_dvs128(tmp_path: Path) -> None:
    data = struct.pack(">II", 3 << 8 | 5 << 1, 9)
    events = read(tmp_path, "d.aedat", b"#!AER-DAT2.0\r\n# created in 2009\r\n" + data)
    assert columns(events) == [(9, 122, 124, 1)] and events.sensor == (2, 128, 128)


def test_the_clock_of_aedat_2_goes_round(tmp_path: Path) -> None:
    """Each step is below half a round; the first stamps are negative as jAER has them."""
    header = b"#!AER-DAT2.0\r\n# AEChip: DAVIS240C\r\n"
    late = [(2**32 - 10 + k * 2_000_000_000, k, k, k % 2) for k in range(9)]
    events = read(tmp_path, "c.aedat", header + encoders.davis(late, 240, 180))
    assert columns(events) == late


def test_an_aedat_4_file_that_was_cut_has_no_table(tmp_path: Path) -> None:
    whole = (CASES / "aedat4-uncompressed.aedat4").read_bytes()
    end = 7270  # where the header says that the table begins
    place = whole.index(struct.pack("<q", end))
    cut = whole[:place] + struct.pack("<q", -1) + whole[place + 8 : end]
    assert len(read(tmp_path, "cut.aedat4", cut)) == 400
    lying = whole[:place] + struct.pack("<q", 1 << 40) + whole[place + 8 :]
    with pytest.raises(DataError, match="outside the file"):
        read(tmp_path, "lying.aedat4", lying)


def test_two_streams_of_aedat_4(tmp_path: Path) -> None:
    x, t, p = np.array([1, 2], np.int16), np.array([1, 2]), np.array([1, 0], np.uint8)
    events = Events(x, x, t, p, (2, 9, 9))
    write_recording(events, tmp_path / "one.aedat4", "aedat4")
    data = (tmp_path / "one.aedat4").read_bytes()
    start, end = data.index(b'<node name="0"'), data.index(b"</node></node></node>") + 14
    stream = data[start:end].replace(b'name="0"', b'name="1"').replace(b"outInfo/0/", b"outInfo/1/")
    length = struct.unpack_from("<I", data, data.index(b"<dv") - 4)[0]
    header = struct.unpack_from("<I", data, 14)[0]
    packet = data[18 + header :]
    two = (
        data[:14] + struct.pack("<I", header + len(stream)) + data[18 : data.index(b"<dv") - 4]
        + struct.pack("<I", length + len(stream)) + data[data.index(b"<dv") : end] + stream
        + data[end : 18 + header] + packet + struct.pack("<i", 1) + packet[4:]
    )  # fmt: skip
    with pytest.raises(DataError, match="2 cameras: '0', '1'"):
        read(tmp_path, "two.aedat4", two)
    assert columns(read(tmp_path, "two.aedat4", two, camera="1")) == columns(events)


# ---------------------------------------------------------------- Event Stream


def test_event_stream_of_a_dvs(tmp_path: Path) -> None:
    late = [*SOME, (9127, 1, 1, 1), (9127 + 126, 1, 1, 0), (3_000_000, 63, 47, 1)]
    flipped = [(t, x, 47 - y, p) for t, x, y, p in late]
    data = encoders.es_dvs(flipped, 64, 48)
    events = read(tmp_path, "a.es", data)
    assert columns(events) == late and events.sensor == (2, 48, 64)
    with_resets = data[:20] + b"\xfe" * 5 + data[20:]
    assert columns(read(tmp_path, "b.es", with_resets)) == late
    write_recording(events, tmp_path / "c.es", "es")
    assert (tmp_path / "c.es").read_bytes() == data


def test_event_stream_of_an_atis(tmp_path: Path) -> None:
    late = [(5, 3, 2, 1, 0), (68, 4, 2, 0, 0), (300, 9, 9, 1, 1), (9_000, 7, 5, 1, 0)]
    data = encoders.es_atis([(t, x, 47 - y, p, c) for t, x, y, p, c in late], 64, 48)
    reset = data[:20] + b"\xfc" * 5 + data[20:]
    for each in (data, reset):
        assert columns(read(tmp_path, "a.es", each)) == [row[:4] for row in late if not row[4]]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (encoders.es_generic([b"hello", b"you"]), "generic events"),
        (b"Event Stream\x01\x00\x00\x01" + bytes(9), "version 1.0.0"),
        (b"Event Stream\x02\x00\x00\x09" + bytes(9), r"type 9"),
        (b"Event Stream\x02\x00", "truncated"),
        (encoders.es_dvs(SOME, 64, 48)[:-2], "3 of the 5 bytes"),
        (encoders.es_dvs(SOME, 64, 40), "off the 64 x 40|below zero"),
    ],
)
def test_event_streams_that_are_none(data: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, "bad.es", data)


# ---------------------------------------------------------------- writing late times


@pytest.mark.parametrize("name", ["raw2", "raw21", "raw3", "es"])
def test_hours_go_round(name: str, tmp_path: Path) -> None:
    """EVT 3 past the 16.8 s of its clock, an hour here, and words out of order."""
    t = np.array([3_600_000_000, 5, 17_000_000, 16_777_215, 3_600_004_096, 3_600_004_096])
    small = np.array([3, 0, 33, 34, 9, 9])
    events = Events(
        small.astype(np.int16), small[::-1].astype(np.int16), t, (small % 2).astype(np.uint8),
        (2, 40, 40),
    )  # fmt: skip
    write_recording(events, tmp_path / "late", name)
    assert columns(read_recording(tmp_path / "late")) == columns(events.in_order())


@pytest.mark.parametrize("name", FORMATS)
def test_stamps_since_1970_are_kept_or_refused(name: str, tmp_path: Path) -> None:
    events = read_recording(CASES / "aedat4-uncompressed.aedat4")
    small = Events(events.x, events.y, events.t, events.p, (2, 128, 128))
    path = tmp_path / "stamps"
    if name in ("aedat4", "hdf5", "npy", "npz", "mat", "table"):
        write_recording(small, path, name)
        assert columns(read_recording(path)) == columns(events)
        return
    with pytest.raises(DataError, match="data convert --from-zero"):
        write_recording(small, path, name)
    write_recording(small.from_zero(), path, name)
    again = read_recording(path, name)
    assert (again.t[0], again.t[-1], len(again)) == (0, 199441 - 547, 400)
