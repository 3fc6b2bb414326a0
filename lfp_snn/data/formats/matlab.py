"""MATLAB files: the tactile recordings of ST-MNIST, or columns of events.

- `spiketrain` [taxels + 1, E]: a column an event time, +1 (ON) or -1 (OFF) in the row of a taxel,
  and the time in seconds in the last row. 100 taxels lie in a square of 10 x 10.
- Vectors t, x, y and p, or t and channel (names and units as in `columns`), on their own or in a
  struct `TD` (as ATIS recordings and the code that comes with N-MNIST have it). Pixels are counted
  from 1 in a `TD` in which none is 0, as MATLAB does.

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
from lfp_snn.data.formats.columns import columns_of, titled
from lfp_snn.data.formats.layout import AS_IT_IS, Layout, names_events, roles
from lfp_snn.data.formats.mat5 import checked
from lfp_snn.errors import DataError
from lfp_snn.unpacking import check_events

_VERSION_73 = b"MATLAB 7.3"
_SECOND = 1_000_000


def read(path: Path, layout: Layout = AS_IT_IS) -> Events:
    """The events of a file.

    Args:
        path: the file.
        layout: the unit of its times, if the times do not tell it.

    Raises:
        DataError: the file cannot be read, or has no events.
    """
    if content(path).startswith(_VERSION_73):
        return hdf5.read(path, layout)
    variables = _load(path)
    if "spiketrain" in variables:
        return _from_taxels(path, np.asarray(variables["spiketrain"]))
    if "TD" in variables:
        fields = variables["TD"]
        if not (isinstance(fields, np.ndarray) and fields.dtype.names and fields.size == 1):
            raise DataError(f"{path} has a variable TD that is no struct")
        columns = _columns(path, {name: fields.ravel()[0][name] for name in fields.dtype.names})
        if min(columns[key].min(initial=1) for key in ("x", "y") if key in columns) >= 1:
            columns |= {key: columns[key] - 1 for key in ("x", "y") if key in columns}
    else:
        columns = _columns(path, variables)
    return titled(path, columns, layout)


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


def _columns(path: Path, variables: Mapping[str, Any]) -> dict[str, npt.NDArray[Any]]:
    """The variables that are columns of events."""
    names = [name for name in variables if not name.startswith("__")]
    if not names_events(names):
        raise DataError(
            f"{path} has {', '.join(names)[:100] or 'nothing'}; expected spiketrain, TD, or t, x, "
            "y, p"
        )
    places, _ = roles(path, names)
    columns = {names[place]: np.ravel(variables[names[place]]) for place in places.values()}
    for values in columns.values():
        check_events(path, values.size)
    return columns


def write(events: Events, path: Path) -> None:
    """Write vectors t, x, y and p, or as many of them as the sensor has."""
    from scipy.io import savemat

    buffer = io.BytesIO()
    savemat(buffer, columns_of(events))
    put(path, buffer.getvalue())


FORMAT = Format(
    "mat",
    "MATLAB .mat",
    (".mat",),
    lambda head: head.startswith((b"MATLAB 5", _VERSION_73)),
    read,
    write,
    columns=read,
)
