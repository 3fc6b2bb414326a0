"""Augmentation: random changes of recordings, to train on, or as copies that vote.

Each step is a small description that a config can hold, `data.augment: [{name: flip, ...}]`. It
takes one recording, after preprocessing and before binning, and random numbers of that recording
alone: what is drawn follows from (seed, epoch, recording) and from nothing else, neither from the
batch nor from the number of workers.

A step never leaves a recording without events: one that would is passed over.

Those that move or drop units (:mod:`lfp_snn.data.augment.places`) may act on spikes too, after
binning.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lfp_snn.data.augment.base import Augmentation
from lfp_snn.data.augment.mix import Mix
from lfp_snn.data.augment.pixels import DropEvent, Rotate, SpaceJitter
from lfp_snn.data.augment.places import Cutout, DropArea, Flip, PlaceStep, Shift, on_spikes
from lfp_snn.data.augment.times import CropTime, DropTime, TimeJitter
from lfp_snn.data.events import Events
from lfp_snn.data.geometry import BoolArray

__all__ = [
    "AUGMENTATIONS",
    "Augmentation",
    "Augmented",
    "CropTime",
    "Cutout",
    "DropArea",
    "DropEvent",
    "DropTime",
    "Flip",
    "Mix",
    "PlaceStep",
    "Rotate",
    "Shift",
    "SpaceJitter",
    "TimeJitter",
    "augment",
    "needs_partners",
    "on_spikes",
]

IntArray = npt.NDArray[np.int64]

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
