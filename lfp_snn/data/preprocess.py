"""Preprocessing of recordings: events in, events out, before they are binned.

Each step is a small description that a config can hold, `data.preprocess: [{name: crop, ...}]`, and
is applied to one recording at a time, in the order given. All work on the events themselves, with
no dense frame in between.

Whether events that a step brings to the same pixel add up or count once is what `data.values` says
(counts or binary).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from typing_extensions import override

from lfp_snn.compiled import compiled
from lfp_snn.data.events import Events
from lfp_snn.errors import ConfigError, DataError

Sensor = tuple[int, int, int]

_MILLISECOND = 1000


class PreprocessingStep(ABC):
    """The base of steps of preprocessing."""

    def sensor(self, sensor: Sensor) -> Sensor:
        """The sensor (polarities, height, width) that the step makes of a sensor."""
        return sensor

    @abstractmethod
    def __call__(self, events: Events) -> Events:
        """The events of one recording, in order of time, after this step."""


@dataclass(frozen=True)
class TimeWindow(PreprocessingStep):
    """A step that keeps the events from `start_ms` to before `end_ms` after the first event.

    Args:
        start_ms: the start in milliseconds, >= 0.
        end_ms: the end in milliseconds, above `start_ms`, or None for the end of the recording.
    """

    start_ms: float = 0.0
    end_ms: float | None = None

    def __post_init__(self) -> None:
        if self.start_ms < 0 or (self.end_ms is not None and self.end_ms <= self.start_ms):
            raise ConfigError(
                f"a time window from {self.start_ms} to {self.end_ms} ms; expected 0 <= start < end"
            )

    @override
    def __call__(self, events: Events) -> Events:
        t = events.t - (events.t[0] if len(events) else 0)
        kept = t >= self.start_ms * _MILLISECOND
        if self.end_ms is not None:
            kept &= t < self.end_ms * _MILLISECOND
        return events.only(kept)


@dataclass(frozen=True)
class Crop(PreprocessingStep):
    """A step that keeps a rectangle of the sensor, which becomes the sensor.

    Args:
        top: the first row of the rectangle.
        left: the first column of the rectangle.
        height: the number of rows.
        width: the number of columns.
    """

    top: int
    left: int
    height: int
    width: int

    def __post_init__(self) -> None:
        if min(self.top, self.left) < 0 or min(self.height, self.width) < 1:
            raise ConfigError(f"{self} is no rectangle on a sensor")

    @override
    def sensor(self, sensor: Sensor) -> Sensor:
        if self.top + self.height > sensor[1] or self.left + self.width > sensor[2]:
            raise ConfigError(f"{self} does not lie on a sensor of {sensor[2]} x {sensor[1]}")
        return sensor[0], self.height, self.width

    @override
    def __call__(self, events: Events) -> Events:
        x, y = events.x - np.int16(self.left), events.y - np.int16(self.top)
        moved = replace(events, x=x, y=y, sensor=self.sensor(events.sensor))
        return _on_sensor(moved)


@dataclass(frozen=True)
class Downsample(PreprocessingStep):
    """A step that makes one pixel of `factor` x `factor`.

    Args:
        factor: the side of the square of pixels, >= 1; a sensor that it does not divide is rounded
            up.
    """

    factor: int

    def __post_init__(self) -> None:
        if self.factor < 1:
            raise ConfigError(f"downsampling by {self.factor}; expected at least 1")

    @override
    def sensor(self, sensor: Sensor) -> Sensor:
        return sensor[0], -(-sensor[1] // self.factor), -(-sensor[2] // self.factor)

    @override
    def __call__(self, events: Events) -> Events:
        factor = np.int16(self.factor)
        return replace(
            events, x=events.x // factor, y=events.y // factor, sensor=self.sensor(events.sensor)
        )


@dataclass(frozen=True)
class MergePolarity(PreprocessingStep):
    """A step that makes one polarity of two."""

    @override
    def sensor(self, sensor: Sensor) -> Sensor:
        return 1, sensor[1], sensor[2]

    @override
    def __call__(self, events: Events) -> Events:
        return replace(events, p=np.zeros_like(events.p), sensor=self.sensor(events.sensor))


@dataclass(frozen=True)
class Denoise(PreprocessingStep):
    """A step that drops events without an earlier event at one of the eight neighbouring pixels.

    An event stays if a neighbour had one, of either polarity, in the `window_ms` before it. The
    first events of a recording have nothing before them and are dropped.

    Args:
        window_ms: the window in milliseconds, > 0.

    Source: Delbruck, *Frame-free dynamic digital vision*, 2008 (background activity filter).
    """

    window_ms: float = 10.0

    def __post_init__(self) -> None:
        _positive("window_ms", self.window_ms)

    @override
    def __call__(self, events: Events) -> Events:
        _, height, width = events.sensor
        window = np.int64(self.window_ms * _MILLISECOND)
        return events.only(_supported(events.x, events.y, events.t, height, width, window))


@dataclass(frozen=True)
class HotPixels(PreprocessingStep):
    """A step that drops pixels that send more than `max_hz` events a second over the recording.

    Args:
        max_hz: the largest rate, in events a second, > 0.
    """

    max_hz: float = 1000.0

    def __post_init__(self) -> None:
        _positive("max_hz", self.max_hz)

    @override
    def __call__(self, events: Events) -> Events:
        if not len(events):
            return events
        seconds = max(int(events.t[-1]) - int(events.t[0]), 1) / 1e6
        _, height, width = events.sensor
        place = events.y.astype(np.int64) * width + events.x
        counts = np.bincount(place, minlength=height * width)
        return events.only(counts[place] <= self.max_hz * seconds)


@dataclass(frozen=True)
class Refractory(PreprocessingStep):
    """A step that drops events of a pixel and polarity for `period_ms` after one that is kept.

    Args:
        period_ms: the refractory period in milliseconds, > 0.
    """

    period_ms: float = 1.0

    def __post_init__(self) -> None:
        _positive("period_ms", self.period_ms)

    @override
    def __call__(self, events: Events) -> Events:
        units = int(np.prod(events.sensor))
        period = np.int64(self.period_ms * _MILLISECOND)
        return events.only(_rested(events.units(), events.t, units, period))


@dataclass(frozen=True)
class Stabilise(PreprocessingStep):
    """A step that moves the events of each slice of time, so that their centre stays in the middle.

    The centre is the centre of mass. The step takes out the motion of the camera where one object
    is seen, such as N-MNIST's saccades. Shifts are whole pixels; what leaves the sensor is dropped.

    Args:
        slice_ms: the duration of a slice in milliseconds, > 0.
    """

    slice_ms: float = 10.0

    def __post_init__(self) -> None:
        _positive("slice_ms", self.slice_ms)

    @override
    def __call__(self, events: Events) -> Events:
        if not len(events):
            return events
        number = (events.t - events.t[0]) // max(1, round(self.slice_ms * _MILLISECOND))
        slices, which = np.unique(number, return_inverse=True)
        sizes = np.bincount(which, minlength=len(slices))
        _, height, width = events.sensor
        moved = {}
        for name, column, side in (("x", events.x, width), ("y", events.y, height)):
            centre = np.bincount(which, column, minlength=len(slices)) / sizes
            shift = np.rint((side - 1) / 2 - centre).astype(np.int64)
            moved[name] = (column + shift[which]).astype(np.int16)
        return _on_sensor(replace(events, x=moved["x"], y=moved["y"]))


def _positive(name: str, value: float) -> None:
    if not value > 0:
        raise ConfigError(f"{name} is {value}; expected above 0")


def _on_sensor(events: Events) -> Events:
    """The events without the ones that were moved off the sensor."""
    _, height, width = events.sensor
    x, y = events.x, events.y
    return events.only((x >= 0) & (x < width) & (y >= 0) & (y < height))


@compiled
def _supported(x, y, t, height, width, window):  # type: ignore[no-untyped-def]
    """Whether a neighbour of each event had an event within the window before it."""
    never = np.int64(-(2**62))
    last = np.full((height + 2, width + 2), never)  # a rim saves looking at the borders
    kept = np.zeros(len(t), np.bool_)
    for e in range(len(t)):
        row, column = y[e] + 1, x[e] + 1
        for i in range(row - 1, row + 2):
            for j in range(column - 1, column + 2):
                if (i != row or j != column) and last[i, j] >= t[e] - window:
                    kept[e] = True
        last[row, column] = t[e]
    return kept


@compiled
def _rested(units, t, size, period):  # type: ignore[no-untyped-def]
    """Whether each event comes at least a period after the last kept event of its unit."""
    last = np.full(size, np.int64(-(2**62)))
    kept = np.zeros(len(t), np.bool_)
    for e in range(len(t)):
        if t[e] - last[units[e]] >= period:
            kept[e] = True
            last[units[e]] = t[e]
    return kept


#: By the name that a config uses.
STEPS: dict[str, type[Any]] = {
    "time_window": TimeWindow,
    "crop": Crop,
    "downsample": Downsample,
    "merge_polarity": MergePolarity,
    "denoise": Denoise,
    "hot_pixels": HotPixels,
    "refractory": Refractory,
    "stabilise": Stabilise,
}


def preprocess(events: Events, steps: Sequence[PreprocessingStep]) -> Events:
    """Apply all steps to each of the recordings in `events`.

    Events out of order are sorted by time first, if there is anything to do.

    Raises:
        DataError: nothing is left of a recording.
        ConfigError: a step does not fit the sensor.
    """
    if not steps:
        return events
    parts = []
    for number in range(events.recordings):
        part = events.recording(number).in_order()
        for step in steps:
            part = step(part)
        if not len(part):
            raise DataError(
                f"preprocessing leaves no events of recording {number} of {events.recordings}"
            )
        parts.append(part)
    return Events.joined(parts)


def sensor_after(sensor: Sensor, steps: Sequence[PreprocessingStep]) -> Sensor:
    """The sensor that all steps together make of a sensor.

    Raises:
        ConfigError: a step does not fit the sensor.
    """
    for step in steps:
        sensor = step.sensor(sensor)
    return sensor
