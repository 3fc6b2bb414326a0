"""A simulated event camera that looks at still images with three saccades, as in N-MNIST.

What a pixel does is the usual model of a dynamic vision sensor (Lichtsteiner, Posch, Delbruck,
IEEE JSSC 2008), simulated with interpolated event times (Rebecq, Gehrig, Scaramuzza, CoRL 2018):

    L(t) = log(I(t) + DARK)           what the pixel sees, I in [0, 1]
    L(t) >= m + theta_on    =>  ON event,   m <- m + theta_on
    L(t) <= m - theta_off   =>  OFF event,  m <- m - theta_off

m is the level of the pixel's last event, at first L(0). L is computed every `STEP_US` and taken as
linear between. Each pixel has thresholds of its own. Events without a cause are added at random.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lfp_snn.data.events import Events

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

SIDE = 34  # pixels in a row and in a column, as in N-MNIST
SACCADE_US = 100_000
STEP_US = 5_000
DURATION_US = 3 * SACCADE_US
DARK = 0.3  # light that falls on a pixel that looks at black; bounds the contrast to 3 : 13
EXTENT = 25.6  # sensor pixels that an image covers, whatever its own pixels are

# Where the camera points at the start of each saccade and at the end, in sensor pixels (x, y): the
# triangle of N-MNIST, run through at constant speed.
TRIANGLE = np.array([[0.0, 0.0], [3.5, 7.0], [7.0, 0.0], [0.0, 0.0]])


class _Fired(NamedTuple):
    """Events in any order: recording, flat pixel, time in microseconds, polarity."""

    recording: IntArray
    pixel: IntArray
    t: IntArray
    p: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Camera:
    """The simulated camera.

    Args:
        threshold: mean contrast threshold theta, in units of log intensity.
        mismatch: standard deviation of a pixel's thresholds, relative to the mean.
        noise_hz: events without a cause, per pixel and second.
        seed: draws the thresholds and the noise.
    """

    threshold: float
    mismatch: float
    noise_hz: float
    seed: int

    def record(self, images: FloatArray, numbers: IntArray) -> Events:
        """Records each image with three saccades of 100 ms.

        Args:
            images: brightness in [0, 1], float64 [N, rows, columns], square.
            numbers: a number for each recording; with the seed, it draws the noise, so that a
                recording does not depend on those made beside it.

        Returns:
            N recordings on a sensor of 2 x 34 x 34.
        """
        fired = [*self._changes(images), self._noise(numbers)]
        recording, pixel, t, p = (np.concatenate(column) for column in zip(*fired, strict=True))
        order = np.argsort(recording * DURATION_US + t, kind="stable")
        pixel = pixel[order]
        counts = np.bincount(recording, minlength=len(images))
        return Events(
            x=(pixel % SIDE).astype(np.int16),
            y=(pixel // SIDE).astype(np.int16),
            t=t[order],
            p=p[order],
            sensor=(2, SIDE, SIDE),
            offsets=np.concatenate(([0], np.cumsum(counts))),
        )

    def _changes(self, images: FloatArray) -> Iterator[_Fired]:
        """The events of each simulation step."""
        rng = np.random.default_rng([self.seed, 0])
        spread = 1 + self.mismatch * rng.standard_normal((2, SIDE * SIDE))
        off, on = self.threshold * np.maximum(spread, 0.1)
        views = log_intensity(images)
        before = next(views)
        level = before.copy()
        for step, after in enumerate(views):
            for theta, p in ((on, 1), (-off, 0)):
                # A pixel crosses its next levels level + theta, level + 2 theta ... on the way.
                crossed = np.maximum(np.floor((after - level) / theta), 0)
                recording, pixel = np.nonzero(crossed)
                times = crossed[recording, pixel].astype(np.int64)
                # One row for each event: repeat the pixel, and count its events 1, 2 ...
                row = np.repeat(np.arange(len(times)), times)
                nth = np.arange(len(row)) - np.repeat(np.cumsum(times) - times, times) + 1
                recording, pixel = recording[row], pixel[row]
                start = before[recording, pixel]
                reached = level[recording, pixel] + nth * theta[pixel]
                way = (reached - start) / (after[recording, pixel] - start)
                t = ((step + np.clip(way, 0, 1)) * STEP_US).astype(np.int64)
                t = np.minimum(t, DURATION_US - 1)
                yield _Fired(recording, pixel, t, np.full(len(t), p, dtype=np.uint8))
                level += crossed * theta
            before = after

    def _noise(self, numbers: IntArray) -> _Fired:
        """Events without a cause: a Poisson process at every pixel, either polarity."""
        mean = self.noise_hz * SIDE * SIDE * DURATION_US * 1e-6
        drawn = []
        for recording, number in enumerate(numbers):
            rng = np.random.default_rng([self.seed, 1, number])
            count = rng.poisson(mean)
            drawn.append(
                _Fired(
                    np.full(count, recording),
                    rng.integers(SIDE * SIDE, size=count),
                    rng.integers(DURATION_US, size=count),
                    rng.integers(2, size=count, dtype=np.uint8),
                )
            )
        return _Fired(*(np.concatenate(column) for column in zip(*drawn, strict=True)))


def log_intensity(images: FloatArray) -> Iterator[FloatArray]:
    """Log intensity at every pixel, float64 [N, 34 * 34], at t = 0, STEP_US ... DURATION_US."""
    corners = np.arange(len(TRIANGLE)) * SACCADE_US
    for t in range(0, DURATION_US + 1, STEP_US):
        x, y = (np.interp(t, corners, TRIANGLE[:, axis]) for axis in (0, 1))
        # Bilinear interpolation is a matrix for the rows times the image times one for the columns.
        seen = _weights(y, images.shape[1]) @ images @ _weights(x, images.shape[2]).T
        yield np.log(seen.reshape(len(images), -1) + DARK)


def _weights(shift: float, size: int) -> FloatArray:
    """How much of each of `size` image pixels a row (or column) of the sensor sees, [34, size].

    The image lies in the middle of the camera's way; around it all is black.
    """
    centre = (SIDE - 1 - TRIANGLE.max()) / 2 + shift
    place = (np.arange(SIDE) - centre) / (EXTENT / size) + (size - 1) / 2
    weights: FloatArray = np.maximum(1 - np.abs(place[:, None] - np.arange(size)), 0)
    return weights
