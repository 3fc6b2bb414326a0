"""MATLAB files: the tactile recordings of ST-MNIST, or columns of events.

- `spiketrain` [taxels + 1, E]: a column an event time, +1 (ON) or -1 (OFF) in the row of a taxel,
  and the time in seconds in the last row. 100 taxels lie in a square of 10 x 10.
- Vectors t (or ts), x, y and p (or pol), on their own or in a struct `TD` (as ATIS recordings have
  it); times in microseconds, pixels counted from 1 in `TD` as MATLAB does.

Files of version 7.3 are HDF5; see `hdf5_cameras` for what is read of them.

Source: See, Lim, Li et al., *ST-MNIST*, arXiv 2005.04319; the MAT-file format, level 5.
"""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lfp_snn.data.events import Events
from lfp_snn.data.formats import hdf5
from lfp_snn.data.formats.base import Format, content, events_of, put
from lfp_snn.data.formats.mat5 import checked
from lfp_snn.errors import DataError
from lfp_snn.unpacking import check_events

_VERSION_73 = b"MATLAB 7.3"
_SECOND = 1_000_000
_NAMES = {"t": ("t", "ts"), "x": ("x",), "y": ("y",), "p": ("p", "pol")}


def read(path: Path) -> Events:
    """The events of a file."""
    if content(path).startswith(_VERSION_73):
        return hdf5.read(path)
    variables = _load(path)
    if "spiketrain" in variables:
        return _from_taxels(path, np.asarray(variables["spiketrain"]))
    if "TD" in variables:
        fields = variables["TD"]
        if not (isinstance(fields, np.ndarray) and fields.dtype.names and fields.size == 1):
            raise DataError(f"{path} has a variable TD that is no struct")
        columns = {name: fields.ravel()[0][name] for name in fields.dtype.names}
        return _from_columns(path, columns, first=1)
    return _from_columns(path, variables, first=0)


def _load(path: Path) -> Mapping[str, Any]:
    from scipy.io import loadmat

    sound = checked(path, content(path))
    try:
        found: Mapping[str, Any] = loadmat(io.BytesIO(sound), appendmat=False)
    # scipy meets a damaged file with whatever its parser runs into.
    except Exception as error:
        raise DataError(f"{path} is damaged: {' '.join(str(error).split())[:200]}") from error
    return found


def _from_taxels(path: Path, train: npt.NDArray[Any]) -> Events:
    if train.ndim != 2 or len(train) < 2 or train.dtype.kind not in "iuf":
        raise DataError(
            f"{path} has a spiketrain of the shape {train.shape}; expected [taxels + 1, E]"
        )
    check_events(path, int(np.count_nonzero(train[:-1])))
    spikes, seconds = train[:-1], np.asarray(train[-1], np.float64)
    if not np.isfinite(seconds).all() or np.abs(seconds).max(initial=0) > 1e9:
        raise DataError(f"{path} has times that are no seconds")
    # By time first: columns ascend.
    column, taxel = np.nonzero(spikes.T)
    side = round(len(spikes) ** 0.5)
    height, width = (side, side) if side * side == len(spikes) else (1, len(spikes))
    return events_of(
        path, taxel % width, taxel // width, (seconds[column] * _SECOND).astype(np.int64),
        spikes[taxel, column] > 0, (height, width),
    )  # fmt: skip


def _from_columns(path: Path, variables: Mapping[str, Any], first: int) -> Events:
    columns = {}
    for key, names in _NAMES.items():
        name = next((each for each in names if each in variables), None)
        if name is None:
            own = ", ".join(each for each in variables if not each.startswith("__"))
            raise DataError(
                f"{path} has {own or 'nothing'}; expected spiketrain, TD, or t, x, y, p"
            )
        values = np.asarray(variables[name]).ravel()
        check_events(path, values.size)
        if values.dtype.kind not in "biuf" or not np.isfinite(values.astype(np.float64)).all():
            raise DataError(f"{path} has a column {name} that is no column of numbers")
        if values.size and np.abs(values.astype(np.float64)).max() >= 2.0**62:
            raise DataError(f"{path} has a value in {name} that no time or place has")
        columns[key] = values.astype(np.int64)
    if len({len(each) for each in columns.values()}) > 1:
        raise DataError(f"{path} has columns of different lengths")
    return events_of(
        path, columns["x"] - first, columns["y"] - first, columns["t"], columns["p"] > 0
    )


def write(events: Events, path: Path) -> None:
    """Vectors t, x, y and p."""
    from scipy.io import savemat

    buffer = io.BytesIO()
    savemat(buffer, {"t": events.t, "x": events.x, "y": events.y, "p": events.p})
    put(path, buffer.getvalue())


FORMAT = Format(
    "mat",
    "MATLAB .mat",
    (".mat",),
    lambda head: head.startswith((b"MATLAB 5", _VERSION_73)),
    read,
    write,
)
