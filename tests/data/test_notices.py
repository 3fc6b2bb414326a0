"""What is odd about the times of a recording, and what is not."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from lfp_snn.data.events import Events
from lfp_snn.data.notices import figures_of, notices, notices_of_folder

GOOD = np.sort(np.random.default_rng(0).integers(0, 100_000, 500))
LATE = GOOD + (1 << 32) - 60_000


def at(t: npt.NDArray[np.int64]) -> Events:
    zeros = np.zeros(len(t), np.int16)
    return Events(zeros, zeros, t, zeros.astype(np.uint8), (2, 1, 1))


@pytest.mark.parametrize(
    ("t", "told"),
    [
        (GOOD, []),
        (np.array([5]), ["zero duration: all 1 events"]),
        (np.full(9, 7), ["zero duration: all 9 events"]),
        (np.where(np.arange(500) == 250, GOOD - 5000, GOOD), ["run backwards once"]),
        (LATE % (1 << 32), ["clock wrapped"]),
        (np.concatenate([GOOD, GOOD]), ["fall back to the beginning once"]),
        (np.append(GOOD, 1 << 40), ["1 event lies far from all others"]),
        (np.append(GOOD - (1 << 40), GOOD), []),
        (np.insert(GOOD, 250, 1 << 40), ["run backwards once", "1 event lies far"]),
        (np.concatenate([[-(1 << 40), 3 - (1 << 40)], GOOD]), ["2 events lie far"]),
        (np.concatenate([GOOD, GOOD + 5_000_000]), []),  # a pause is no outlier
        (GOOD[::-1].copy(), ["run backwards 4"]),
    ],
)
def test_odd_times_are_told(t: npt.NDArray[np.int64], told: list[str]) -> None:
    found = notices(at(t))
    assert len(found) == len(told), found
    for sentence, part in zip(found, told, strict=True):
        assert part in sentence


def recorded(seconds: float, count: int = 500, side: int = 20, hot: int = 0) -> Events:
    """Events at random places and times, and as many of one pixel."""
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, int(seconds * 1e6), count + hot))
    x, y = rng.integers(0, side, (2, count + hot), dtype=np.int16)
    one = rng.permutation(count + hot) < hot
    x[one] = y[one] = 3
    return Events(x, y, t, rng.integers(0, 2, count + hot, dtype=np.uint8), (2, side, side))


def test_recordings_in_another_unit_of_time_are_named() -> None:
    found = [figures_of(f"{n}.txt", recorded(0.2 + 0.1 * n)) for n in range(5)]
    assert notices_of_folder(found) == []
    slow = [figures_of(f"ms{n}.txt", recorded(300 + n)) for n in range(4)]
    (told,) = notices_of_folder([*slow, *found])
    assert "4 of 9 recordings (ms0.txt, ms1.txt, ms2.txt, ...) last about 10^3 times" in told
    assert "--time-unit" in told
    fast = [figures_of("s.txt", recorded(0.4e-6 * 100, count=30))]  # 40 microseconds
    assert notices_of_folder([*fast, *found[:1]]) == []  # a factor of 5,000
    fast = [figures_of("s.txt", recorded(250e-6, count=30))]
    (told,) = notices_of_folder([*found, *fast])
    assert "1 of 6 recordings (s.txt) last about 10^-3 times" in told
    between = [figures_of("long.txt", recorded(10))]
    assert notices_of_folder([*found, *between, *slow]) == []


def test_recordings_full_of_events_and_hot_pixels_are_named_with_a_cure() -> None:
    full = [figures_of("full.bin", recorded(1, count=40_000))]
    good = [figures_of("good.bin", recorded(1))]
    hot = [figures_of("hot.bin", recorded(1, hot=300))]
    assert notices_of_folder(good) == []
    (told,) = notices_of_folder([*good, *full])
    assert "1 of 2 recordings (full.bin)" in told and "data.steps=100" in told
    (told,) = notices_of_folder([*good, *hot])
    assert "1 of 2 recordings (hot.bin)" in told and "hot_pixels" in told
    channels = figures_of("emg.csv", recorded(1, count=5000, side=2))
    assert (channels.full, channels.hot) == (0.0, 0.0)


def test_copies_of_a_recording_are_told() -> None:
    whole = recorded(1)
    named = {"a/1": whole, "a/2": recorded(1.1), "b/9": whole, "b/10": whole}
    found = [figures_of(name, events) for name, events in named.items()]
    assert notices_of_folder(found[:2]) == []
    (told,) = notices_of_folder(found)
    assert told.startswith("2 of 4 recordings (b/9, b/10) hold the same events as another")
    assert "(b/9 those of a/1): remove the copies" in told
