"""HDF5 files of event cameras, and MATLAB files of version 7.3, which are HDF5 as well.

Of the groups in a file, those with events are found by what they hold:

- columns x, y, t and p under the names that are in use (`_NAMES`): DSEC (in `events`, with
  `t_offset` at the top, microseconds that are added to every time; the index `ms_to_idx` is not
  needed), the `events/{xs,ys,ts,ps}` of tools for event-based video, variables of MATLAB;
- a table `events` with fields of these names: Prophesee's `CD/events`;
- an array `events` [N, 4]: t, x, y, p as v2e writes it, or x, y, t, p as MVSEC has it in
  `davis/left` and `davis/right`.

Orders, units of time and polarities are told as in `columns`. The sensor's size is that of the
attributes `sensor_resolution`, `geometry` or `width` and `height`, else what the events need.

Source: the documentation of DSEC, v2e, MVSEC and of Prophesee's HDF5 files; the MAT-file format,
version 7.3.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lfp_snn.data.events import Events
from lfp_snn.data.formats.base import events_of
from lfp_snn.data.formats.columns import is_on, order_of
from lfp_snn.data.formats.times import microseconds
from lfp_snn.errors import DataError

_LATEST = 1e17  # microseconds of an offset: 3000 years
_NAMES = {
    "x": ("x", "xs"),
    "y": ("y", "ys"),
    "t": ("t", "ts", "timestamp", "timestamps"),
    "p": ("p", "ps", "pol", "polarity", "polarities"),
}
_TABLE = "events"
_DEPTH = 4  # groups below the top in which events are looked for
_STRUCT_OF_MATLAB = "TD"  # counts its pixels from 1

Column = npt.NDArray[Any]


def read_cameras(path: Path, file: Any, unit: str | None = None) -> dict[str, Events]:
    """The events of each group of an open HDF5 file that has any, by the group's name.

    Args:
        path: the path of the file, for messages.
        file: the open file.
        unit: the unit of its times; `None` if the times tell it.

    Raises:
        DataError: there is no such group, or a dataset is no column, time or polarity of events.
    """
    found: dict[str, Events] = {}
    for group, columns in _groups(path, file):
        name = group.name.strip("/")
        first = int(name.rpartition("/")[2] == _STRUCT_OF_MATLAB)
        t = microseconds(path, columns["t"], unit) + _offset(path, group, file)
        x, y = (_whole(path, columns[key], key) - first for key in ("x", "y"))
        if len(t):
            found[name.removesuffix(f"/{_TABLE}") or "/"] = events_of(
                path, x, y, t, is_on(path, columns["p"]), _size(group, file)
            )
    return found


def has_events(file: Any) -> bool:
    """Whether a group of an open HDF5 file has columns or a table of events."""
    return any(True for _ in _places(file))


def _places(group: Any, depth: int = 0) -> Iterator[tuple[Any, Any]]:
    """Groups with events, each with the object that holds them: the group itself, or its table."""
    import h5py

    table = group.get(_TABLE)
    if isinstance(table, h5py.Dataset):
        yield group, table
    elif all(_named(group, names) for names in _NAMES.values()):
        yield group, group
    if depth < _DEPTH:
        for name in group:
            item = group[name]
            # Prophesee's group of trigger inputs has a table of the same name.
            if isinstance(item, h5py.Group) and name != "EXT_TRIGGER":
                yield from _places(item, depth + 1)


def _named(names: Any, known: tuple[str, ...]) -> str | None:
    return next((name for name in known if name in names), None)


def _groups(path: Path, file: Any) -> Iterator[tuple[Any, Mapping[str, Column]]]:
    """The groups with events, each with its columns x, y, t and p."""
    for group, holder in _places(file):
        columns: Mapping[str, Column]
        if holder is group:
            columns = {
                key: _column(path, group[_named(group, names)]) for key, names in _NAMES.items()
            }
        else:
            columns = _table(path, holder)
        if len({len(each) for each in columns.values()}) > 1:
            raise DataError(f"{path} has columns of different lengths in {group.name}")
        yield group, columns


def _column(path: Path, dataset: Any) -> Column:
    shape = dataset.shape
    if shape is None or sum(side > 1 for side in shape) > 1 or dataset.dtype.kind not in "biuf":
        raise DataError(
            f"{path} has {dataset.name} of the type {dataset.dtype} and shape {shape}; expected a "
            "column of numbers"
        )
    return _values(path, dataset).ravel()


def _values(path: Path, dataset: Any) -> Column:
    """The values of a dataset; the error of a missing filter names it."""
    from h5py import h5z

    plist = dataset.id.get_create_plist()
    for number in range(plist.get_nfilters()):
        code, _, _, name = plist.get_filter(number)
        if not h5z.filter_avail(code):
            raise DataError(
                f"{path} has {dataset.name} packed with {name.decode(errors='replace') or code!r} "
                f"(HDF5 filter {code}), which is not installed here; for Blosc and Zstd: pip "
                "install hdf5plugin and import it, for ECF: convert the file with Prophesee's tools"
            )
    return np.asarray(dataset[()])


def _table(path: Path, dataset: Any) -> Mapping[str, Column]:
    fields = dataset.dtype.names
    if fields:
        names = {key: _named(fields, known) for key, known in _NAMES.items()}
        if None in names.values():
            raise DataError(f"{path} has {dataset.name} with fields {fields}; expected x, y, t, p")
        values = _values(path, dataset).ravel()
        return {key: values[name] for key, name in names.items()}
    shape = dataset.shape
    if shape is None or len(shape) != 2 or shape[1] != 4 or dataset.dtype.kind not in "iuf":
        raise DataError(
            f"{path} has {dataset.name} of the type {dataset.dtype} and shape {shape}; expected "
            "[N, 4] or fields x, y, t, p"
        )
    values = _values(path, dataset)
    if not len(values):
        return {key: values[:, n] for n, key in enumerate("txyp")}
    order = order_of(path, list(values.T))
    return {key: values[:, n] for n, key in enumerate(order)}


def _finite(path: Path, values: Column, key: str) -> None:
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise DataError(f"{path} has a value in {key} that is no number")


def _whole(path: Path, values: Column, key: str) -> npt.NDArray[np.int64]:
    _finite(path, values, key)
    if values.dtype.kind == "f":
        values = values.astype(np.float64)  # a float16 cannot be compared with what it cannot hold
        if (values % 1).any() or np.abs(values).max(initial=0) > 2**31:
            raise DataError(f"{path} has a value in {key} that is no pixel's")
    return values.astype(np.int64)


def _offset(path: Path, group: Any, file: Any) -> int:
    """The offset that DSEC adds to every time: `t_offset`, beside the columns or at the top."""
    for place in (group, file):
        if "t_offset" in place:
            value = np.asarray(place["t_offset"])
            if value.size != 1 or value.dtype.kind not in "iu" or abs(int(value)) >= _LATEST:
                raise DataError(f"{path} has a t_offset that is no count of microseconds")
            return int(value.reshape(()))
    return 0


def _size(group: Any, file: Any) -> tuple[int | None, int | None]:
    """The size (height, width) by the attributes; `None` for a side of which they say nothing."""
    sides: dict[str, int] = {}
    for place in (file, group.parent, group):
        told = {key.lower(): _text(value) for key, value in place.attrs.items()}
        numbers = [
            int(each)
            for key in ("sensor_resolution", "geometry")
            for each in re.findall(r"\d{1,9}", told.get(key, ""))
        ]
        if len(numbers) == 2:
            names = ("height", "width") if "sensor_resolution" in told else ("width", "height")
            sides.update(zip(names, numbers, strict=True))
        for key in ("width", "height"):
            if re.fullmatch(r"\d{1,9}", told.get(key, "")):
                sides[key] = int(told[key])
    return sides.get("height"), sides.get("width")


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
