"""NumPy files: structured events, frames, or dense spike arrays; `.npy`, or the same in an `.npz`.

- A structured array with fields as `columns` knows them by name: events.
- An array of numbers `[E, 2]`, `[E, 3]` or `[E, 4]`: events, in columns that are told apart by
  what they hold.
- `[T, P, H, W]`, or `[T, H, W]` of more than two rows: frames. A count of n at step t becomes n
  events at t milliseconds. Other dense arrays, such as spike trains `[channels, polarity, T]` or
  `[T, polarity, channels]`, say nothing about their axes: the order of these is to be given.

In an `.npz`, columns by name are read, or the one array that has events. Nothing is unpickled.

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
from lfp_snn.data.formats.columns import columns_of, events, titled, untitled
from lfp_snn.data.formats.layout import AS_IT_IS, PASSED_OVER, Layout, names_events, roles
from lfp_snn.data.formats.times import microseconds
from lfp_snn.errors import DataError
from lfp_snn.unpacking import check_events, check_size, check_text, reading

_TYPES = {"t": "<i8", "x": "<i2", "y": "<i2", "p": "u1", "channel": "<i2"}
_MOST_COLUMNS = 5  # an index, t, x, y and p; what is wider may be dense
_MOST_COUNTS = 1 << 20  # in one place and step


def load_array(path: Path) -> npt.NDArray[Any]:
    """The array of a `.npy` file.

    Raises:
        DataError: the file is damaged, or holds Python objects.
    """
    return array_of(path, content(path))


def read_npy(path: Path, layout: Layout = AS_IT_IS) -> Events:
    """The events of the array in a `.npy` file; arguments and errors are as of `table.read`."""
    return _events(path, load_array(path), layout)


def load_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a `.npz` file by name; they cannot be written to.

    Raises:
        DataError: the file is damaged, holds Python objects, or would unpack to far more than its
            size.
    """
    with reading(path), zipfile.ZipFile(io.BytesIO(content(path))) as archive:
        check_size(path, sum(each.file_size for each in archive.infolist()))
        return {
            name.removesuffix(".npy"): array_of(path, archive.read(name))
            for name in archive.namelist()
            if name.endswith(".npy")
        }


def read_npz(path: Path, layout: Layout = AS_IT_IS) -> Events:
    """Events of a `.npz` file: of the array that has any, or of columns by name (`table.read`)."""
    arrays = load_arrays(path)
    if names_events(list(arrays)):
        places, unit = roles(path, list(arrays))
        names = list(arrays)
        found = {role: np.ravel(arrays[names[place]]) for role, place in places.items()}
        return events(path, found, unit or layout.unit)
    ranks = {name: _likeness(name, array) for name, array in arrays.items()}
    best = max(ranks.values(), default=0)
    first = [name for name, rank in ranks.items() if rank == best]
    if not best:
        raise DataError(f"{path} has no array of events; expected one, or columns t, x, y and p")
    if len(first) > 1:
        raise DataError(
            f"{path} has several arrays that may be the events: {', '.join(first)[:200]}; call "
            "one of them events, or keep it alone"
        )
    return _events(path, arrays[first[0]], layout)


def _likeness(name: str, array: npt.NDArray[Any]) -> int:
    """How much an array looks like events: by its name, else by its shape; 0 for not at all."""
    if array.dtype.names:
        return 5 if names_events(array.dtype.names) else 0
    if array.dtype.kind not in "biuf" or array.ndim not in (2, 3, 4):
        return 0
    if name.lower() in ("events", "event", "spikes"):
        return 4
    if array.ndim == 2:
        return {4: 3, 3: 1, 2: 1}.get(array.shape[1], 1)
    return 2


def write_npy(recording: Events, path: Path) -> None:
    """Write a `.npy` file of a structured array."""
    put(path, _dump(_structured(recording)))


def write_npz(recording: Events, path: Path) -> None:
    """Write a `.npz` file of a structured array called `events`, compressed."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, events=_structured(recording))
    put(path, buffer.getvalue())


def _structured(recording: Events) -> npt.NDArray[Any]:
    columns = columns_of(recording)
    raw = np.empty(len(recording), [(name, _TYPES[name]) for name in columns])
    for name, values in columns.items():
        raw[name] = values
    return raw


def _dump(array: npt.NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def array_of(path: Path | str, data: bytes) -> npt.NDArray[Any]:
    """The array in the content of a `.npy`, its size checked against what follows its header.

    Args:
        path: the path of the file, for messages.
        data: the content of the file.

    Raises:
        DataError: the file is damaged, or holds Python objects.
    """
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


def _events(path: Path, array: npt.NDArray[Any], layout: Layout) -> Events:
    if array.dtype.names:
        columns = {name: np.ravel(array[name]) for name in array.dtype.names}
        return titled(path, columns, layout)
    if array.dtype.kind not in "biuf":
        raise DataError(f"{path} holds values of the type {array.dtype}; expected numbers")
    axes = layout.order if len(layout.order) == array.ndim else ()
    if array.ndim == 2 and (
        len(layout.order) == array.shape[1] or (not axes and 1 < array.shape[1] <= _MOST_COLUMNS)
    ):
        check_events(path, len(array))
        return untitled(path, list(array.T), layout)
    if axes or array.ndim in (2, 3, 4):
        return _from_dense(path, array, axes or _axes(path, array), layout.unit)
    raise DataError(
        f"{path} holds an array of the shape {array.shape}; expected events [E, 4] (t, x, y, p), "
        "frames [T, H, W] or [T, P, H, W], spike trains [channels, polarity, T], or a structured "
        "array"
    )


def _axes(path: Path, array: npt.NDArray[Any]) -> tuple[str, ...]:
    """The meaning of the axes of a dense array, where its shape tells it."""
    shape = array.shape
    if array.ndim == 4 and shape[1] in (1, 2) and shape[3] not in (1, 2):
        return ("t", "p", "y", "x")
    if array.ndim == 3 and shape[1] > 2:
        return ("t", "y", "x")
    may = ("t,channel or channel,t", "t,p,channel or channel,p,t", "t,p,y,x or t,y,x,p")
    if array.ndim == 4 and not {shape[1], shape[3]} & {1, 2}:
        raise DataError(
            f"{path} has frames of {shape[1]} polarities; expected 1 or 2, as [T, P, H, W]"
        )
    raise DataError(
        f"{path} holds an array of the shape {shape}, which is no [E, 4] of events; if it is "
        f"dense, say what its axes are, as in --column-order {may[array.ndim - 2]}"
    )


def _from_dense(
    path: Path, array: npt.NDArray[Any], axes: tuple[str, ...], unit: str | None
) -> Events:
    """Events of counts in steps of a millisecond, or of the unit that is given."""
    if PASSED_OVER in axes:
        raise DataError(f"{path} holds a dense array, of which no axis can be passed over")
    check_events(path, int(np.count_nonzero(array)))
    ordered = np.moveaxis(array, axes.index("t"), 0)
    rest = [axis for axis in axes if axis != "t"]
    step, *places = np.nonzero(ordered)
    counts = ordered[(step, *places)]  # of a file of few events, little is copied
    if counts.size:
        # As numbers of Python: a float16 cannot be compared with what it cannot hold.
        least, most = counts.min().item(), counts.max().item()
        if not (least >= 0 and most <= _MOST_COUNTS):
            raise DataError(f"{path} has frames with values from {least} to {most}")
    if counts.dtype.kind == "f" and (counts % 1).any():
        raise DataError(f"{path} has frames of numbers with a fraction; expected counts of events")
    counts = counts.astype(np.int64)
    check_events(path, int(counts.sum()))
    at = {
        axis: np.repeat(each, counts)
        for axis, each in zip(["t", *rest], [step, *places], strict=True)
    }
    sides = dict(zip(rest, ordered.shape[1:], strict=True))
    polarities = sides.get("p", 1)
    if polarities not in (1, 2):
        raise DataError(f"{path} has frames of {polarities} polarities; expected 1 or 2")
    none = np.zeros(len(at["t"]), np.int8)
    x, y = (at["channel"], none) if "channel" in at else (at["x"], at["y"])
    size = (1, sides["channel"]) if "channel" in sides else (sides["y"], sides["x"])
    t = microseconds(path, at["t"], unit or "ms")
    return events_of(path, x, y, t, at.get("p", none), size, polarities)


NPY = Format(
    "npy",
    "NumPy .npy",
    (".npy",),
    lambda head: head.startswith(b"\x93NUMPY"),
    read_npy,
    write_npy,
    columns=read_npy,
)
NPZ = Format(
    "npz",
    "NumPy .npz",
    (".npz",),
    lambda head: head.startswith(b"PK\x03\x04"),
    read_npz,
    write_npz,
    columns=read_npz,
)
