"""What the formats share: how a file is opened, and how columns become events."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lfp_snn.data.events import Events
from lfp_snn.errors import DataError
from lfp_snn.unpacking import reading

HEAD = 512
"""Bytes at the beginning of a file that tell its format."""

LARGEST = int(np.iinfo(np.int16).max)
"""Pixels of a side of a sensor, at most."""


@dataclass(frozen=True)
class Format:
    """A file format.

    Args:
        name: a short name.
        title: whose it is.
        suffixes: how names of such files end.
        recognises: whether the first `HEAD` bytes of a file are of this format; `None` if no
            content tells, but the name.
        read: all events of a file; what its content trips over is told as damage to the file.
        write: the same in a new file.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    recognises: Callable[[bytes], bool] | None
    read: Callable[[Path], Events]
    write: Callable[[Events, Path], None]

    def __post_init__(self) -> None:
        object.__setattr__(self, "read", _told(self.read))


def _told(read: Callable[..., Events]) -> Callable[..., Events]:
    """A reader whose errors are all sentences about its file."""

    @wraps(read)
    def reader(path: Path, *args: Any, **options: Any) -> Events:
        with reading(path):
            return read(path, *args, **options)

    return reader


def content(path: Path) -> bytes:
    """All bytes of a file.

    Raises:
        DataError: it cannot be read, or is empty.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from error
    if not data:
        raise DataError(f"{path} is empty; delete it or fetch it again")
    return data


def put(path: Path, data: bytes) -> None:
    """Write a file.

    Raises:
        DataError: it cannot be written.
    """
    try:
        path.write_bytes(data)
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror})") from error


def records(path: Path, data: bytes, start: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """The fixed-size records of a file from a position on.

    Raises:
        DataError: the last one is cut short, or there are none.
    """
    size = len(data) - start
    if size <= 0:
        raise DataError(f"{path} has a header, but no events")
    if size % dtype.itemsize:
        raise DataError(
            f"{path} is truncated: {size} bytes of events are no multiple of the "
            f"{dtype.itemsize} bytes of one"
        )
    return np.frombuffer(data, dtype, offset=start)


def events_of(
    path: Path,
    x: npt.NDArray[Any],
    y: npt.NDArray[Any],
    t: npt.NDArray[Any],
    p: npt.NDArray[Any],
    size: tuple[int, int] | None = None,
    polarities: int = 2,
) -> Events:
    """Events from columns of any whole-number type.

    Args:
        path: the file, for messages.
        x: columns.
        y: rows.
        t: microseconds.
        p: not 0 for ON.
        size: (height, width) of the sensor; if `None`, as large as the events need.
        polarities: 1 or 2.

    Raises:
        DataError: there are none, or one lies off the sensor.
    """
    if not len(t):
        raise DataError(f"{path} has no events")
    # Compared before the cast: what is too large for a pixel must not come round as a small one.
    height, width = size or (int(y.max()) + 1, int(x.max()) + 1)
    if max(height, width) > LARGEST or min(int(x.min()), int(y.min())) < 0:
        raise DataError(
            f"{path} has an event at x={int(x.max())}, y={int(y.max())} or below zero, where no "
            "event camera has pixels; it is damaged or of another format"
        )
    off = (x >= width) | (y >= height)
    if off.any():
        first = int(np.argmax(off))
        raise DataError(
            f"{path} has an event at x={int(x[first])}, y={int(y[first])}, off the "
            f"{width} x {height} sensor; it is damaged, or of another camera"
        )
    return Events(
        x.astype(np.int16),
        y.astype(np.int16),
        t.astype(np.int64),
        (p != 0).astype(np.uint8),
        (polarities, height, width),
    )
