"""What the datasets share whose recordings are simulated from still images."""

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np
from pydantic import Field

from lfp_snn.data import cache
from lfp_snn.data.camera import SIDE, Camera, FloatArray
from lfp_snn.data.event_set import EventSet
from lfp_snn.data.events import Events
from lfp_snn.data.options import SpikeOptions
from lfp_snn.data.sets import IntArray, SampleSet, SpikeSet

SENSOR = (2, SIDE, SIDE)
_CHUNK = 200  # recordings simulated at once


class SimulatedOptions(SpikeOptions):
    """Options of datasets whose events are simulated."""

    threshold: float = Field(
        default=0.35,
        gt=0,
        description="contrast threshold of the simulated camera, in log intensity",
    )
    mismatch: float = Field(
        default=0.1, ge=0, lt=1, description="spread of the thresholds of its pixels, relative"
    )
    noise_hz: float = Field(
        default=0.3, ge=0, description="events without a cause, per pixel and second"
    )

    def camera(self) -> Camera:
        """The simulated camera of these options."""
        return Camera(self.threshold, self.mismatch, self.noise_hz, self.seed)


def simulated_set(
    name: str,
    images: FloatArray,
    labels: IntArray,
    ids: Sequence[str],
    options: SimulatedOptions,
    classes: tuple[str, ...],
) -> SampleSet:
    """The set of simulated recordings of images: encoded once and cached, or anew when asked for.

    Args:
        name: of the dataset.
        images: brightness in [0, 1], float64 [N, rows, columns]. The number of an image draws the
            noise of its recording.
        labels: class of each, int64 [N].
        ids: name of each.
        options: camera and encoding.
        classes: name of each class.
    """
    camera = options.camera()

    def read(rows: IntArray) -> Events:
        return camera.record(images[rows], rows)

    if options.on_demand:
        return EventSet(read, options, SENSOR, labels, ids, classes=classes)
    key = {
        "images": hashlib.sha256(np.ascontiguousarray(images).tobytes()).hexdigest(),
        "encoding": options.encoding(),
        "camera": dataclasses.asdict(camera),
    }
    chunks = (np.arange(n, min(n + _CHUNK, len(images))) for n in range(0, len(images), _CHUNK))
    return SpikeSet(
        cache.fetch(name, [], key, lambda: (options.encode(read(rows)) for rows in chunks)),
        labels,
        ids,
        classes=classes,
        feature_shape=options.sensor(SENSOR),
        steps=options.steps,
    )
