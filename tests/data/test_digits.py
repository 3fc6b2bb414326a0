"""DVS-digits: the simulated camera by its equations, and the set."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from lfp_snn import data
from lfp_snn.data import Events, camera, digits
from lfp_snn.data.camera import Camera, FloatArray, IntArray
from tests.data.helpers import spikes

IDEAL = Camera(threshold=0.2, mismatch=0.0, noise_hz=0.0, seed=0)
REAL = digits.DigitsOptions().camera()
IMAGES = np.random.default_rng(0).random((6, 8, 8))


@pytest.fixture
def splits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> data.Splits:
    monkeypatch.setenv("LFP_SNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Camera, "record", few(Camera.record))
    return data.load("digits")


def few(record: Callable[[Camera, FloatArray, IntArray], Events]) -> Any:
    """Simulates the first 100 recordings and repeats them, so that a test need not wait."""
    made: list[Events] = []

    def recorded(self: Camera, images: FloatArray, numbers: IntArray) -> Events:
        if not made:
            made.append(record(self, images[:100], np.arange(100)))
        return Events.joined([made[0].recording(number % 100) for number in numbers])

    return recorded


def levels(images: np.ndarray) -> np.ndarray:
    """Log intensity at the steps of the simulation, [steps + 1, N, pixels]."""
    return np.stack(list(camera.log_intensity(images)))


def test_events_add_up_to_the_change_of_log_intensity() -> None:
    # Each event moves the remembered level by theta; at the end it is within theta of L.
    events = IDEAL.record(IMAGES, np.arange(6))
    recording = np.repeat(np.arange(6), np.diff(events.offsets))
    moved = np.zeros((6, 34 * 34))
    pixel = events.y.astype(int) * 34 + events.x
    np.add.at(moved, (recording, pixel), np.where(events.p == 1, 0.2, -0.2))
    seen = levels(IMAGES)
    assert np.abs(seen[0] + moved - seen[-1]).max() <= 0.2 + 1e-9
    assert np.abs(moved).max() < 0.2 + 1e-9  # the camera ends where it began
    peak = np.abs(seen - seen[0]).max(0)
    assert np.all(peak[np.unique(np.stack([recording, pixel]), axis=1).tolist()[0]].max(1) > 0.2)


def test_events_lie_where_interpolated_log_intensity_crosses_a_level() -> None:
    events = IDEAL.record(IMAGES[:1], np.arange(1))
    seen = levels(IMAGES[:1])[:, 0]
    grid = np.arange(len(seen)) * camera.STEP_US
    slope = np.abs(np.diff(seen, axis=0)).max() / camera.STEP_US
    remembered = seen[0].copy()
    for x, y, t, p in zip(events.x, events.y, events.t, events.p, strict=True):
        pixel = int(y) * 34 + int(x)
        remembered[pixel] += 0.2 if p else -0.2
        at_event = np.interp(t, grid, seen[:, pixel])
        # Times are whole microseconds, rounded down.
        assert abs(at_event - remembered[pixel]) <= slope + 1e-9


def test_a_recording_does_not_depend_on_its_company() -> None:
    together = REAL.record(IMAGES, np.arange(6))
    alone = REAL.record(IMAGES[4:5], np.array([4]))
    part = slice(together.offsets[4], together.offsets[5])
    for name in "xytp":
        np.testing.assert_array_equal(getattr(together, name)[part], getattr(alone, name))


def test_seed_draws_thresholds_and_noise() -> None:
    first, again = (REAL.record(IMAGES, np.arange(6)) for _ in range(2))
    np.testing.assert_array_equal(first.t, again.t)
    other = Camera(REAL.threshold, REAL.mismatch, REAL.noise_hz, seed=1)
    assert len(other.record(IMAGES, np.arange(6))) != len(first)


def test_noise_has_its_rate() -> None:
    noisy = Camera(threshold=0.2, mismatch=0.0, noise_hz=5.0, seed=0)
    events = noisy.record(np.zeros((50, 8, 8)), np.arange(50))
    expected = 5.0 * 34 * 34 * 0.3 * 50
    assert abs(len(events) - expected) < 4 * np.sqrt(expected)
    assert abs(events.p.mean() - 0.5) < 4 * 0.5 / np.sqrt(expected)


def test_without_light_or_noise_nothing_happens() -> None:
    assert len(IDEAL.record(np.zeros((2, 8, 8)), np.arange(2))) == 0


def test_events_are_like_those_of_n_mnist() -> None:
    events = REAL.record(load_digits().images[:50] / 16, np.arange(50))
    counts = np.diff(events.offsets)
    assert 2000 < counts.mean() < 6000
    assert events.t.min() >= 0
    assert events.t.max() < camera.DURATION_US
    assert 0.4 < events.p.mean() < 0.6
    for first, last in zip(events.offsets[:-1], events.offsets[1:], strict=True):
        assert np.all(np.diff(events.t[first:last]) >= 0)


def test_splits_are_fixed_and_stratified(splits: data.Splits) -> None:
    assert splits.info["sizes"] == {"train": 1200, "val": 200, "test": 397}
    assert "simulated" in splits.info["source"]
    parts = [set(part.ids) for part in (splits.train, splits.val, splits.test)]
    assert len(parts[0] | parts[1] | parts[2]) == 1797
    whole = np.bincount(
        np.concatenate([part.labels for part in (splits.train, splits.val, splits.test)])
    )
    for part in (splits.train, splits.val, splits.test):
        expected = whole * len(part) / 1797
        assert np.abs(np.bincount(part.labels) - expected).max() <= 1.5
    reseeded = data.load("digits", seed=1)
    assert reseeded.test.ids == splits.test.ids
    assert reseeded.val.ids != splits.val.ids


def test_a_twentieth_of_the_input_is_active(splits: data.Splits) -> None:
    x = spikes(splits.train.batch(np.arange(100)))
    assert x.shape == (25, 100, 2, 34, 34)
    assert 0.02 < x.density < 0.06
