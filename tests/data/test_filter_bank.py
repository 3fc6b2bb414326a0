"""The filter bank and its events, against a slow oracle and what tones and silence must give."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import signal

from lfp_snn.data.filter_bank import FilterBank
from lfp_snn.data.wav import Sound
from lfp_snn.errors import ConfigError, DataError

BANK = FilterBank(
    channels=20, low_hz=100, high_hz=3500, rate_hz=8000, window_us=5000, threshold_db=6,
    floor_db=50, code="delta",
)  # fmt: skip
WINDOW = 40  # samples of it


def tone(hertz: float, rate: int = 8000, seconds: float = 0.3) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)


def slow_levels(samples: np.ndarray) -> np.ndarray:
    """L from its equation, with each filter in one piece."""
    windows = len(samples) // WINDOW
    power = np.zeros((windows, BANK.channels))
    for channel, centre in enumerate(BANK.centres()):
        filtered = signal.lfilter(*signal.gammatone(centre, "iir", fs=8000), samples)
        for window in range(windows):
            piece = filtered[window * WINDOW : (window + 1) * WINDOW]
            power[window, channel] = sum(value * value for value in piece) / WINDOW
    levels = np.zeros_like(power)
    for place in np.ndindex(power.shape):
        if power[place] > 0:
            levels[place] = max(0.0, 50 + 10 * math.log10(power[place] / power.max()))
    return levels


def test_levels_are_those_of_the_equation() -> None:
    samples = np.random.default_rng(0).standard_normal(817)
    found = BANK.levels(Sound(8000, samples))
    assert found.shape == (20, 20)
    np.testing.assert_allclose(found, slow_levels(samples), atol=1e-3)  # of the one piece


def test_events_are_crossings_in_their_windows() -> None:
    sound = Sound(8000, tone(700) * np.hanning(2400))
    events, levels = BANK.events("a", sound), BANK.levels(sound)
    expected = []
    for channel in range(20):
        reference = 0.0
        for window, level in enumerate(levels[:, channel]):
            n = int((level - reference) / 6)
            reference += 6 * n
            expected += [
                (window * 5000 + k * 5000 // abs(n), channel, n > 0) for k in range(abs(n))
            ]
    found = zip(events.t.tolist(), events.x.tolist(), (events.p > 0).tolist(), strict=True)
    assert sorted(found) == sorted(expected) and len(expected) == 50
    assert events.sensor == (2, 1, 20) and (np.diff(events.t) >= 0).all() and not events.y.any()


def test_onsets_are_the_rises() -> None:
    sound = Sound(8000, tone(700) * np.hanning(2400))
    both = BANK.events("a", sound)
    onset = replace(BANK, code="onset").events("a", sound)
    assert onset.sensor == (1, 1, 20) and not onset.p.any()
    rises = both.only(both.p == 1)
    assert sorted(zip(onset.t, onset.x, strict=True)) == sorted(zip(rises.t, rises.x, strict=True))


@pytest.mark.parametrize("hertz", [150, 440, 1000, 3000])
@pytest.mark.parametrize("rate", [8000, 11_025, 44_100, 48_000])
def test_a_tone_is_loudest_in_the_channel_beside_it(hertz: float, rate: int) -> None:
    for bank in (BANK, replace(BANK, rate_hz=48_000)):  # narrow beside the rate
        levels = bank.levels(Sound(rate, tone(hertz, rate)))[-10:-2].mean(0)
        nearest = np.abs(bank.centres() - hertz).argmin()
        assert abs(int(levels.argmax()) - nearest) <= 1
        assert levels.max() > 45


def test_loudness_does_not_matter() -> None:
    quiet, loud = (BANK.events("a", Sound(8000, tone(440) * scale)) for scale in (1e-5, 1))
    np.testing.assert_array_equal(quiet.t, loud.t)
    np.testing.assert_array_equal(quiet.x, loud.x)


def test_centres_lie_on_the_scale_of_hearing() -> None:
    centres = BANK.centres()
    assert centres[0] == pytest.approx(100) and centres[-1] == pytest.approx(3500)
    erb = 21.4 * np.log10(1 + 0.00437 * centres)
    np.testing.assert_allclose(np.diff(erb), np.diff(erb)[0])


@pytest.mark.parametrize("samples", [np.zeros(400), np.zeros(1)])
def test_silence_is_told(samples: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"^a/b\.wav is silent"):
        BANK.events("a/b.wav", Sound(8000, samples))
    assert not BANK.levels(Sound(8000, samples)).any()


def test_a_sound_of_one_sample_is_one_window() -> None:
    assert BANK.levels(Sound(8000, np.ones(1))).shape == (1, 20)


def test_filters_fit_below_half_the_rate() -> None:
    ill: list[dict[str, Any]] = [{"high_hz": 4000}, {"low_hz": 3500}, {"rate_hz": 7000}]
    for wrong in ill:
        with pytest.raises(ConfigError, match="do not fit sound"):
            replace(BANK, **wrong)
    with pytest.raises(ConfigError, match="has no sample"):
        replace(BANK, window_us=50)
