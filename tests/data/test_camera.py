"""The simulated camera in front of films: edges, ramps and stills against their closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lfp_snn.data.camera import DARK, Camera
from lfp_snn.data.events import Events
from lfp_snn.data.motion import DURATION_US, Saccades
from lfp_snn.errors import ConfigError, DataError

IDEAL = Camera(threshold=0.2, mismatch=0.0, noise_hz=0.0, seed=0)
RANGE = math.log((1 + DARK) / DARK)  # from black to white


def at(events: Events, x: int, y: int) -> tuple[list[int], set[int]]:
    """Times and polarities of a pixel."""
    chosen = (events.x == x) & (events.y == y)
    return events.t[chosen].tolist(), set(events.p[chosen].tolist())


@settings(deadline=None)
@given(st.floats(0.05, 0.95), st.floats(0.05, 0.95), st.floats(0.02, 1.0), st.integers(1000, 10**7))
def test_a_ramp_has_the_events_of_the_closed_form(
    first: float, last: float, theta: float, length: int
) -> None:
    """L runs straight from one frame to the next: event k comes at k theta over the slope."""
    begin = 777
    frames = np.stack([np.full((2, 3), first), np.full((2, 3), last)])
    camera = Camera(theta, 0.0, 0.0, 0)
    events = camera.film(zip([begin, begin + length], frames, strict=True))
    rise = math.log(last + DARK) - math.log(first + DARK)
    expected = [
        begin + length * k * theta / abs(rise) for k in range(1, math.floor(abs(rise) / theta) + 1)
    ]
    for x in range(3):
        times, polarities = at(events, x, 1)
        assert len(times) == len(expected)
        # Whole microseconds, rounded down, within the recording.
        assert all(abs(t - e) <= 1 for t, e in zip(times, expected, strict=True))
        assert polarities == ({int(rise > 0)} if times else set())
    assert events.sensor == (2, 2, 3)


def test_each_pixel_of_a_ramp_has_its_own_slope() -> None:
    last = np.linspace(0, 1, 12).reshape(3, 4)
    events = IDEAL.film(zip([0, 40_000], [np.full((3, 4), 0.25), last], strict=True))
    for (y, x), value in np.ndenumerate(last):
        rise = math.log(value + DARK) - math.log(0.25 + DARK)
        times, polarities = at(events, x, y)
        assert len(times) == math.floor(abs(rise) / 0.2)
        assert polarities <= {int(rise > 0)}
        for k, t in enumerate(times, 1):
            assert 0 <= 40_000 * k * 0.2 / abs(rise) - t < 1 + 1e-6


@pytest.mark.parametrize("bright_behind", [True, False])
def test_a_moving_edge_in_a_film(bright_behind: bool) -> None:
    """An edge passes one column from each frame to the next, of unequal length: a pixel changes by
    the whole range in that time, in floor(range / theta) events that are evenly spaced."""
    columns, rows = 9, 4
    times = np.cumsum([5, *range(1000, 1000 + 100 * columns, 100)])
    frames = []
    for edge in range(columns + 1):
        frame = np.full((rows, columns), 0.0 if bright_behind else 1.0)
        frame[:, :edge] = 1.0 if bright_behind else 0.0
        frames.append(frame)
    events = IDEAL.film(zip(times.tolist(), frames, strict=True))
    count = math.floor(RANGE / 0.2)
    for x in range(columns):
        length = times[x + 1] - times[x]
        for y in range(rows):
            seen, polarities = at(events, x, y)
            assert polarities == {int(bright_behind)}
            expected = [times[x] + length * k * 0.2 / RANGE for k in range(1, count + 1)]
            np.testing.assert_allclose(seen, np.array(expected) - 0.5, atol=0.5 + 1e-6)
    assert len(events) == count * rows * columns


def test_what_does_not_reach_a_threshold_is_remembered() -> None:
    """Many frames of a slow ramp make the events of its ends alone, but for mistiming."""
    level = np.linspace(math.log(DARK), math.log(1 + DARK), 101)
    frames = [np.full((1, 1), math.exp(each) - DARK).clip(0, 1) for each in level]
    slow = IDEAL.film(zip(range(0, 101_000, 1000), frames, strict=True))
    fast = IDEAL.film(zip([0, 100_000], [frames[0], frames[-1]], strict=True))
    np.testing.assert_allclose(slow.t, fast.t, atol=1)
    assert len(slow) == math.floor(RANGE / 0.2)


def test_a_still_film_makes_only_noise() -> None:
    frame = np.random.default_rng(0).random((20, 30))
    film = [(t, frame) for t in range(1_000_000, 3_000_001, 500_000)]
    assert len(Camera(0.2, 0.3, 0.0, 0).film(film)) == 0
    noisy = Camera(0.2, 0.3, 4.0, 0)
    events = noisy.film(film)
    expected = 4.0 * 600 * 2
    assert abs(len(events) - expected) < 4 * math.sqrt(expected)
    assert abs(events.p.mean() - 0.5) < 4 * 0.5 / math.sqrt(expected)
    assert events.t.min() >= 1_000_000 and events.t.max() < 3_000_000
    assert np.all(np.diff(events.t) >= 0)
    assert len({events.t.tobytes(), noisy.film(film, number=1).t.tobytes()}) == 2
    assert noisy.film(film).t.tobytes() == events.t.tobytes()


def test_mismatch_spreads_the_thresholds() -> None:
    film = [(0, np.zeros((40, 50))), (100_000, np.ones((40, 50)))]
    spread = {}
    for mismatch in (0.0, 0.1):
        events = Camera(0.3, mismatch, 0.0, 0).film(film)
        first = np.full((40, 50), 100_000)
        np.minimum.at(first, (events.y, events.x), events.t)
        assert first.max() < 100_000
        spread[mismatch] = first * RANGE / 100_000  # the threshold of each pixel
    assert np.ptp(spread[0.0]) == 0
    assert abs(spread[0.1].mean() - 0.3) < 4 * 0.03 / math.sqrt(2000)
    assert abs(spread[0.1].std() - 0.03) < 0.003


@pytest.mark.parametrize(
    ("film", "message"),
    [
        ([], "at least two frames, got 0"),
        ([(0, np.zeros((2, 2)))], "at least two frames, got 1"),
        ([(0, np.zeros((2, 2))), (5, np.zeros((2, 3)))], r"frame 1 .* is \(2, 3\)"),
        ([(0, np.zeros(4)), (5, np.zeros(4))], r"frame 0 .* expected \(rows, columns\)"),
        ([(0, np.zeros((2, 2))), (0, np.zeros((2, 2)))], "frame 1 .* the one before at 0"),
        ([(-5, np.zeros((2, 2))), (0, np.zeros((2, 2)))], "frame 0 .* is at -5"),
        ([(0, np.zeros((2, 2))), (5, np.full((2, 2), 2.0))], "frame 1 .* beyond 0 to 1"),
        ([(0, np.zeros((2, 2))), (5, np.full((2, 2), np.nan))], "beyond 0 to 1"),
    ],
)
def test_films_that_are_none(film: list[tuple[int, np.ndarray]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        IDEAL.film(film)


def test_a_sensor_of_any_size_sees_the_same_scene() -> None:
    """Twice the sensor sees a plain edge pass twice the pixels, with as many events each."""
    image = np.zeros((1, 26, 26))
    image[:, :, 13:] = 1.0
    small, large = (IDEAL.record(image, np.arange(1), Saccades.of(side)) for side in (34, 68))
    assert small.sensor == (2, 34, 34) and large.sensor == (2, 68, 68)
    assert large.t.max() < DURATION_US
    passed = [len(np.unique(each.x[each.y == each.sensor[1] // 2])) for each in (small, large)]
    assert abs(passed[1] - 2 * passed[0]) <= 2
    assert 3.2 < len(large) / len(small) < 4.8


def test_an_oblong_image_keeps_its_proportions() -> None:
    seen = Saccades(30, 40, extent=20, reach=0).view(np.ones((1, 10, 20)), 0)[0]
    assert seen.shape == (30, 40)
    rows, columns = np.nonzero(seen == 1)
    assert [np.ptp(rows) + 1, np.ptp(columns) + 1] == [10, 20]


@pytest.mark.parametrize("options", [{"rows": 0}, {"extent": 0.0}, {"reach": -1.0}])
def test_no_such_sensor(options: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="is no sensor"):
        Saccades(**options)
