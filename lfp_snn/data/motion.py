"""The motion of a sensor that makes three saccades in front of a still image, and what it sees.

The way is that of N-MNIST (G. Orchard, A. Jayawant, G. Cohen, N. Thakor, Frontiers in Neuroscience
9, 2015): a triangle, run through at constant speed, 100 ms a side.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lfp_snn.errors import ConfigError

FloatArray = npt.NDArray[np.float64]

SACCADE_US = 100_000
DURATION_US = 3 * SACCADE_US
# Where the sensor points at the start of each saccade and at the end, (x, y).
TRIANGLE = np.array([[0.0, 0.0], [0.5, 1.0], [1.0, 0.0], [0.0, 0.0]])

_SIDE, _EXTENT, _REACH = 34, 25.6, 7.0  # of N-MNIST
_VIEWS = 60  # over the recording; more where the way is longer than N-MNIST's


@dataclass(frozen=True)
class Saccades:
    """A sensor in front of a still image, with its way over it; by default as for N-MNIST.

    The image lies in the middle of the way; around it all is black. It is sampled with bilinear
    interpolation, so an image with many more pixels than `extent` should be scaled down before.

    Args:
        rows, columns: the size of the sensor in pixels.
        extent: the sensor pixels that the longer side of an image covers, whatever its own pixels
            are.
        reach: the width and height of the way in sensor pixels; 0 stands still.

    Raises:
        ConfigError: a size is not positive, or the reach is negative.
    """

    rows: int = _SIDE
    columns: int = _SIDE
    extent: float = _EXTENT
    reach: float = _REACH

    def __post_init__(self) -> None:
        if min(self.rows, self.columns, self.extent) <= 0 or not 0 <= self.reach < math.inf:
            raise ConfigError(
                f"{self} is no sensor in front of an image: sizes are above 0, the reach 0 or more"
            )

    @classmethod
    def of(cls, side: int) -> "Saccades":
        """A square sensor in the proportions of N-MNIST, where `side` is 34."""
        return cls(side, side, side * _EXTENT / _SIDE, side * _REACH / _SIDE)

    def views(self, images: FloatArray) -> Iterator[tuple[int, FloatArray]]:
        """The times in microseconds, 0 to `DURATION_US`, and what is seen at each of them.

        The times lie 5 ms apart, or closer, so that nothing moves more than 0.7 pixels between two.
        """
        count = max(_VIEWS, math.ceil(_VIEWS * self.reach / _REACH))
        for t in np.rint(np.linspace(0, DURATION_US, count + 1)).astype(np.int64).tolist():
            yield t, self.view(images, t)

    def view(self, images: FloatArray, t: float) -> FloatArray:
        """The brightness that the sensor sees at time t, in microseconds.

        Args:
            images: the brightness, float64 [..., image rows, image columns].
            t: the time, 0 to `DURATION_US`.

        Returns:
            The brightness on the sensor, float64 [..., rows, columns].
        """
        corners = np.arange(len(TRIANGLE)) * SACCADE_US
        x, y = (np.interp(t, corners, TRIANGLE[:, axis] * self.reach) for axis in (0, 1))
        pitch = self.extent / max(images.shape[-2:])  # sensor pixels to an image pixel
        # Bilinear interpolation is a matrix for the rows times the image times one for the columns.
        down = self._weights(self.rows, y, pitch, images.shape[-2])
        across = self._weights(self.columns, x, pitch, images.shape[-1])
        seen: FloatArray = down @ images @ across.T
        return seen

    def _weights(self, pixels: int, shift: float, pitch: float, size: int) -> FloatArray:
        """How much of each of `size` image pixels a row (or column) of the sensor sees."""
        centre = (pixels - 1 - self.reach) / 2 + shift
        place = (np.arange(pixels) - centre) / pitch + (size - 1) / 2
        weights: FloatArray = np.maximum(1 - np.abs(place[:, None] - np.arange(size)), 0)
        return weights
