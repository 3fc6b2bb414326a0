"""A simulated event camera: in front of still images with three saccades, or of a film.

What a pixel does is the usual model of a dynamic vision sensor (Lichtsteiner, Posch, Delbruck,
IEEE JSSC 2008), simulated with interpolated event times (Rebecq, Gehrig, Scaramuzza, CoRL 2018):

    L(t) = log(I(t) + DARK)           what the pixel sees, I in [0, 1]
    L(t) >= m + theta_on    =>  ON event,   m <- m + theta_on
    L(t) <= m - theta_off   =>  OFF event,  m <- m - theta_off

m is the level of the pixel's last event, at first L at the beginning. L is known at some times
(each view of a still image, each frame of a film) and taken as linear between. Each pixel has
thresholds of its own. Events without a cause are added at random. A refractory period is a step of
preprocessing (`lfp_snn.data.preprocess.Refractory`), as for the events of a real camera.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lfp_snn.data.events import Events
from lfp_snn.data.motion import FloatArray, Saccades
from lfp_snn.errors import DataError

IntArray = npt.NDArray[np.int64]
Views = Iterable[tuple[int, FloatArray]]

DARK = 0.3  # light that falls on a pixel that looks at black; bounds the contrast to 3 : 13
_LARGEST = int(np.iinfo(np.int16).max)


class _Fired(NamedTuple):
    """Simulated events in any order: recording, flat pixel, time in microseconds, polarity."""

    recording: IntArray
    pixel: IntArray
    t: IntArray
    p: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Camera:
    """The simulated camera.

    Args:
        threshold: the mean contrast threshold theta, in units of log intensity.
        mismatch: the standard deviation of a pixel's thresholds, relative to the mean.
        noise_hz: the rate of events without a cause, per pixel and second.
        seed: the seed of the thresholds and the noise.
    """

    threshold: float
    mismatch: float
    noise_hz: float
    seed: int

    def record(
        self, images: FloatArray, numbers: IntArray, motion: Saccades | None = None
    ) -> Events:
        """Record each still image with three saccades of 100 ms.

        Args:
            images: the brightness in [0, 1], float64 [N, rows, columns].
            numbers: a number for each recording; with the seed, it draws the noise, so that a
                recording does not depend on the others.
            motion: the sensor and its way over the image; by default N-MNIST's.

        Returns:
            The N recordings on a sensor of (2, motion.rows, motion.columns).
        """
        return self._watch((motion or Saccades()).views(images), numbers)

    def film(self, frames: Views, number: int = 0) -> Events:
        """Record a film, from its first frame to its last.

        Args:
            frames: the frames, at least two: the time of each in whole microseconds, ascending, and
                its brightness in [0, 1], float64 [rows, columns]. A pixel of a frame is a pixel of
                the sensor. They are taken one by one, so a film need not fit in memory; an array is
                `zip(times, array)`.
            number: the number of the recording; with the seed, it draws the noise.

        Returns:
            One recording on a sensor of (2, rows, columns), its times as those of the frames.

        Raises:
            DataError: there are fewer than two frames, a frame has another size or brightness
                beyond [0, 1], or the times do not ascend.
        """
        return self._watch(_checked(frames), np.array([number]))

    def _watch(self, views: Views, numbers: IntArray) -> Events:
        """The recordings of brightness [N, rows, columns] that is seen at some times."""
        coming = iter(views)
        begin, seen = next(coming)
        rows, columns = seen.shape[1:]
        rng = np.random.default_rng([self.seed, 0])
        spread = 1 + self.mismatch * rng.standard_normal((2, rows * columns))
        off, on = self.threshold * np.maximum(spread, 0.1)
        start, before = begin, _log_intensity(seen)
        level = before.copy()
        fired = []
        for end, seen in coming:
            after = _log_intensity(seen)
            for theta, p in ((on, 1), (-off, 0)):
                fired.append(_crossings(before, after, level, theta, (start, end), p))
            start, before = end, after
        fired.append(self._noise(numbers, (rows, columns), start - begin, begin))
        recording, pixel, t, polarity = (
            np.concatenate(column) for column in zip(*fired, strict=True)
        )
        t = np.minimum(t, start - 1)
        order = np.argsort(recording * (start - begin) + (t - begin), kind="stable")
        pixel = pixel[order]
        counts = np.bincount(recording, minlength=len(numbers))
        return Events(
            x=(pixel % columns).astype(np.int16),
            y=(pixel // columns).astype(np.int16),
            t=t[order],
            p=polarity[order],
            sensor=(2, rows, columns),
            offsets=np.concatenate(([0], np.cumsum(counts))),
        )

    def _noise(
        self, numbers: IntArray, sensor: tuple[int, int], duration: int, begin: int
    ) -> _Fired:
        """Draw events without a cause: a Poisson process at every pixel, of either polarity."""
        rows, columns = sensor
        mean = self.noise_hz * rows * columns * duration * 1e-6
        drawn = []
        for recording, number in enumerate(numbers):
            rng = np.random.default_rng([self.seed, 1, number])
            count = rng.poisson(mean)
            drawn.append(
                _Fired(
                    np.full(count, recording),
                    rng.integers(rows * columns, size=count),
                    rng.integers(duration, size=count) + begin,
                    rng.integers(2, size=count, dtype=np.uint8),
                )
            )
        return _Fired(*(np.concatenate(column) for column in zip(*drawn, strict=True)))


def _log_intensity(seen: FloatArray) -> FloatArray:
    """The log intensity L of every pixel, float64 [N, rows * columns]."""
    brightness: FloatArray = np.log(seen.reshape(len(seen), -1) + DARK)
    return brightness


def _crossings(
    before: FloatArray,
    after: FloatArray,
    level: FloatArray,
    theta: FloatArray,
    span: tuple[int, int],
    p: int,
) -> _Fired:
    """The events of one polarity between two views; moves `level` by theta (< 0 for OFF) each."""
    # A pixel crosses its next levels level + theta, level + 2 theta ... on the way; most do none.
    missing = after - level
    recording, pixel = where = np.nonzero(missing >= theta if p else missing <= theta)
    step, origin, last = theta[pixel], before[where], level[where]
    times = (missing[where] / step).astype(np.int64)
    level[where] += times * step
    # One row for each event: repeat the pixel, and count its events 1, 2 ...
    row = np.repeat(np.arange(len(times)), times)
    nth = np.arange(len(row)) - np.repeat(np.cumsum(times) - times, times) + 1
    reached = last[row] + nth * step[row]
    way = (reached - origin[row]) / (after[where] - origin)[row]
    start, end = span
    length = end - start
    t = ((start / length + np.clip(way, 0, 1)) * length).astype(np.int64)
    return _Fired(recording[row], pixel[row], t, np.full(len(t), p, dtype=np.uint8))


def _checked(frames: Views) -> Iterator[tuple[int, FloatArray]]:
    """The frames of one film with their times, [1, rows, columns] each."""
    shape: tuple[int, ...] | None = None
    before, count = -1, 0
    for t, frame in frames:
        shape = shape or frame.shape
        if frame.shape != shape or frame.ndim != 2 or max(shape) > _LARGEST or not frame.size:
            raise DataError(
                f"frame {count} of the film is {frame.shape}, the first {shape}; expected "
                f"(rows, columns), the same for all, at most {_LARGEST} each"
            )
        if not (frame.min() >= 0 and frame.max() <= 1):
            raise DataError(f"frame {count} of the film has brightness beyond 0 to 1")
        if t <= before:
            raise DataError(
                f"frame {count} of the film is at {t} microseconds"
                + (f", the one before at {before}" if count else "")
                + "; times start at 0 or later and ascend"
            )
        yield int(t), frame[np.newaxis]
        before, count = t, count + 1
    if count < 2:
        raise DataError(f"a film needs at least two frames, got {count}")
