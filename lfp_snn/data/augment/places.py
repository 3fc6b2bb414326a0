"""Steps of augmentation that move or drop units of the sensor, whatever happens there and when.

Each draws a table that says where every unit goes. Applied to events or to the spikes that were
binned from them it does the same, so that these steps also act where only spikes are left
(:func:`on_spikes`), on any device.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from lfp_snn.data.augment.base import Augmentation, check_probability, check_share
from lfp_snn.data.events import Events
from lfp_snn.errors import ConfigError
from lfp_snn.later import torch
from lfp_snn.spikes import Spikes

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Cutout", "DropArea", "Flip", "PlaceStep", "Shift", "on_spikes"]

IntArray = npt.NDArray[np.int64]
#: Polarities, height, width.
Sensor = tuple[int, int, int]


class PlaceStep(Augmentation):
    """The base of steps that move or drop units."""

    @property
    @override
    def takes_spikes(self) -> bool:
        return True

    @abstractmethod
    def places(self, sensor: Sensor, rng: np.random.Generator) -> IntArray | None:
        """The place to which each unit goes, int64 ``[polarities, height, width]``; None: all stay.

        It is -1 where a unit is dropped. No two units go to the same place.

        Args:
            sensor: the sensor of the recording.
            rng: the generator of random numbers to draw from.
        """

    @override
    def __call__(self, events: Events, rng: np.random.Generator) -> Events:
        _, height, width = events.sensor
        places = self.places(events.sensor, rng)
        if places is None:
            return events
        to = places[events.p, events.y, events.x]
        rows, x = np.divmod(to, width)
        p, y = np.divmod(rows, height)
        moved = replace(events, x=x.astype(np.int16), y=y.astype(np.int16), p=p.astype(np.uint8))
        return moved.only(to >= 0)


@dataclass(frozen=True)
class Flip(PlaceStep):
    """A step that mirrors a recording.

    Args:
        axis: what is mirrored: columns (`horizontal`), rows (`vertical`), ON and OFF (`polarity`),
            or the recording backwards (`time`; brightening then is darkening, so polarities change
            too).
        p: the probability of mirroring.
    """

    axis: Literal["horizontal", "vertical", "polarity", "time"] = "horizontal"
    p: float = 0.5

    def __post_init__(self) -> None:
        if self.axis not in ("horizontal", "vertical", "polarity", "time"):
            raise ConfigError(
                f"flip along {self.axis!r}; expected horizontal, vertical, polarity or time"
            )
        check_probability("p", self.p)

    @property
    @override
    def takes_spikes(self) -> bool:
        return self.axis != "time"

    @override
    def places(self, sensor: Sensor, rng: np.random.Generator) -> IntArray | None:
        if rng.random() >= self.p:
            return None
        return np.flip(_own_places(sensor), {"vertical": 1, "horizontal": 2}.get(self.axis, 0))

    @override
    def __call__(self, events: Events, rng: np.random.Generator) -> Events:
        flipped = super().__call__(events, rng)
        if self.axis != "time" or flipped is events:
            return flipped
        return replace(flipped, t=events.t[0] + events.t[-1] - events.t)


@dataclass(frozen=True)
class Shift(PlaceStep):
    """A step that moves all events by whole pixels, drawn evenly; events off the sensor go.

    Args:
        pixels: the largest shift in either direction, >= 1.
    """

    pixels: int = 2

    def __post_init__(self) -> None:
        if self.pixels < 1:
            raise ConfigError(f"shift by up to {self.pixels} pixels; expected at least 1")

    @override
    def places(self, sensor: Sensor, rng: np.random.Generator) -> IntArray:
        _, height, width = sensor
        dx, dy = rng.integers(-self.pixels, self.pixels + 1, 2)
        y, x = np.arange(height)[:, None] + dy, np.arange(width) + dx
        there = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        return np.where(there, _own_places(sensor) + dy * width + dx, -1)


@dataclass(frozen=True)
class DropArea(PlaceStep):
    """A step that drops a rectangle with the sensor's proportions, of an area drawn to `ratio`.

    Args:
        ratio: the largest share of the sensor's area, in (0, 1).
    """

    ratio: float = 0.2

    def __post_init__(self) -> None:
        check_share("ratio", self.ratio)

    @override
    def places(self, sensor: Sensor, rng: np.random.Generator) -> IntArray:
        _, height, width = sensor
        side = np.sqrt(rng.uniform(0, self.ratio))
        top, left = rng.uniform(0, 1 - side, 2) * (height, width)
        return _without_box(_own_places(sensor), top, left, side * height, side * width)


@dataclass(frozen=True)
class Cutout(PlaceStep):
    """A step that drops the events of some squares; their middles lie anywhere on the sensor.

    Args:
        size: the side of a square in pixels, >= 1.
        holes: the number of squares, >= 1.

    Source: DeVries, Taylor, *Improved regularization of convolutional neural networks with cutout*,
    2017 (arXiv 1708.04552).
    """

    size: int = 8
    holes: int = 1

    def __post_init__(self) -> None:
        if min(self.size, self.holes) < 1:
            raise ConfigError(f"{self.holes} holes of {self.size} pixels; expected at least 1")

    @override
    def places(self, sensor: Sensor, rng: np.random.Generator) -> IntArray:
        _, height, width = sensor
        places = _own_places(sensor)
        for _ in range(self.holes):
            left = int(rng.integers(width)) - self.size // 2
            top = int(rng.integers(height)) - self.size // 2
            places = _without_box(places, top, left, self.size, self.size)
        return places


def _own_places(sensor: Sensor) -> IntArray:
    """A table in which each unit stays where it is."""
    return np.arange(np.prod(sensor), dtype=np.int64).reshape(sensor)


def _without_box(
    places: IntArray, top: float, left: float, height: float, width: float
) -> IntArray:
    """A table without what lies in a box of pixels."""
    y, x = np.arange(places.shape[1])[:, None], np.arange(places.shape[2])
    inside = (y >= top) & (y < top + height) & (x >= left) & (x < left + width)
    return np.where(inside, -1, places)


def on_spikes(spikes: Spikes, steps: Sequence[PlaceStep], keys: IntArray) -> Spikes:
    """Apply steps to spikes that were binned before, as :func:`~.augment` does to events.

    What is drawn is the same. A step that would leave a sample without spikes is passed over.

    Args:
        spikes: the samples, of feature shape (polarities, height, width), on any device.
        steps: the steps in their order.
        keys: the numbers that each sample's random numbers follow from, int64 ``[B, K]``.
    """
    sensor = spikes.feature_shape
    assert len(sensor) == 3
    own, rows = _own_places(sensor), spikes.rows()
    owner = rows.div(spikes.steps, rounding_mode="floor")
    unit, kept = spikes.indices.long(), torch.ones_like(rows, dtype=torch.bool)
    for position, step in enumerate(steps):
        drawn = [step.places(sensor, np.random.default_rng([*key, position])) for key in keys]
        tables = np.stack([own if places is None else places for places in drawn])
        table = torch.from_numpy(tables.reshape(len(keys), -1)).to(spikes.device)
        to = table[owner, unit]
        stay = kept & (to >= 0)
        some = torch.zeros(spikes.batch, dtype=torch.int64, device=spikes.device)
        passed_over = (some.index_add(0, owner, stay.long()) == 0)[owner]
        unit = torch.where(passed_over, unit, to.clamp(min=0))
        kept = torch.where(passed_over, kept, stay)
    return _in_order(spikes, rows, unit, kept)


def _in_order(spikes: Spikes, rows: Tensor, unit: Tensor, kept: Tensor) -> Spikes:
    """Spikes whose entries went to other units, without those that are not kept."""
    rows, unit = rows[kept], unit[kept]
    units = int(np.prod(spikes.feature_shape))
    order = torch.argsort(rows * units + unit)
    indptr = torch.zeros_like(spikes.indptr)
    torch.cumsum(torch.bincount(rows, minlength=len(indptr) - 1), 0, out=indptr[1:])
    values = None if spikes.values is None else spikes.values[kept][order]
    return Spikes(indptr, unit[order].to(torch.int32), spikes.shape, values)
