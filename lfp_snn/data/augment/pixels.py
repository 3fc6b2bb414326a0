"""Steps of augmentation that move or drop each event for itself."""

from dataclasses import dataclass

import numpy as np
from typing_extensions import override

from lfp_snn.data.augment.base import Augmentation, check_positive, check_share
from lfp_snn.data.events import Events
from lfp_snn.data.geometry import moved, rotated
from lfp_snn.errors import ConfigError

__all__ = ["DropEvent", "Rotate", "SpaceJitter"]


@dataclass(frozen=True)
class Rotate(Augmentation):
    """A step that turns all events about the middle of the sensor, to the nearest pixel.

    x' = cos(a) x - sin(a) y and y' = sin(a) x + cos(a) y, from the middle, a drawn evenly.

    Args:
        degrees: the largest angle in either direction, in (0, 180].
    """

    degrees: float = 10.0

    def __post_init__(self) -> None:
        if not 0 < self.degrees <= 180:
            raise ConfigError(f"rotation by up to {self.degrees} degrees; expected (0, 180]")

    @override
    def __call__(self, events: Events, rng: np.random.Generator) -> Events:
        return rotated(events, rng.uniform(-self.degrees, self.degrees))


@dataclass(frozen=True)
class SpaceJitter(Augmentation):
    """A step that adds rounded normal deviates to the pixel of each event.

    What leaves the sensor is dropped.

    Args:
        std: the standard deviation in pixels, > 0.
    """

    std: float = 0.5

    def __post_init__(self) -> None:
        check_positive("std", self.std)

    @override
    def __call__(self, events: Events, rng: np.random.Generator) -> Events:
        dx, dy = np.rint(rng.normal(0, self.std, (2, len(events)))).astype(np.int64)
        return moved(events, events.x + dx, events.y + dy)


@dataclass(frozen=True)
class DropEvent(Augmentation):
    """A step that drops each event with a probability drawn for the recording, evenly to `ratio`.

    Args:
        ratio: the largest probability, in (0, 1).

    Source: Gu et al., *EventDrop: data augmentation for event-based learning*, IJCAI 2021, as are
    `DropTime` and `DropArea`.
    """

    ratio: float = 0.3

    def __post_init__(self) -> None:
        check_share("ratio", self.ratio)

    @override
    def __call__(self, events: Events, rng: np.random.Generator) -> Events:
        return events.only(rng.random(len(events)) >= rng.uniform(0, self.ratio))
