"""Geometry of events: moves to other pixels, and boxes in time and space."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from lfp_snn.data.events import Events

__all__ = ["inside", "moved", "rotated"]

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


def rotated(events: Events, degrees: float) -> Events:
    """The events turned about the middle of the sensor, as `lfp_snn.data.augment.Rotate` does."""
    _, height, width = events.sensor
    x, y = events.x - (width - 1) / 2, events.y - (height - 1) / 2
    sine, cosine = np.sin(np.deg2rad(degrees)), np.cos(np.deg2rad(degrees))
    return moved(
        events,
        np.rint(cosine * x - sine * y + (width - 1) / 2).astype(np.int64),
        np.rint(sine * x + cosine * y + (height - 1) / 2).astype(np.int64),
    )


def moved(events: Events, x: IntArray, y: IntArray) -> Events:
    """The events at other pixels, without the ones that are now off the sensor."""
    _, height, width = events.sensor
    kept = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return replace(events, x=x.astype(np.int16), y=y.astype(np.int16)).only(kept)


def inside(
    events: Events, corner: npt.NDArray[np.float64], sides: npt.NDArray[np.float64]
) -> BoolArray:
    """Whether each event lies in a box whose corner and sides are shares of (t, y, x)."""
    _, height, width = events.sensor
    span = int(events.t[-1] - events.t[0]) + 1
    found = np.ones(len(events), np.bool_)
    places = ((events.t - events.t[0]) / span, events.y / height, events.x / width)
    for place, begin, side in zip(places, corner, sides, strict=True):
        found &= (place >= begin) & (place < begin + side)
    return found
