"""Steps of preprocessing, each against its definition written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lfp_snn.data import load
from lfp_snn.data.events import Events
from lfp_snn.data.preprocess import (
    STEPS,
    Crop,
    Denoise,
    Downsample,
    HotPixels,
    MergePolarity,
    Refractory,
    Stabilise,
    TimeWindow,
    preprocess,
    sensor_after,
)
from lfp_snn.errors import ConfigError, DataError
from tests.data.helpers import few_digits

SENSOR = (2, 12, 10)


def make(seed: int = 0, count: int = 150) -> Events:
    rng = np.random.default_rng(seed)
    return Events(
        rng.integers(0, SENSOR[2], count).astype(np.int16),
        rng.integers(0, SENSOR[1], count).astype(np.int16),
        np.sort(rng.integers(0, 60_000, count)),
        rng.integers(0, 2, count).astype(np.uint8),
        SENSOR,
    )


def rows(events: Events) -> list[tuple[int, ...]]:
    return [
        tuple(map(int, row)) for row in zip(events.x, events.y, events.t, events.p, strict=True)
    ]


def test_time_window() -> None:
    events = make()
    start = int(events.t[0])
    got = TimeWindow(10.0, 20.0)(events)
    assert rows(got) == [e for e in rows(events) if 10_000 <= e[2] - start < 20_000]
    assert rows(TimeWindow(30.0)(events)) == [e for e in rows(events) if e[2] - start >= 30_000]


def test_crop() -> None:
    events = make()
    got = Crop(top=2, left=3, height=5, width=4)(events)
    expected = [(x - 3, y - 2, t, p) for x, y, t, p in rows(events) if 3 <= x < 7 and 2 <= y < 7]
    assert rows(got) == expected and got.sensor == (2, 5, 4)


def test_downsample_and_merge() -> None:
    events = make()
    got = Downsample(4)(events)
    assert got.sensor == (2, 3, 3)
    assert rows(got) == [(x // 4, y // 4, t, p) for x, y, t, p in rows(events)]
    merged = MergePolarity()(events)
    assert merged.sensor == (1, 12, 10) and set(merged.p.tolist()) == {0}


@settings(deadline=None)
@given(st.integers(0, 1000), st.sampled_from([0.5, 3.0, 20.0]))
def test_denoise_is_the_filter_written_out(seed: int, window: float) -> None:
    events = make(seed, 80)
    kept = [
        (x, y, t, p)
        for n, (x, y, t, p) in enumerate(rows(events))
        if any(
            max(abs(x - u), abs(y - v)) == 1 and t - s <= window * 1000
            for u, v, s, _ in rows(events)[:n]
        )
    ]
    assert rows(Denoise(window)(events)) == kept


@settings(deadline=None)
@given(st.integers(0, 1000), st.sampled_from([0.5, 5.0]))
def test_refractory_is_the_filter_written_out(seed: int, period: float) -> None:
    events = make(seed, 300)
    last: dict[tuple[int, int, int], int] = {}
    kept = []
    for x, y, t, p in rows(events):
        if t - last.get((x, y, p), -(10**9)) >= period * 1000:
            kept.append((x, y, t, p))
            last[x, y, p] = t
    assert rows(Refractory(period)(events)) == kept


def test_hot_pixels() -> None:
    events = make(count=60)
    t = np.sort(np.concatenate([events.t, np.arange(0, 60_000, 100)]))
    hot = np.isin(t, np.arange(0, 60_000, 100))
    x = np.where(hot, 3, np.resize(events.x, len(t))).astype(np.int16)
    y = np.where(hot, 4, np.resize(events.y, len(t))).astype(np.int16)
    noisy = Events(x, y, t, np.zeros(len(t), np.uint8), SENSOR)
    got = HotPixels(500.0)(noisy)
    assert not ((got.x == 3) & (got.y == 4)).any()
    assert len(got) == int((~((x == 3) & (y == 4))).sum())


def test_stabilising_takes_out_a_motion() -> None:
    """A 3 x 3 square that moves a pixel every 10 ms stays where it is."""
    y, x = np.divmod(np.arange(9), 3)
    t = np.repeat(np.arange(6) * 10_000, 9)
    moving = Events(
        (np.tile(x, 6) + np.repeat(np.arange(6), 9)).astype(np.int16),
        np.tile(y, 6).astype(np.int16), t, np.zeros(54, np.uint8), (2, 9, 9),
    )  # fmt: skip
    got = Stabilise(10.0)(moving)
    assert len(got) == 54
    assert set(got.x.tolist()) == {3, 4, 5} and set(got.y.tolist()) == {3, 4, 5}


def test_stabilised_events_that_leave_the_sensor_are_dropped() -> None:
    x, t = np.array([0, 0, 0, 9], np.int16), np.zeros(4, np.int64)
    events = Events(x, np.zeros(4, np.int16), t, np.zeros(4, np.uint8), (2, 1, 10))
    got = Stabilise()(events)
    assert got.x.tolist() == [2, 2, 2]  # the centre is at 2.25, the far one leaves


def test_recordings_are_treated_one_by_one() -> None:
    first, second = make(1), make(2)
    both = Events.joined([first, second])
    steps = [TimeWindow(5.0, 50.0), Refractory(2.0), Denoise(20.0), Downsample(2)]
    got = preprocess(both, steps)
    one, two = preprocess(first, steps), preprocess(second, steps)
    assert rows(got) == rows(one) + rows(two)
    assert got.offsets.tolist() == [0, len(one), len(one) + len(two)]
    assert got.sensor == sensor_after(SENSOR, steps) == (2, 6, 5)
    assert preprocess(both, []) is both


def test_events_out_of_order_are_sorted_first() -> None:
    events = make()
    backwards = Events(events.x[::-1], events.y[::-1], events.t[::-1], events.p[::-1], SENSOR)
    got = preprocess(backwards, [Refractory(1.0)])
    assert np.all(np.diff(got.t) >= 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "time_window", "start_ms": 5.0, "end_ms": 5.0},
        {"name": "crop", "top": 0, "left": 0, "height": 0, "width": 3},
        {"name": "downsample", "factor": 0},
        {"name": "denoise", "window_ms": 0.0},
        {"name": "crop", "top": 30, "left": 0, "height": 10, "width": 10},
        {"name": "downscale", "factor": 2},
    ],
)
def test_mistakes_are_told(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        load("digits", preprocess=[wrong])


def test_a_dataset_is_preprocessed() -> None:
    with few_digits():
        plain = load("digits", steps=5, train=20)
        small = load(
            "digits",
            steps=5,
            train=20,
            values="counts",
            preprocess=[{"name": "downsample", "factor": 2}, {"name": "merge_polarity"}],
        )
        assert small.train.feature_shape == (1, 17, 17)
        assert plain.train.feature_shape == (2, 34, 34)
        counted = load("digits", steps=5, train=20, values="counts").train.batch([0, 1]).x
        fewer = small.train.batch([0, 1]).x
        assert fewer.dense().sum() == counted.dense().sum()  # type: ignore[union-attr]
        with pytest.raises(DataError, match="leaves no events"):
            load("digits", preprocess=[{"name": "time_window", "start_ms": 1e6}])


def test_every_step_has_a_name_and_a_test() -> None:
    tested = {
        TimeWindow, Crop, Downsample, MergePolarity, Denoise, HotPixels, Refractory, Stabilise
    }  # fmt: skip
    assert set(STEPS.values()) == tested
