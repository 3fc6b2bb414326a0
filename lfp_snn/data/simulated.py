"""What the datasets share whose recordings are simulated from still images."""

from collections.abc import Iterator

import numpy as np
from pydantic import Field

from lfp_snn.data.binning import Binned
from lfp_snn.data.camera import Camera, FloatArray
from lfp_snn.data.options import SpikeOptions

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


def simulate(images: FloatArray, options: SimulatedOptions) -> Iterator[Binned]:
    """Spike trains of simulated recordings, chunk by chunk.

    Args:
        images: brightness in [0, 1], float64 [N, rows, columns].
        options: camera and encoding. The number of an image draws its noise.
    """
    camera = options.camera()
    numbers = np.arange(len(images))
    for start in range(0, len(images), _CHUNK):
        part = slice(start, start + _CHUNK)
        yield options.encode(camera.record(images[part], numbers[part]))
