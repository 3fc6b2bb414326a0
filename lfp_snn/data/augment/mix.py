"""The step of augmentation that takes a part of another recording."""

from dataclasses import dataclass, replace

import numpy as np

from lfp_snn.data.augment.base import check_positive, check_probability
from lfp_snn.data.events import Events
from lfp_snn.data.geometry import inside

__all__ = ["Mix"]


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
        check_probability("p", self.p)
        check_positive("alpha", self.alpha)

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
