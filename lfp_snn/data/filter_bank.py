"""Sound as spikes: a filter bank as in the inner ear, and events where a channel's level moves.

The bank has C gammatone filters of fourth order (R. D. Patterson and others 1987; the filters are
`scipy.signal.gammatone`), whose centres f lie at equal distances between two frequencies on the
scale of equivalent rectangular bandwidths (B. R. Glasberg, B. C. J. Moore, Hearing Research 47,
1990),

    E(f) = 21.4 log10(1 + 0.00437 f)

The power P of each channel is averaged over windows; its level, in decibels above a floor that lies
below the loudest window of the recording, is

    L = max(0, floor + 10 log10(P / max P))

so that how loud a recording is does not matter. The level starts at 0, silence, and each threshold
that it rises or falls by makes an ON or OFF event (`lfp_snn.data.delta`). The k-th of n events of a
window lies k/n into it.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from lfp_snn.data.delta import delta
from lfp_snn.data.events import Events
from lfp_snn.data.wav import Sound
from lfp_snn.errors import ConfigError, DataError

FloatArray = npt.NDArray[np.float64]

_ERB, _BREAK = 21.4, 0.00437
_MICROSECONDS = 1_000_000


@dataclass(frozen=True)
class FilterBank:
    """The filter bank, and how levels become events.

    Args:
        channels: the number C of channels.
        low_hz, high_hz: the centres of the lowest and of the highest filter.
        rate_hz: the samples a second to which every sound is brought.
        window_us: the microseconds over which power is averaged.
        threshold_db: the change of level that makes an event.
        floor_db: the floor, below the loudest window.
        code: the events: ON and OFF (`delta`), or ON alone (`onset`).

    Raises:
        ConfigError: the filters do not fit below half the rate.
    """

    channels: int
    low_hz: float
    high_hz: float
    rate_hz: int
    window_us: int
    threshold_db: float
    floor_db: float
    code: Literal["delta", "onset"]

    def __post_init__(self) -> None:
        if not 0 < self.low_hz < self.high_hz < self.rate_hz / 2:
            raise ConfigError(
                f"filters from {self.low_hz:g} to {self.high_hz:g} Hz do not fit sound of "
                f"{self.rate_hz} samples a second; expected 0 < low_hz < high_hz < rate_hz / 2"
            )
        if self._window < 1:
            raise ConfigError(
                f"a window of {self.window_us} us has no sample at {self.rate_hz} samples a second"
            )

    @property
    def sensor(self) -> tuple[int, int, int]:
        """The sensor (polarities, 1, channels) of the events."""
        return (2 if self.code == "delta" else 1, 1, self.channels)

    @property
    def _window(self) -> int:
        """The number of samples of a window."""
        return round(self.window_us * self.rate_hz / _MICROSECONDS)

    def centres(self) -> FloatArray:
        """The centre of each filter in Hz, float64 [C], the lowest first."""
        low, high = (_ERB * math.log10(1 + _BREAK * f) for f in (self.low_hz, self.high_hz))
        return np.asarray((10 ** (np.linspace(low, high, self.channels) / _ERB) - 1) / _BREAK)

    def levels(self, sound: Sound) -> FloatArray:
        """The level L of each window and channel, float64 [windows, C]; all 0 for silence."""
        from scipy import signal  # here, for it takes a second to import

        samples = sound.samples
        if sound.rate != self.rate_hz:
            common = np.gcd(sound.rate, self.rate_hz)
            samples = signal.resample_poly(samples, self.rate_hz // common, sound.rate // common)
        windows = max(1, len(samples) // self._window)
        padded = np.zeros(max(len(samples), windows * self._window))
        padded[: len(samples)] = samples
        power = np.empty((windows, self.channels))
        for channel, (zeros, poles) in enumerate(_filters(tuple(self.centres()), self.rate_hz)):
            filtered = signal.sosfilt(poles, signal.lfilter(zeros, 1.0, padded))
            filtered = filtered[: windows * self._window]
            power[:, channel] = np.square(filtered).reshape(windows, -1).mean(1)
        loudest = power.max()
        least = loudest * 10 ** (-self.floor_db / 10)
        if not least > 0:
            return np.zeros_like(power)
        return np.asarray(self.floor_db + 10 * np.log10(np.maximum(power, least) / loudest))

    def events(self, path: str, sound: Sound) -> Events:
        """The events of a sound, on a sensor of one row of channels.

        Args:
            path: the path of the file, for messages.
            sound: the sound.

        Raises:
            DataError: the level of the sound never moves by a threshold.
        """
        levels = self.levels(sound)
        moved = delta(np.vstack([np.zeros(self.channels), levels]), self.threshold_db)[1:]
        if self.code == "onset":
            moved = np.maximum(moved, 0)
        window, channel = np.nonzero(moved)
        if not len(window):
            raise DataError(f"{path} is silent: no level moves by {self.threshold_db:g} dB")
        counts = np.abs(moved[window, channel])
        row = np.repeat(np.arange(len(window)), counts)
        nth = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
        t = window[row] * self.window_us + nth * self.window_us // counts[row]
        p = (moved[window, channel] > 0)[row] & (self.code == "delta")
        order = np.argsort(t, kind="stable")
        x = channel[row][order].astype(np.int16)
        return Events(x, np.zeros_like(x), t[order], p[order].astype(np.uint8), self.sensor)


@lru_cache(maxsize=8)
def _filters(centres: tuple[float, ...], rate: int) -> list[tuple[FloatArray, FloatArray]]:
    """The zeros of each filter, and its poles as second-order sections.

    All four pairs of poles are one; as a polynomial of eighth order they would not be stable where
    a filter is narrow beside the rate.
    """
    from scipy import signal

    made = []
    for centre in centres:
        b, a = signal.gammatone(centre, "iir", fs=rate)
        made.append((b, np.tile([1.0, 0.0, 0.0, 1.0, a[1] / 4, a[8] ** 0.25], (4, 1))))
    return made
