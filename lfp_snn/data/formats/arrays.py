"""NumPy files: structured events, frames, or dense spike arrays; `.npy`, or the same in an `.npz`.

- A structured array with the fields t, x, y and p (names as in tonic; `ts`, `timestamp`, `pol` and
  `polarity` are understood): events; t in microseconds.
- An array of whole numbers `[E, 4]`: events, in columns t, x, y, p.
- `[T, H, W]` or `[T, P, H, W]`: frames. A count of n at step t becomes n events at t milliseconds.
- `[channels, polarity, T]` with one or two polarities: dense spike trains, an event at t
  milliseconds for each.

In an `.npz` the first array that is one of these is read, or columns named t, x, y and p. Nothing
is unpickled.

Source: the NumPy format, version 1 to 3.
"""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lfp_snn.data.events import Events
from lfp_snn.data.formats.base import Format, content, events_of, put
from lfp_snn.errors import DataError
from lfp_snn.unpacking import check_events, check_size, check_text, reading

_MILLISECOND = 1000
_NAMES = {
    "t": ("t", "ts", "time", "times", "timestamp", "timestamps"),
    "x": ("x", "xs"),
    "y": ("y", "ys"),
    "p": ("p", "ps", "pol", "polarity", "polarities"),
}
_EVENT = np.dtype([("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "u1")])
_MOST_COUNTS = 1 << 20  # in one place and step


def load_array(path: Path) -> npt.NDArray[Any]:
    """The array of a `.npy`.

    Raises:
        DataError: it is damaged, or holds Python objects.
    """
    return _load(path, content(path))


def read_npy(path: Path) -> Events:
    """The events of an array."""
    return _events(path, load_array(path))


def load_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a `.npz` by name; they cannot be written to.

    Raises:
        DataError: it is damaged, holds Python objects, or would unpack to far more than its size.
    """
    with reading(path), zipfile.ZipFile(io.BytesIO(content(path))) as archive:
        check_size(path, sum(each.file_size for each in archive.infolist()))
        return {
            name.removesuffix(".npy"): _load(path, archive.read(name))
            for name in archive.namelist()
            if name.endswith(".npy")
        }


def read_npz(path: Path) -> Events:
    """The events of the first array that has any, or of columns."""
    arrays = load_arrays(path)
    if _columns(arrays) is not None:
        return _from_columns(path, arrays)
    for array in arrays.values():
        if array.dtype.names or array.ndim >= 2:
            return _events(path, array)
    raise DataError(f"{path} has no array of events; expected one, or columns t, x, y and p")


def write_npy(events: Events, path: Path) -> None:
    """A structured array."""
    put(path, _dump(_structured(events)))


def write_npz(events: Events, path: Path) -> None:
    """A structured array called `events`, compressed."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, events=_structured(events))
    put(path, buffer.getvalue())


def _structured(events: Events) -> npt.NDArray[Any]:
    raw = np.empty(len(events), _EVENT)
    raw["t"], raw["x"], raw["y"], raw["p"] = events.t, events.x, events.y, events.p
    return raw


def _dump(array: npt.NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _load(path: Path, data: bytes) -> npt.NDArray[Any]:
    """An array, its size checked against what follows its header."""
    file = io.BytesIO(data)
    with reading(path):
        version = np.lib.format.read_magic(file)
        readers: Mapping[tuple[int, int], Any] = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }
        shape, fortran, dtype = readers[version](file)
        if dtype.hasobject:
            raise DataError(f"{path} holds Python objects, which are never read")
        count = 1
        for side in shape:
            count *= int(side)
        if count < 0 or count * dtype.itemsize > len(data) - file.tell():
            raise DataError(f"{path} is truncated: its header tells of {shape} values")
        flat = np.frombuffer(data, dtype, count, file.tell())
        check_text(path, flat)
        return flat.reshape(shape, order="F" if fortran else "C")


def _columns(arrays: Mapping[str, Any]) -> dict[str, str] | None:
    """The names by which t, x, y and p go, if all are there."""
    lower = {name.lower(): name for name in arrays}
    found = {key: lower[each] for key, names in _NAMES.items() for each in names if each in lower}
    return found if found.keys() == _NAMES.keys() else None


def _from_columns(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> Events:
    names = _columns(arrays)
    assert names is not None
    check_events(path, max(arrays[name].size for name in names.values()))
    t, x, y, p = (_whole(path, np.ravel(arrays[names[key]])) for key in ("t", "x", "y", "p"))
    if not len(t) == len(x) == len(y) == len(p):
        raise DataError(f"{path} has columns of different lengths; it is damaged")
    return events_of(path, x, y, t, p > 0)


def _events(path: Path, array: npt.NDArray[Any]) -> Events:
    if array.dtype.names:
        columns = {name: array[name] for name in array.dtype.names}
        if _columns(columns) is None:
            raise DataError(f"{path} has the fields {', '.join(columns)}; expected t, x, y and p")
        return _from_columns(path, columns)
    if array.dtype.kind not in "biuf":
        raise DataError(f"{path} holds values of the type {array.dtype}; expected numbers")
    if array.ndim == 2 and array.shape[1] == 4:
        check_events(path, len(array))
        t, x, y, p = (_whole(path, column) for column in array.T)
        return events_of(path, x, y, t, p > 0)
    if array.ndim in (3, 4):
        return _from_frames(path, array)
    raise DataError(
        f"{path} holds an array of the shape {array.shape}; expected events [E, 4] (t, x, y, p), "
        "frames [T, H, W] or [T, P, H, W], spike trains [channels, polarity, T], or a structured "
        "array"
    )


def _from_frames(path: Path, array: npt.NDArray[Any]) -> Events:
    """Frames, or `[channels, polarity, T]`, whose second side is a polarity."""
    if array.ndim == 3 and array.shape[1] in (1, 2):
        frames = array.transpose(2, 1, 0)[:, :, None, :]  # channels lie side by side
    else:
        frames = array[:, None] if array.ndim == 3 else array
    _, polarities, height, width = frames.shape
    if polarities not in (1, 2):
        raise DataError(f"{path} has frames of {polarities} polarities; expected 1 or 2")
    check_events(path, int(np.count_nonzero(frames)))
    step, p, y, x = np.nonzero(frames)
    counts = _whole(path, frames[step, p, y, x])  # of a file of few events, little is copied
    if counts.size and (counts.min() < 0 or counts.max() > _MOST_COUNTS):
        raise DataError(f"{path} has frames with values from {counts.min()} to {counts.max()}")
    check_events(path, int(counts.sum()))
    step, p, y, x = (np.repeat(each, counts) for each in (step, p, y, x))
    return events_of(path, x, y, step * _MILLISECOND, p, (height, width), polarities)


def _whole(path: Path, values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Numbers as int64; times in a file of floats are rounded down."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise DataError(f"{path} holds NaN or infinite values")
    if values.dtype.kind not in "biuf":
        raise DataError(f"{path} holds values of the type {values.dtype}; expected numbers")
    if values.size and float(np.abs(values.astype(np.float64)).max()) >= 2.0**62:
        raise DataError(f"{path} holds a value that no time or place has")
    return values.astype(np.int64)


NPY = Format(
    "npy", "NumPy .npy", (".npy",), lambda h: h.startswith(b"\x93NUMPY"), read_npy, write_npy
)
NPZ = Format(
    "npz", "NumPy .npz", (".npz",), lambda h: h.startswith(b"PK\x03\x04"), read_npz, write_npz
)
