"""Augmentation: random changes of recordings, to train on, or as copies that vote.

Each step is a small description that a config can hold, `data.augment: [{name: flip, ...}]`. It
takes one recording, after preprocessing and before binning, and random numbers of that recording
alone: what is drawn follows from (seed, epoch, recording) and from nothing else, neither from the
batch nor from the number of workers.

A step never leaves a recording without events: one that would is passed over.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from typing_extensions import override

from lfp_snn.data.events import Events
from lfp_snn.data.geometry import BoolArray, IntArray, inside, moved, rotated
from lfp_snn.errors import ConfigError

_MICROSECONDS = 1000  # in a millisecond


class Augmentation(ABC):
    """The base of steps of augmentation; a step leaves the sensor as it is."""

    @abstractmethod
    def __call__(self, events: Events, rng: np.random.Generator) -> Events:
        """The events of one recording after this step, in any order and perhaps off the sensor.

        Args:
            events: the events of one recording, in order of time.
            rng: the generator of random numbers to draw from.
        """


@dataclass(frozen=True)
class Flip(Augmentation):
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
        _probability("p", self.p)

    @override
    def __call__(self, events: Events, rng: np.random.Generator) -> Events:
        if rng.random() >= self.p:
            return events
        polarities, height, width = events.sensor
        if self.axis == "horizontal":
            return replace(events, x=np.int16(width - 1) - events.x)
        if self.axis == "vertical":
            return replace(events, y=np.int16(height - 1) - events.y)
        other = events.p if polarities == 1 else np.uint8(1) - events.p
        if self.axis == "polarity":
            return replace(events, p=other)
        return replace(events, t=events.t[0] + events.t[-1] - events.t, p=other)


@dataclass(frozen=True)
class Shift(Augmentation):
    """A step that moves all events by whole pixels, drawn evenly; events off the sensor go.

    Args:
        pixels: the largest shift in either direction, >= 1.
    """

    pixels: int = 2

    def __post_init__(self) -> None:
        if self.pixels < 1:
            raise ConfigError(f"shift by up to {self.pixels} pixels; expected at least 1")

    @override
    def __call__(self, events: Events, rng: np.random.Generator) -> Events:
        dx, dy = rng.integers(-self.pixels, self.pixels + 1, 2)
        return moved(events, events.x + dx, events.y + dy)


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
class TimeJitter(Augmentation):
    """A step that adds a normal deviate to the time of each event.

    Args:
        std_ms: the standard deviation in milliseconds, > 0.
    """

    std_ms: float = 1.0

    def __post_init__(self) -> None:
        _positive("std_ms", self.std_ms)

    @override
    def __call__(self, events: Events, rng: np.random.Generator) -> Events:
        moved = rng.normal(0, self.std_ms * _MICROSECONDS, len(events))
        return replace(events, t=events.t + np.rint(moved).astype(np.int64))


@dataclass(frozen=True)
class SpaceJitter(Augmentation):
    """A step that adds rounded normal deviates to the pixel of each event.

    What leaves the sensor is dropped.

    Args:
        std: the standard deviation in pixels, > 0.
    """

    std: float = 0.5

    def __post_init__(self) -> None:
        _positive("std", self.std)

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
        _share("ratio", self.ratio)

    @override
    def __call__(self, events: Events, rng: np.random.Generator) -> Events:
        return events.only(rng.random(len(events)) >= rng.uniform(0, self.ratio))


@dataclass(frozen=True)
class DropTime(Augmentation):
    """A step that drops an interval of time, whose share of the duration is drawn to `ratio`.

    Args:
        ratio: the largest share, in (0, 1).
    """

    ratio: float = 0.3

    def __post_init__(self) -> None:
        _share("ratio", self.ratio)

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
        _share("share", self.share)

    @override
    def __call__(self, events: Events, rng: np.random.Generator) -> Events:
        begin = rng.uniform(0, 1 - self.share)
        return events.only(inside(events, np.array([begin, 0, 0]), np.array([self.share, 1, 1])))


@dataclass(frozen=True)
class DropArea(Augmentation):
    """A step that drops a rectangle with the sensor's proportions, of an area drawn to `ratio`.

    Args:
        ratio: the largest share of the sensor's area, in (0, 1).
    """

    ratio: float = 0.2

    def __post_init__(self) -> None:
        _share("ratio", self.ratio)

    @override
    def __call__(self, events: Events, rng: np.random.Generator) -> Events:
        _, height, width = events.sensor
        side = np.sqrt(rng.uniform(0, self.ratio))
        top, left = rng.uniform(0, 1 - side, 2) * (height, width)
        inside = (events.x >= left) & (events.x < left + side * width)
        inside &= (events.y >= top) & (events.y < top + side * height)
        return events.only(~inside)


@dataclass(frozen=True)
class Cutout(Augmentation):
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
    def __call__(self, events: Events, rng: np.random.Generator) -> Events:
        _, height, width = events.sensor
        kept = np.ones(len(events), np.bool_)
        for _ in range(self.holes):
            left = rng.integers(width) - self.size // 2
            top = rng.integers(height) - self.size // 2
            kept &= (
                (events.x < left)
                | (events.x >= left + self.size)
                | (events.y < top)
                | (events.y >= top + self.size)
            )
        return events.only(kept)


@dataclass(frozen=True)
class Mix:
    """A step that replaces a random box of a recording by the same box of another (EventMix).

    The box lies in space and time. The other recording is drawn from the training part. The box
    covers a share of the volume that is drawn from Beta(alpha, alpha); its times are relative to
    each recording's duration, so that recordings of different length fit. The label stays one
    class, the one of the recording that gives more events. (The source mixes the labels; a reward
    at the output takes one class.)

    Args:
        p: the probability of mixing.
        alpha: the parameter of the Beta distribution, > 0; small values make boxes that are small
            or nearly everything.

    Source: Shen et al., *EventMix: an efficient augmentation strategy for event-based data*, 2022
    (arXiv 2205.12054), with a box in place of its Gaussian mask.
    """

    p: float = 0.5
    alpha: float = 1.0

    def __post_init__(self) -> None:
        _probability("p", self.p)
        _positive("alpha", self.alpha)

    def __call__(
        self, events: Events, partner: Events, rng: np.random.Generator
    ) -> tuple[Events, bool]:
        """The mixture, and whether its label is the partner's."""
        if rng.random() >= self.p:
            return events, False
        sides = np.full(3, rng.beta(self.alpha, self.alpha) ** (1 / 3))
        corner = rng.uniform(0, 1 - sides)
        own = events.only(~inside(events, corner, sides))
        other = partner.only(inside(partner, corner, sides))
        if not len(own) + len(other):
            return events, False
        span, first = int(events.t[-1] - events.t[0]), int(events.t[0])
        place = (other.t - partner.t[0]) / max(1, int(partner.t[-1] - partner.t[0]))
        other = replace(other, t=first + np.rint(place * span).astype(np.int64))
        mixed = Events.joined([own, other])
        return replace(mixed, offsets=np.array([0, len(mixed)])), len(other) > len(own)


def _probability(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ConfigError(f"{name} is {value}; expected a probability in [0, 1]")


def _share(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise ConfigError(f"{name} is {value}; expected above 0 and below 1")


def _positive(name: str, value: float) -> None:
    if not (np.isfinite(value) and value > 0):
        raise ConfigError(f"{name} is {value}; expected above 0")


#: By the name that a config uses.
AUGMENTATIONS: dict[str, type[Any]] = {
    "flip": Flip,
    "shift": Shift,
    "rotate": Rotate,
    "time_jitter": TimeJitter,
    "space_jitter": SpaceJitter,
    "drop_event": DropEvent,
    "drop_time": DropTime,
    "crop_time": CropTime,
    "drop_area": DropArea,
    "cutout": Cutout,
    "mix": Mix,
}


class Augmented(NamedTuple):
    """Recordings after augmentation, and whether each has its partner's label (bool [N])."""

    events: Events
    from_partner: BoolArray


def needs_partners(steps: Sequence[Augmentation | Mix]) -> bool:
    """Whether a second recording is needed beside each."""
    return any(isinstance(step, Mix) for step in steps)


def augment(
    events: Events,
    steps: Sequence[Augmentation | Mix],
    keys: IntArray,
    partners: Events | None = None,
) -> Augmented:
    """Apply every step to each of the recordings in `events`.

    Args:
        events: the N recordings.
        steps: the steps in their order.
        keys: the numbers that each recording's random numbers follow from, int64 [N, K].
        partners: N other recordings, if `needs_partners`.

    Returns:
        The N recordings in order of time, none without events.
    """
    from_partner = np.zeros(events.recordings, np.bool_)
    parts = []
    for number, key in enumerate(keys):
        part = events.recording(number).in_order()
        for position, step in enumerate(steps):
            rng = np.random.default_rng([*key, position])
            if isinstance(step, Mix):
                assert partners is not None
                other = partners.recording(number).in_order()
                changed, swapped = step(part, other, rng)
                from_partner[number] |= swapped
            else:
                changed = step(part, rng)
            part = changed.in_order() if len(changed) else part
        parts.append(part)
    return Augmented(Events.joined(parts), from_partner)
