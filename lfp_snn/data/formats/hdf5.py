"""HDF5 files, in the layouts of event cameras (see `hdf5_cameras`) and in the layout of SHD.

SHD has spike times and the units that spiked:

`times` in seconds and `units`, at the top or in a group `spikes`. A file of one recording has them
as plain arrays. In SHD and SSC each row is a recording; `read_many` reads such a file, and
`labels`.

Source: Cramer, Stradmann, Schemmel, Zenke, IEEE Transactions on Neural Networks and Learning
Systems 2020 (Heidelberg datasets).
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lfp_snn.data.events import Events
from lfp_snn.data.formats import hdf5_cameras
from lfp_snn.data.formats.base import Format, content, events_of, one_camera, put
from lfp_snn.data.formats.layout import AS_IT_IS, Layout
from lfp_snn.errors import DataError
from lfp_snn.unpacking import check_events, open_hdf5

_SECOND = 1_000_000
_AT_ONCE = 64  # rows


def read(path: Path, layout: Layout = AS_IT_IS) -> Events:
    """The events of a file of one recording, of a camera or in the layout of SHD.

    Args:
        path: the file.
        layout: the unit of the times of a camera, if the times do not tell it.

    Raises:
        DataError: the file cannot be read, has no events, or events of several recordings or
            cameras.
    """
    content(path)  # missing, unreadable or empty is told as everywhere
    with open_hdf5(path) as file:
        of_cameras = _shd(file) is None
        found = hdf5_cameras.read_cameras(path, file, layout.unit) if of_cameras else {}
        if of_cameras and not found and not hdf5_cameras.has_events(file):
            raise DataError(
                f"{path} has {', '.join(map(repr, file)) or 'nothing'} at the top, and no layout "
                "that is known: x, y, t, p or a table of events in a group, or times and units"
            )
    if of_cameras:
        return one_camera(path, found)
    events, _ = read_many(path)
    if events.recordings != 1:
        raise DataError(
            f"{path} holds {events.recordings} recordings; train on such files as the dataset shd, "
            "or read them with lfp_snn.data.formats.hdf5.read_many"
        )
    return events


def read_cameras(path: Path) -> dict[str, Events]:
    """The events of each camera in a file, by the name of its group."""
    content(path)
    with open_hdf5(path) as file:
        return hdf5_cameras.read_cameras(path, file)


def _shd(file: Any) -> Any:
    """The group with times and units; `None` if there is none."""
    import h5py

    for group in (file.get("spikes"), file):
        if isinstance(group, h5py.Group) and {"times", "units"} <= group.keys():
            return group
    return None


def read_many(path: Path) -> tuple[Events, npt.NDArray[np.int64] | None]:
    """Read all recordings of a file, laid end to end, and their labels if it has them.

    Raises:
        DataError: the file is damaged, or has another layout.
    """
    content(path)  # missing, unreadable or empty is told as everywhere
    with open_hdf5(path) as file:
        group = _shd(file)
        if group is None:
            raise DataError(f"{path} has no times and units, at the top or in a group spikes")
        times, units = group["times"], group["units"]
        check_events(path, max(times.size, units.size))
        rows_t, rows_u = _rows(path, times), _rows(path, units)
        labels = _labels(path, file, len(rows_t))
    if len(rows_t) != len(rows_u) or any(map(_differ, rows_t, rows_u)):
        raise DataError(f"{path} has other numbers of times than of units; it is damaged")
    if not rows_t:
        raise DataError(f"{path} has no events")
    t, unit = np.concatenate(rows_t), np.concatenate(rows_u)
    if not np.isfinite(t).all() or (t.size and np.abs(t).max() > 1e9):
        raise DataError(f"{path} has times that are no seconds")
    flat = events_of(
        path, unit, np.zeros_like(unit), (t * _SECOND).astype(np.int64), np.ones_like(unit),
        polarities=1,
    )  # fmt: skip
    silent = np.zeros(len(flat), np.uint8)  # a single polarity is number 0
    offsets = np.concatenate([[0], np.cumsum([len(each) for each in rows_t])])
    return Events(flat.x, flat.y, flat.t, silent, flat.sensor, offsets.astype(np.int64)), labels


def _labels(path: Path, file: Any, recordings: int) -> npt.NDArray[np.int64] | None:
    """The labels, one for each recording, if the file has them; their number is checked first."""
    if "labels" not in file:
        return None
    if file["labels"].shape != (recordings,):
        raise DataError(
            f"{path} has labels of the shape {file['labels'].shape} for {recordings} recordings"
        )
    return np.asarray(file["labels"], np.int64)


def _differ(times: npt.NDArray[Any], units: npt.NDArray[Any]) -> bool:
    return len(times) != len(units)


def _rows(path: Path, dataset: Any) -> list[npt.NDArray[Any]]:
    """The arrays of the recordings, one each, float64 for times and int64 for units."""
    if dataset.dtype.kind not in "biufO":
        raise DataError(f"{path} holds values of the type {dataset.dtype}; expected numbers")
    if dataset.dtype == object:
        rows, size = [], 0
        for start in range(0, len(dataset), _AT_ONCE):  # rows may be one and the same in the file
            rows += list(dataset[start : start + _AT_ONCE])
            size += sum(np.size(row) for row in rows[start:])
            check_events(path, size)
    else:
        rows = [dataset[()]]
    kind = np.float64 if np.asarray(rows[0]).dtype.kind == "f" else np.int64
    return [np.asarray(row).astype(kind).ravel() for row in rows]


def write(events: Events, path: Path) -> None:
    """Write a file of one recording.

    It has columns x, y, t and p in a group `events`, or times and units for a row of units of one
    polarity.
    """
    try:
        import h5py
    except ImportError as error:
        raise DataError(
            f"writing {path} takes h5py, which is not installed: pip install 'lfp_snn[formats]'"
        ) from error
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        if events.sensor[:2] == (1, 1):
            file["spikes/times"] = events.t / _SECOND
            file["spikes/units"] = events.x
        else:
            for name in ("x", "y", "t", "p"):
                file[f"events/{name}"] = getattr(events, name)
            file["events"].attrs["sensor_resolution"] = events.sensor[1:]
    put(path, buffer.getvalue())


FORMAT = Format(
    "hdf5",
    "HDF5 (cameras, SHD)",
    (".h5", ".hdf5"),
    lambda h: h.startswith(b"\x89HDF\r\n\x1a\n"),
    read,
    write,
    read_cameras,
    columns=read,
)
