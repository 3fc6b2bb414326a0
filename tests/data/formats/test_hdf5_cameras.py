"""HDF5 of event cameras, and MATLAB 7.3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lfp_snn.data.events import Events
from lfp_snn.data.formats import detect, read_recording, write_recording
from lfp_snn.errors import DataError

h5py = pytest.importorskip("h5py")

T = np.array([10, 1_000_020, 1_000_020, 2_000_030])
X = np.array([3, 9, 0, 4])
Y = np.array([7, 0, 1, 2])
P = np.array([1, 0, 1, 0])
ROWS = np.stack([T, X, Y, P], axis=1)


def make(
    path: Path, content: dict[str, Any], attrs: dict[str, dict[str, Any]] | None = None
) -> Path:
    with h5py.File(path, "w") as file:
        for name, values in content.items():
            file[name] = values
        for name, told in (attrs or {}).items():
            file[name].attrs.update(told)
    return path


def rows(events: Events) -> Any:
    return np.stack([events.t, events.x, events.y, events.p], axis=1)


def compound(**columns: Any) -> Any:
    table = np.empty(len(T), [(name, values.dtype) for name, values in columns.items()])
    for name, values in columns.items():
        table[name] = values
    return table


MVSEC = np.stack([X, Y, T / 1e6, 2 * P - 1], axis=1)


@pytest.mark.parametrize(
    ("content", "start"),
    [
        ({"events/x": X, "events/y": Y, "events/t": T, "events/p": P}, 0),
        ({"events/x": X, "events/y": Y, "events/t": T, "events/p": P, "t_offset": 57}, 57),
        ({"events/xs": X, "events/ys": Y, "events/ts": T / 1e6, "events/ps": P == 1}, 0),
        ({"x": X, "y": Y, "timestamps": T.astype(float), "polarity": 2 * P - 1}, 0),
        ({"x": X.astype("f2"), "y": Y.astype("f2"), "t": T, "p": P.astype("f2")}, 0),
        ({"x": X, "y": Y, "ts": 1.7e9 + T / 1e6, "pol": P + 1}, 1_700_000_000_000_000),
        ({"events": ROWS.astype("u4"), "frame": np.zeros((1, 3, 3))}, 0),  # v2e
        ({"events": np.stack([X, Y, P, T], axis=1)}, 0),
        (
            {"x": X, "y": Y, "t": T * 1000 + 1_700_000_000_000_000_000, "p": P},
            1_700_000_000_000_000,
        ),
        ({"davis/left/events": MVSEC, "davis/left/imu_data": np.zeros((4, 6))}, 0),
        ({"CD/events": compound(x=X, y=Y, p=P, t=T), "EXT_TRIGGER/events": np.zeros(2)}, 0),
    ],
)
def test_layouts_of_cameras(content: dict[str, Any], start: int, tmp_path: Path) -> None:
    path = make(tmp_path / "a.h5", content)
    events = read_recording(path)
    assert detect(path).name == "hdf5" and events.size_from_events
    expected = ROWS + np.array([start, 0, 0, 0])
    # Seconds since 1970 as float64 are exact to a quarter of a microsecond.
    np.testing.assert_array_equal(rows(events), expected)
    assert events.sensor == (2, 8, 10)


def test_the_two_cameras_of_mvsec_are_a_choice(tmp_path: Path) -> None:
    right = MVSEC + np.array([1, 1, 0, 0])
    path = make(tmp_path / "a.h5", {"davis/left/events": MVSEC, "davis/right/events": right})
    with pytest.raises(DataError, match="2 cameras: 'davis/left', 'davis/right'"):
        read_recording(path)
    np.testing.assert_array_equal(rows(read_recording(path, camera="davis/left")), ROWS)
    np.testing.assert_array_equal(
        rows(read_recording(path, camera="davis/right")), ROWS + np.array([0, 1, 1, 0])
    )


@pytest.mark.parametrize(
    "attrs",
    [
        {"/": {"sensor_resolution": (20, 30)}},
        {"/": {"geometry": "30x20"}},
        {"events": {"width": np.bytes_(b"30"), "height": 20}},
        {"/": {"width": "30"}, "events": {"height": np.int64(20)}},
    ],
)
def test_the_size_is_taken_from_attributes(attrs: dict[str, Any], tmp_path: Path) -> None:
    content = {"events/x": X, "events/y": Y, "events/t": T, "events/p": P}
    events = read_recording(make(tmp_path / "a.h5", content, attrs))
    assert events.sensor == (2, 20, 30) and not events.size_from_events


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"events": np.stack([T, X, T, P], axis=1)}, "say which is which"),
        ({"events": np.stack([X, Y, P + 2, T], axis=1)}, "say which is which"),
        ({"events": np.zeros((3, 5))}, r"shape \(3, 5\)"),
        ({"events": compound(x=X, y=Y, t=T)}, "expected x, y, t, p"),
        ({"x": X, "y": Y, "t": T, "p": np.array([0, 1, 2, 3])}, "polarities such as"),
        ({"x": X, "y": Y, "t": T, "p": np.array([-1, 0, 1, 0])}, "polarities such as"),
        ({"x": X + 0.5, "y": Y, "t": T, "p": P}, "x that is no pixel's"),
        ({"x": X, "y": Y, "t": T * np.nan, "p": P}, "times that are no numbers"),
        ({"x": X, "y": Y, "t": T * 10**12, "p": P}, "times from .* microseconds, which no event"),
        ({"x": X, "y": Y, "t": T / 2000, "p": P}, "it is not clear whether they are"),
        ({"x": X, "y": Y[1:], "t": T, "p": P}, "different lengths"),
        ({"x": np.array([b"a"] * 4), "y": Y, "t": T, "p": P}, "a column of numbers"),
        ({"x": X, "y": Y, "t": T, "p": P, "t_offset": 0.5}, "no count of microseconds"),
        ({"x": X[:0], "y": Y[:0], "t": T[:0], "p": P[:0]}, "no events"),
        ({"images": np.zeros((2, 2))}, "'images' at the top, and no layout"),
    ],
)
def test_what_is_not_clear_is_told(content: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = make(tmp_path / "a.h5", content)
    with pytest.raises(DataError, match=message) as told:
        read_recording(path)
    assert str(path) in str(told.value)


def test_a_filter_that_is_not_here_is_named(tmp_path: Path) -> None:
    """Prophesee's ECF: its number put in place of that of deflate, in the file's bytes."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("events/x", data=X, compression="gzip", compression_opts=9)
        for name, column in (("y", Y), ("t", T), ("p", P)):
            file[f"events/{name}"] = column
    data = path.read_bytes()
    # In the pipeline message: filter 1, the length of its name, flags, and one value, the level.
    deflate, ecf = (code + bytes((8, 0, 1, 0, 1, 0)) for code in (b"\x01\x00", b"\xcf\x8e"))
    assert data.count(deflate) == 1
    path.write_bytes(data.replace(deflate, ecf))
    with pytest.raises(DataError, match="HDF5 filter 36559"):
        read_recording(path)


def test_events_of_a_camera_are_written_as_columns(tmp_path: Path) -> None:
    x, y = X.astype(np.int16), Y.astype(np.int16)
    events = Events(x, y, T, P.astype(np.uint8), (2, 20, 30))
    write_recording(events, tmp_path / "a.h5", "hdf5")
    again = read_recording(tmp_path / "a.h5")
    np.testing.assert_array_equal(rows(again), ROWS)
    assert again.sensor == (2, 20, 30)


# ---------------------------------------------------------------- MATLAB 7.3


def matlab(path: Path, content: dict[str, Any]) -> Path:
    """A file as MATLAB 7.3 has it: 512 bytes of its own, and columns as rows of doubles."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in content.items():
            file[name] = np.asarray(values, np.float64)[None]
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    return path


def test_variables_and_the_struct_of_matlab_73(tmp_path: Path) -> None:
    path = matlab(tmp_path / "a.mat", {"x": X, "y": Y, "ts": T, "pol": P})
    assert detect(path).name == "mat"
    np.testing.assert_array_equal(rows(read_recording(path)), ROWS)
    struct = {"TD/x": X + 1, "TD/y": Y + 1, "TD/ts": T, "TD/p": P + 1}  # counted from 1
    np.testing.assert_array_equal(rows(read_recording(matlab(tmp_path / "b.mat", struct))), ROWS)
    with pytest.raises(DataError, match="'spikes' at the top"):
        read_recording(matlab(tmp_path / "c.mat", {"spikes": X}))


def test_a_damaged_file_of_matlab_73(tmp_path: Path) -> None:
    (tmp_path / "a.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(600))
    with pytest.raises(DataError, match="is damaged"):
        read_recording(tmp_path / "a.mat")
