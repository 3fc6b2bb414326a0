"""The base of all formats: how a file is opened, and how columns become events."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from lfp_snn.data.events import Events
from lfp_snn.data.formats.layout import Layout
from lfp_snn.errors import DataError
from lfp_snn.unpacking import reading
from lfp_snn.wholefiles import write_whole

HEAD = 512
"""Bytes at the beginning of a file that tell its format."""

LARGEST = int(np.iinfo(np.int16).max)
"""Pixels of a side of a sensor, at most."""

Read = TypeVar("Read")


@dataclass(frozen=True)
class Format:
    """A file format.

    Args:
        name: a short name.
        title: a title that says whose format it is.
        suffixes: the endings of the names of such files.
        recognises: a function that tells whether the first `HEAD` bytes of a file are of this
            format; `None` if the name tells it and not the content.
        read: a function that reads all events of a file; errors from its content are told as damage
            to the file.
        write: a function that writes events to a new file.
        cameras: a function that reads the events of each camera by its name, for formats whose
            files may hold several.
        columns: a function that reads events in columns and a unit that are given (a `Layout`), for
            formats that do not always tell them.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    recognises: Callable[[bytes], bool] | None
    read: Callable[[Path], Events]
    write: Callable[[Events, Path], None]
    cameras: Callable[[Path], dict[str, Events]] | None = None
    columns: Callable[[Path, Layout], Events] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "read", _told(self.read))
        for name in ("cameras", "columns"):
            if (each := getattr(self, name)) is not None:
                object.__setattr__(self, name, _told(each))


def one_camera(path: Path, found: dict[str, Events], camera: str | None = None) -> Events:
    """The events of the camera of that name, or of the only one in a file.

    Args:
        path: the file, for messages.
        found: the events of each camera.
        camera: the name of the camera, or the part of it before the colon.

    Raises:
        DataError: there are no events, none of that camera, or events of several cameras if none is
            named.
    """
    if not found:
        raise DataError(f"{path} has no events")
    known = ", ".join(map(repr, found))
    if camera is not None:
        chosen = [name for name in found if camera in (name, name.partition(":")[0])]
        if not chosen:
            raise DataError(f"{path} has no events of a camera {camera!r}; it has {known}")
        return found[chosen[0]]
    if len(found) > 1:
        raise DataError(
            f"{path} has events of {len(found)} cameras: {known}; make a file of each with "
            "lfp-snn data convert --camera NAME"
        )
    return next(iter(found.values()))


def _told(read: Callable[..., Read]) -> Callable[..., Read]:
    """A reader all of whose errors are sentences about its file."""

    @wraps(read)
    def reader(path: Path, *args: Any, **options: Any) -> Read:
        with reading(path):
            return read(path, *args, **options)

    return reader


def content(path: Path) -> bytes:
    """All bytes of a file.

    Raises:
        DataError: the file cannot be read, or is empty.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from error
    if not data:
        raise DataError(f"{path} is empty; delete it or fetch it again")
    return data


def put(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all.

    Raises:
        DataError: the file cannot be written; what was there before is intact.
    """
    try:
        write_whole(path, data)
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror or error})") from error


def records(path: Path, data: bytes, start: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """The fixed-size records of a file from a position on.

    Raises:
        DataError: the last record is cut short, or there are none.
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


def text_lines(path: Path, data: bytes, mark: bytes, last: tuple[bytes, ...] = ()) -> int:
    """The place at which the lines of text at the beginning of a file end, and binary data begins.

    Data may begin with the bytes of the mark too, so a line counts only if it is printable text
    that ends as the first line does.

    Args:
        path: the file, for messages.
        data: the content of the file.
        mark: the bytes with which each line begins.
        last: the lines after which nothing of the header follows.

    Raises:
        DataError: the first line does not end.
    """
    if data.startswith(mark[:1]) and b"\n" not in data:
        raise DataError(f"{path} has a header that does not end; it is damaged")
    end, ending = 0, b""
    while data.startswith(mark, end):
        stop = data.find(b"\n", end)
        line = data[end:stop]
        if stop < 0 or not _is_text(line) or not line.endswith(ending):
            break
        ending = ending or line[-1:] * line.endswith(b"\r")
        end = stop + 1
        if line.strip() in last:
            break
    return end


def _is_text(line: bytes) -> bool:
    try:
        return line.decode().strip().replace("\t", " ").isprintable()
    except UnicodeDecodeError:
        return False


def unwrapped(t: npt.NDArray[Any], bits: int) -> npt.NDArray[np.int64]:
    """The times of a clock of a given number of bits, with its rounds counted, int64 [E].

    A step back by more than half a round is a round; a step on by more than half takes one back, as
    where events lie on both sides of it.
    """
    t = t.astype(np.int64)
    step, half = np.diff(t), 1 << (bits - 1)
    back = step < -half
    if back.any():
        rounds = np.cumsum(back.astype(np.int64) - (step > half))
        rounds -= np.minimum(np.minimum.accumulate(rounds), 0)
        t[1:] += rounds << bits
    return t


def check_times(path: Path, events: Events, end: int) -> None:
    """Refuse times that a format cannot hold.

    Raises:
        DataError: some times are below zero, or not below the end.
    """
    first, last = int(events.t.min()), int(events.t.max())
    if first < 0 or last >= end:
        fits = last - first < end
        advice = (
            "; count from the first event on: lfp-snn data convert --from-zero"
            if fits
            else "; write a format with times of 64 bits, such as aedat4, hdf5 or npz"
        )
        raise DataError(
            f"{path}: this format holds times from 0 to {end - 1} us, but these run from "
            f"{first} to {last}{advice}"
        )


def events_of(
    path: Path,
    x: npt.NDArray[Any],
    y: npt.NDArray[Any],
    t: npt.NDArray[Any],
    p: npt.NDArray[Any],
    size: tuple[int | None, int | None] | None = None,
    polarities: int = 2,
) -> Events:
    """Make events of columns of any whole-number type.

    Args:
        path: the file, for messages.
        x: the columns of the pixels.
        y: the rows of the pixels.
        t: the times in microseconds.
        p: the polarities, not 0 for ON.
        size: the size (height, width) of the sensor; where a side is `None`, as large as events
            need.
        polarities: the number of polarities, 1 or 2.

    Raises:
        DataError: there are no events, or one lies off the sensor.
    """
    if not len(t):
        raise DataError(f"{path} has no events")
    # Compared before the cast: what is too large for a pixel must not come round as a small one.
    told_height, told_width = size or (None, None)
    height, width = told_height or int(y.max()) + 1, told_width or int(x.max()) + 1
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
        size_from_events=not (told_height and told_width),
    )
