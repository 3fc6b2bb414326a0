"""Readers against the libraries that read the same, and against their own writers."""

from __future__ import annotations

import gzip
import os
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lfp_snn.data.events import Events
from lfp_snn.data.formats import (
    FORMATS,
    Layout,
    detect,
    hdf5,
    read_recording,
    write_recording,
)
from lfp_snn.data.nmnist import read_events
from lfp_snn.errors import DataError

RealData = Callable[[str], Path]


def some_events(
    seed: int = 0, count: int = 200, size: tuple[int, int] = (128, 128), latest: int = 1 << 22
) -> Events:
    rng = np.random.default_rng(seed)
    height, width = size
    x = rng.integers(0, width, count).astype(np.int16)
    y = rng.integers(0, height, count).astype(np.int16)
    x[0], y[0] = width - 1, height - 1  # so that the size can be told
    t = np.sort(rng.integers(0, latest, count)).astype(np.int64)
    return Events(x, y, t, rng.integers(0, 2, count).astype(np.uint8), (2, height, width))


def units(count: int = 50) -> Events:
    events = some_events(1, count, (1, 700), latest=10**6)
    zeros = np.zeros(count, np.uint8)
    return Events(events.x, events.y * 0, events.t, zeros, (1, 1, 700))


def assert_same(got: Events, expected: Events, size: bool = True) -> None:
    for name in ("x", "y", "t", "p"):
        column, wanted = getattr(got, name), getattr(expected, name)
        assert column.dtype == wanted.dtype
        np.testing.assert_array_equal(column, wanted, err_msg=name)
    if size:
        assert got.sensor == expected.sensor


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_written_is_read_again(name: str, tmp_path: Path) -> None:
    events = units() if name == "hdf5" else some_events()
    path = tmp_path / f"one{FORMATS[name].suffixes[0]}"
    write_recording(events, path, name)
    assert detect(path).name == name
    assert_same(read_recording(path), events)
    assert_same(read_recording(path, name), events)


@pytest.mark.parametrize("name", [n for n in FORMATS if n != "bin"])
def test_the_content_tells_whatever_the_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / "recording.dat"
    write_recording(units() if name == "hdf5" else some_events(), path, name)
    assert detect(path).name == name


@given(seed=st.integers(0, 2**31), count=st.integers(1, 60))
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@pytest.mark.parametrize("name", [n for n in FORMATS if n != "hdf5"])
def test_any_events_go_round(name: str, seed: int, count: int, tmp_path: Path) -> None:
    events = some_events(seed, count)
    write_recording(events, tmp_path / "any.bin", name)
    assert_same(read_recording(tmp_path / "any.bin", name), events)


# ---------------------------------------------------------------- the libraries that read the same


def test_nmnist_is_read_as_by_its_own_reader(real_data: RealData) -> None:
    path = real_data("formats") / "sample_nmnist.bin"
    assert_same(read_recording(path), read_events(path), size=False)


def test_ncars_dat_is_read_as_by_expelliarmus(real_data: RealData) -> None:
    expelliarmus = pytest.importorskip("expelliarmus")
    path = real_data("formats") / "sample_ncars.dat"
    expected = expelliarmus.Wizard(encoding="dat").read(path)
    assert_columns(read_recording(path), expected)


@pytest.mark.parametrize(("name", "encoding"), [("dat", "dat"), ("raw2", "evt2"), ("raw3", "evt3")])
def test_prophesees_files_are_those_of_expelliarmus(
    name: str, encoding: str, tmp_path: Path
) -> None:
    """Both ways: what it writes is read here, and it reads what is written here.

    Its reader of EVT 3.0 counts a round of the lower time twice where the upper time comes as well,
    as in the files of cameras; so what it reads of ours stays within one round.
    """
    expelliarmus = pytest.importorskip("expelliarmus")
    suffix = FORMATS[name].suffixes[0]
    wizard = expelliarmus.Wizard(encoding=encoding)
    # Dense enough in time for its writer of EVT 3.0, which leaves the upper time out.
    events = some_events(3, 5000, (720, 1280), latest=1 << (18 if name == "raw3" else 23))
    array = np.empty(len(events), [("t", "i8"), ("x", "i2"), ("y", "i2"), ("p", "u1")])
    array["t"], array["x"], array["y"], array["p"] = events.t, events.x, events.y, events.p
    wizard.save(fpath=tmp_path / f"theirs{suffix}", arr=array)
    assert_columns(read_recording(tmp_path / f"theirs{suffix}"), array)
    if name == "raw3":
        events = some_events(3, 500, (720, 1280), latest=1 << 12)
    write_recording(events, tmp_path / f"ours{suffix}", name)
    assert_columns(events, wizard.read(tmp_path / f"ours{suffix}"))


def test_aedat4_is_read_as_by_aedat(real_data: RealData) -> None:
    aedat = pytest.importorskip("aedat")
    path = real_data("formats") / "sample.aedat4"
    decoder = aedat.Decoder(str(path))
    packets = [packet["events"] for packet in decoder if "events" in packet]
    raw = np.concatenate(packets)
    events = read_recording(path)
    assert len(events) == len(raw) > 1000
    np.testing.assert_array_equal(events.t, raw["t"])
    np.testing.assert_array_equal(events.x, raw["x"])
    np.testing.assert_array_equal(events.y, raw["y"])
    np.testing.assert_array_equal(events.p, raw[list(raw.dtype.names or ())[-1]])


def test_our_aedat4_is_read_by_aedat(tmp_path: Path) -> None:
    aedat = pytest.importorskip("aedat")
    events = some_events()
    write_recording(events, tmp_path / "ours.aedat4", "aedat4")
    packets = [p["events"] for p in aedat.Decoder(str(tmp_path / "ours.aedat4")) if "events" in p]
    raw = np.concatenate(packets)
    np.testing.assert_array_equal(events.t, raw["t"])
    np.testing.assert_array_equal(events.x, raw["x"])


def addresses_by_tonic(path: Path) -> npt.NDArray[Any]:
    """Address and time of every event. (tonic 1.7's readers of cameras above it do not run: they
    expect two results of its header reader, which gives three.)"""
    tonic_io = pytest.importorskip("tonic.io")
    version, start, _ = tonic_io.read_aedat_header_from_file(str(path))
    raw: npt.NDArray[Any] = tonic_io.get_aer_events_from_file(str(path), version, start)
    return raw


def test_aedat3_is_read_as_by_tonic(tmp_path: Path) -> None:
    """Polarity events in AEDAT 3.1, as DVS Gesture has them."""
    path = tmp_path / "gesture.aedat"
    write_recording(some_events(), path, "aedat3")
    events, raw = read_recording(path), addresses_by_tonic(path)
    np.testing.assert_array_equal(events.t, raw["timeStamp"])
    np.testing.assert_array_equal(events.x, raw["address"] >> 17 & 0x1FFF)
    np.testing.assert_array_equal(events.y, raw["address"] >> 2 & 0x1FFF)
    np.testing.assert_array_equal(events.p, raw["address"] >> 1 & 1)


@pytest.mark.parametrize(("height", "width"), [(260, 346), (180, 240), (128, 128)])
def test_aedat2_is_read_as_by_tonic(height: int, width: int, tmp_path: Path) -> None:
    path = tmp_path / "camera.aedat"
    write_recording(some_events(size=(height, width)), path, "aedat2")
    events, raw = read_recording(path), addresses_by_tonic(path)
    assert events.sensor == (2, height, width)
    np.testing.assert_array_equal(events.t, raw["timeStamp"])
    address = raw["address"].astype(np.int64)
    x, y = (1, 8) if width == 128 else (12, 22)  # the lowest bit of each
    np.testing.assert_array_equal(events.x, width - 1 - (address >> x & (127 if x == 1 else 1023)))
    np.testing.assert_array_equal(events.y, height - 1 - (address >> y & (127 if x == 1 else 511)))
    np.testing.assert_array_equal(
        events.p, 1 - (address & 1) if width == 128 else address >> 11 & 1
    )


def assert_columns(events: Events, expected: npt.NDArray[Any]) -> None:
    for name in ("t", "x", "y", "p"):
        np.testing.assert_array_equal(getattr(events, name), expected[name], err_msg=name)


def test_st_mnist(real_data: RealData) -> None:
    from scipy.io import loadmat

    path = real_data("formats") / "sample_stmnist.mat"
    train = loadmat(path)["spiketrain"]
    events = read_recording(path)
    assert events.sensor == (2, 10, 10)
    assert len(events) == np.count_nonzero(train[:-1])
    taxel = events.y.astype(int) * 10 + events.x
    column = np.searchsorted(train[-1], events.t / 1e6 - 1e-9)
    for k in (0, len(events) // 2, len(events) - 1):
        same = np.flatnonzero(np.abs(train[-1] - events.t[k] / 1e6) < 2e-6)
        assert any(train[taxel[k], c] == (1 if events.p[k] else -1) for c in same)
    assert column.max() < train.shape[1]


def test_a_header_without_events_is_told(real_data: RealData) -> None:
    with pytest.raises(DataError, match="no events"):
        read_recording(real_data("formats") / "sample_aedat_header.aedat")


# ---------------------------------------------------------------- formats with several layouts


def test_evt3_vectors(tmp_path: Path) -> None:
    """A vector word is an event for each of its bits, in columns from its base on."""
    words = [
        0x8000 | 1,
        0x6000 | 5,
        0x0000 | 7,
        0x3000 | 0x800 | 100,
        0x4000 | 0b101,
        0x5000 | 0b11,
    ]
    header = b"% evt 3.0\n% format EVT3;height=720;width=1280\n% end\n"
    (tmp_path / "v.raw").write_bytes(header + np.array(words, "<u2").tobytes())
    events = read_recording(tmp_path / "v.raw")
    assert events.x.tolist() == [100, 102, 112, 113]
    assert set(events.y.tolist()) == {7} and set(events.p.tolist()) == {1}
    assert set(events.t.tolist()) == {(1 << 12) + 5}


def test_the_clock_of_evt3_goes_round(tmp_path: Path) -> None:
    words = [0x8000 | 0xFFF, 0x6000 | 1, 0x0000, 0x2000 | 3, 0x8000 | 0, 0x6000 | 2, 0x2000 | 4]
    (tmp_path / "v.raw").write_bytes(b"% evt 3.0\n% end\n" + np.array(words, "<u2").tobytes())
    assert read_recording(tmp_path / "v.raw").t.tolist() == [(0xFFF << 12) + 1, (1 << 24) + 2]


@pytest.mark.parametrize(
    ("array", "count", "sensor"),
    [
        (np.array([[5, 1, 2, 1], [9, 3, 0, 0]]), 2, (2, 3, 4)),
        (np.eye(4, dtype=int)[None].repeat(3, 0), 12, (1, 4, 4)),  # frames [T, H, W]
        (np.ones((2, 2, 3, 5), int) * 2, 120, (2, 3, 5)),  # frames [T, P, H, W]
        (np.ones((2, 2, 3, 5), np.float16), 60, (2, 3, 5)),
    ],
)
def test_arrays(
    array: npt.NDArray[Any], count: int, sensor: tuple[int, int, int], tmp_path: Path
) -> None:
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", data=array)
    for name in ("a.npy", "a.npz"):
        events = read_recording(tmp_path / name)
        assert (len(events), events.sensor) == (count, sensor)


def test_axes_of_dense_arrays_are_given(tmp_path: Path) -> None:
    """[channels, polarity, T], [T, polarity, channels] and [T, channels] look alike."""
    path = tmp_path / "a.npy"
    np.save(path, np.arange(6 * 2 * 4).reshape(6, 2, 4) == 9)  # at (1, 0, 1)
    with pytest.raises(DataError, match="t,p,channel or channel,p,t"):
        read_recording(path)
    for order, sensor in (("channel,p,t", (2, 1, 6)), ("t,p,channel", (2, 1, 4))):
        events = read_recording(path, layout=Layout.of(order, None))
        assert (events.t.tolist(), events.x.tolist(), events.sensor) == ([1000], [1], sensor)
    events = read_recording(path, layout=Layout.of("t,y,x", "s"))
    assert (events.t.tolist(), events.sensor) == ([1_000_000], (1, 2, 4))
    np.save(path, np.eye(9, dtype=int)[:, :7] * 2)
    with pytest.raises(DataError, match="t,channel or channel,t"):
        read_recording(path)
    events = read_recording(path, layout=Layout.of("t,channel", None))
    assert events.x.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]
    assert events.sensor == (1, 1, 7) and events.t[-1] == 6000


def test_columns_of_an_npz(tmp_path: Path) -> None:
    np.savez(tmp_path / "c.npz", x=[1, 2], y=[3, 4], timestamps=[10, 20], polarity=[-1, 1])
    events = read_recording(tmp_path / "c.npz")
    assert events.t.tolist() == [10, 20] and events.p.tolist() == [0, 1]


def test_text_in_its_ways(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    for text in (
        "# a comment\n10 1 2 1\n20 3 4 0\n",
        "x,y,p,t\n1,2,1,10\n3,4,-1,20\n",
        "Timestamp;X;Y;Polarity;more\n10;1;2;1;9\n20;3;4;0;9\n",
        "0.00001\t1\t2\t1\n0.00002\t3\t4\t0\n",
    ):
        path.write_text(text)
        events = read_recording(path)
        assert events.t.tolist() == [10, 20] and events.x.tolist() == [1, 3]
        assert events.y.tolist() == [2, 4] and events.p.tolist() == [1, 0]


def test_shd_files_hold_many(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    rows_t = [np.array([0.1, 0.2], np.float16), np.array([0.05], np.float16)]
    rows_u = [np.array([5, 699], np.uint16), np.array([0], np.uint16)]
    with h5py.File(tmp_path / "shd.h5", "w") as file:
        kind = h5py.vlen_dtype(np.float16)
        times = file.create_dataset("spikes/times", (2,), kind)
        spiked = file.create_dataset("spikes/units", (2,), h5py.vlen_dtype(np.uint16))
        for n in range(2):
            times[n], spiked[n] = rows_t[n], rows_u[n]
        file["labels"] = np.array([3, 7])
    events, labels = hdf5.read_many(tmp_path / "shd.h5")
    assert labels is not None and labels.tolist() == [3, 7]
    assert events.offsets.tolist() == [0, 2, 3] and events.sensor == (1, 1, 700)
    expected = (np.concatenate(rows_t).astype(np.float64) * 1e6).astype(int)
    assert events.t.tolist() == expected.tolist()
    with pytest.raises(DataError, match="holds 2 recordings"):
        read_recording(tmp_path / "shd.h5")


# ---------------------------------------------------------------- what is wrong is told


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("none.bin", b"", "is empty"),
        ("odd.bin", b"1234567", "truncated"),
        ("what.xyz", b"hello", "no format that is known"),
        ("fake.h5", b"hello", "by its name it should be HDF5"),
        ("cut.dat", b"% Height 4\n\x0c\x08\x00", "truncated"),
        ("kind.dat", b"% x\n\x07\x08" + bytes(8), "events of type 7"),
        ("off.dat", b"% Height 4\n% Width 4\n\x0c\x08" + struct.pack("<II", 1, 9), "off the 4 x 4"),
        ("open.dat", b"% never ends", "header that does not end"),
        ("cut.aedat", b"#!AER-DAT3.1\r\n#!END-HEADER\r\n\x01\x00", "truncated"),
        ("bad.aedat4", b"#!AER-DAT4.0\r\n\xff\xff\xff\xff", "damaged"),
        ("bad.npy", b"\x93NUMPY\x01\x00\xff\xff{", "damaged"),
        ("bad.npz", b"PK\x03\x04garbage", "damaged"),
        ("bad.mat", b"MATLAB 5.0" + bytes(200), "damaged|expected spiketrain"),
        ("words.csv", b"t,x,y,p\n1,2,three,4\n", "no number"),
        ("short.csv", b"1,2,3,1\n1,2\n", "line 2"),
    ],
)
def test_damage_is_told(name: str, data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(DataError, match=message) as told:
        read_recording(path)
    assert str(path) in str(told.value)


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    np.save(tmp_path / "bomb.npy", np.array([Bomb()], object), allow_pickle=True)
    np.savez(tmp_path / "bomb.npz", a=np.array([Bomb()], object))
    for name in ("bomb.npy", "bomb.npz"):
        with pytest.raises(DataError, match="Python objects"):
            read_recording(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", bytes(1 << 27))
    with pytest.raises(DataError, match="would unpack to 128 MiB"):
        read_recording(tmp_path / "bomb.npz")


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("originals")
    found = {}
    for name in FORMATS:
        write_recording(units() if name == "hdf5" else some_events(), folder / name, name)
        found[name] = (folder / name).read_bytes()
    return found


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Bits flipped, cut short, bytes swapped, a run overwritten, bytes put in or left out."""
    raw = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        place = rng.randrange(max(1, len(raw)))
        match rng.randrange(6):
            case 0:
                raw[place] ^= 1 << rng.randrange(8)
            case 1:
                del raw[place:]
            case 2:
                end = place + 2 * rng.randint(1, 20)
                raw[place:end] = raw[place:end][::-1]
            case 3:
                raw[place : place + 4] = rng.choice([b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff"])
            case 4:
                raw[place:place] = rng.randbytes(rng.randint(1, 9))
            case _:
                del raw[place : place + rng.randint(1, 9)]
        raw = raw or bytearray(b"\0")
    return bytes(raw)


@pytest.mark.parametrize("name", FORMATS)
def test_mutated_files_give_an_error_or_clean_events(
    name: str, originals: dict[str, bytes], tmp_path: Path
) -> None:
    """170 files a format, 2040 in all: no crash, and whatever comes out lies on its sensor."""
    rng = random.Random(name)
    path = tmp_path / "mutated"
    outcomes = {"clean": 0, "told": 0}
    for _ in range(170):
        path.write_bytes(mutate(originals[name], rng))
        try:
            events = read_recording(path, name)
        except DataError as error:
            outcomes["told"] += str(path) in str(error)
            continue
        polarities, height, width = events.sensor
        assert len(events) == len(events.x) == len(events.y) == len(events.p) > 0
        assert 0 <= events.x.min() <= events.x.max() < width
        assert 0 <= events.y.min() <= events.y.max() < height
        assert events.p.max() < polarities
        outcomes["clean"] += 1
    assert sum(outcomes.values()) == 170, "an error does not name its file"
    assert outcomes["told"] > 0


def test_gzip_is_no_format(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(gzip.compress(b"1,2,3,1\n"))
    with pytest.raises(DataError, match="no format that is known"):
        read_recording(tmp_path / "x.csv")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(DataError, match=r"pipe\.csv is a pipe; a recording is read more than once"):
        read_recording(tmp_path / "pipe.csv")
