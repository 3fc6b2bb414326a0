"""Steps of augmentation that change or choose times."""

from dataclasses import dataclass, replace

import numpy as np
from typing_extensions import override

from lfp_snn.data.augment.base import Augmentation, check_positive, check_share
from lfp_snn.data.events import Events
from lfp_snn.data.geometry import inside

__all__ = ["CropTime", "DropTime", "TimeJitter"]

_MICROSECONDS = 1000  # in a millisecond


@dataclass(frozen=True)
class TimeJitter(Augmentation):
    """A step that adds a normal deviate to the time of each event.

    Args:
        std_ms: the standard deviation in milliseconds, > 0.
    """

    std_ms: float = 1.0

    def __post_init__(self) -> None:
        check_positive("std_ms", self.std_ms)

    @override
    def __call__(self, events: Events, rng: np.random.Generator) -> Events:
        moved = rng.normal(0, self.std_ms * _MICROSECONDS, len(events))
        return replace(events, t=events.t + np.rint(moved).astype(np.int64))


@dataclass(frozen=True)
class DropTime(Augmentation):
    """A step that drops an interval of time, whose share of the duration is drawn to `ratio`.

    Args:
        ratio: the largest share, in (0, 1).
    """

    ratio: float = 0.3

    def __post_init__(self) -> None:
        check_share("ratio", self.ratio)

    @override
    def __call__(self, events: Events, rng: np.random.Generator) -> Events:
        share = rng.uniform(0, self.ratio)
        begin = rng.uniform(0, 1 - share)
        place = (events.t - events.t[0]) / max(1, int(events.t[-1] - events.t[0]))
        return events.only((place < begin) | (place >= begin + share))


@dataclass(frozen=True)
class CropTime(Augmentation):
    """A step that keeps a window of time, whose share of the duration is fixed and place is drawn.

    Binned by time or by count, the window fills all steps: it is seen more slowly.

    Args:
        share: the share of the duration that is kept, in (0, 1).
    """

    share: float = 0.9

    def __post_init__(self) -> None:
        check_share("share", self.share)

    @override
    def __call__(self, events: Events, rng: np.random.Generator) -> Events:
        begin = rng.uniform(0, 1 - self.share)
        return events.only(inside(events, np.array([begin, 0, 0]), np.array([self.share, 1, 1])))
