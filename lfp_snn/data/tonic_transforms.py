"""Transforms of tonic by name, as a step of preprocessing or of augmentation.

    preprocess: [{name: tonic, transform: CenterCrop, arguments: {size: [24, 24]}}]
    augment:    [{name: tonic, transform: RandomFlipLR, arguments: {p: 0.5}}]

`sensor_size` is filled in. tonic draws from numpy's global random numbers; here they are seeded for
each recording and put back afterwards, so that tonic's draws follow from (seed, epoch, recording)
as those of `lfp_snn.data.augment` do. As a step of preprocessing a transform that draws does so in
the same way for every recording.

tonic is GPL-3.0 and imported only when a transform is asked for.
"""

import inspect
import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from lfp_snn.data.augment import Augmentation
from lfp_snn.data.events import Events
from lfp_snn.data.preprocess import PreprocessingStep, Sensor
from lfp_snn.errors import ConfigError, DataError
from lfp_snn.options import nearest
from lfp_snn.wording import setting

#: Transforms that make events of events.
EVENT_TRANSFORMS = (
    "CenterCrop", "CropTime", "Decimation", "Denoise", "Downsample", "DropEvent", "DropEventByArea",
    "DropEventByTime", "DropPixel", "EventDownsampling", "EventDrop", "MergePolarities",
    "RandomCrop", "RandomDropPixel", "RandomFlipLR", "RandomFlipPolarity", "RandomFlipUD",
    "RandomTimeReversal", "RefractoryPeriod", "SpatialJitter", "TimeAlignment", "TimeJitter",
    "TimeSkew", "UniformNoise",
)  # fmt: skip

_DTYPE = np.dtype([("x", np.int16), ("y", np.int16), ("t", np.int64), ("p", np.int8)])
_DRAWING = threading.Lock()  # numpy's global random numbers are one thread's at a time


@dataclass(frozen=True)
class TonicStep(PreprocessingStep):
    """A transform of tonic, as a step of preprocessing.

    Args:
        transform: the name of a class in `tonic.transforms` that makes events of events.
        arguments: the arguments of that class, without `sensor_size`.

    Raises:
        ConfigError: tonic has no such transform or it makes something else than events, an argument
            is unknown or missing, or tonic is not installed.
    """

    transform: str
    arguments: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.transform not in EVENT_TRANSFORMS:
            close = nearest(self.transform, EVENT_TRANSFORMS)
            else_see = f"see {setting('data.steps')}, binning and values."
            hint = f"did you mean {close}?" if close else else_see
            raise ConfigError(
                f"{self.transform} is no transform of tonic that makes events of events; {hint}"
            )
        parameters = inspect.signature(self._class()).parameters
        for name in self.arguments:
            if name not in parameters or name == "sensor_size":
                known = ", ".join(key for key in parameters if key != "sensor_size") or "none"
                raise ConfigError(f"{self.transform} has no argument {name!r}; it takes: {known}")
        self._make((2, 1, 1))

    @override
    def sensor(self, sensor: Sensor) -> Sensor:
        polarities, height, width = sensor
        if self.transform == "MergePolarities":
            return 1, height, width
        size = self.arguments.get("size", self.arguments.get("target_size"))
        if size is not None:  # tonic writes width first
            width, height = (size, size) if isinstance(size, int) else (int(side) for side in size)
        elif self.transform == "Downsample":
            factor = self.arguments.get("spatial_factor", 1)
            across, down = factor if isinstance(factor, (list, tuple)) else (factor, factor)
            width, height = int(np.ceil(width * across)), int(np.ceil(height * down))
        return polarities, height, width

    @override
    def __call__(self, events: Events) -> Events:
        return self.apply(events, 0)

    def apply(self, events: Events, seed: int) -> Events:
        """The events of one recording after the transform, in order of time, on its sensor.

        Args:
            events: the events of one recording.
            seed: the seed of what the transform draws, in [0, 2^32).

        Raises:
            DataError: the transform fails on this recording.
        """
        columns = np.empty(len(events), _DTYPE)
        for name in ("x", "y", "t", "p"):
            columns[name] = getattr(events, name)
        with _DRAWING:
            before = np.random.get_state()  # noqa: NPY002 - it is what tonic draws from
            np.random.seed(seed)  # noqa: NPY002
            try:
                changed = self._make(events.sensor)(columns)
            except (ValueError, TypeError, IndexError, AssertionError, KeyError) as error:
                raise DataError(f"tonic's {self.transform} fails: {error!r}") from error
            finally:
                np.random.set_state(before)  # noqa: NPY002
        return self._events(changed, self.sensor(events.sensor))

    @staticmethod
    def _events(columns: npt.NDArray[Any], sensor: Sensor) -> Events:
        x, y, p = columns["x"], columns["y"], columns["p"]
        polarities, height, width = sensor
        kept = (x >= 0) & (x < width) & (y >= 0) & (y < height) & (p >= 0) & (p < polarities)
        whole = Events(
            x.astype(np.int16), y.astype(np.int16), columns["t"].astype(np.int64),
            p.astype(np.uint8), sensor,
        )  # fmt: skip
        return whole.only(kept).in_order()

    def _class(self) -> Any:
        try:
            from tonic import transforms
        except ImportError as error:
            raise ConfigError(
                "tonic's transforms take tonic, which is not installed: pip install 'lfp_snn[data]'"
            ) from error
        return getattr(transforms, self.transform)

    def _make(self, sensor: Sensor) -> Any:
        """Make the transform for a sensor."""
        made = self._class()
        arguments = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in self.arguments.items()
        }
        if "sensor_size" in inspect.signature(made).parameters:
            arguments["sensor_size"] = (sensor[2], sensor[1], sensor[0])
        try:
            return made(**arguments)
        except TypeError as error:
            raise ConfigError(f"tonic's {self.transform}: {error}") from error


@dataclass(frozen=True)
class TonicAugmentation(Augmentation):
    """A transform of tonic, as a step of augmentation; it must leave the sensor as it is.

    Args:
        transform: the name of a class in `tonic.transforms` that makes events of events.
        arguments: the arguments of that class, without `sensor_size`.

    Raises:
        ConfigError: the transform does not fit, as in `TonicStep`, or changes the size of the
            sensor.
    """

    transform: str
    arguments: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        step = TonicStep(self.transform, self.arguments)
        example = (2, 1000, 1000)
        if step.sensor(example) != example:
            raise ConfigError(
                f"{self.transform} changes the sensor, which would differ between training and "
                f"test: name it in {setting('data.preprocess')}"
            )

    @override
    def __call__(self, events: Events, rng: np.random.Generator) -> Events:
        step = TonicStep(self.transform, self.arguments)
        return step.apply(events, int(rng.integers(2**32)))
