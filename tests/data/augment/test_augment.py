"""Augmentation: each step by what defines it, and draws that follow from the keys alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lfp_snn.data import Events
from lfp_snn.data.augment import (
    AUGMENTATIONS,
    Augmentation,
    CropTime,
    Cutout,
    DropArea,
    DropEvent,
    DropTime,
    Flip,
    Mix,
    Rotate,
    Shift,
    SpaceJitter,
    TimeJitter,
    augment,
)
from lfp_snn.data.geometry import rotated
from lfp_snn.errors import ConfigError
from tests.data.helpers import random_events

SIDE = 34


def one(seed: int = 0, count: int = 2000) -> Events:
    return random_events(np.random.default_rng(seed), [count])


def draw(step: Augmentation, events: Events, seed: int = 0) -> Events:
    return step(events, np.random.default_rng(seed))


def columns(events: Events) -> list[list[int]]:
    return [column.tolist() for column in (events.x, events.y, events.t, events.p)]


@pytest.mark.parametrize("axis", ["horizontal", "vertical", "polarity", "time"])
def test_a_flip_mirrors_one_axis_and_undoes_itself(axis: Any) -> None:
    events = one()
    flipped = draw(Flip(axis, p=1.0), events)
    for name, column in (("horizontal", "x"), ("vertical", "y")):
        mirrored = SIDE - 1 - getattr(events, column)
        expected = mirrored if axis == name else getattr(events, column)
        assert np.array_equal(getattr(flipped, column), expected)
    reverses = axis in ("polarity", "time")
    assert np.array_equal(flipped.p, 1 - events.p if reverses else events.p)
    if axis == "time":
        assert np.array_equal(flipped.t, events.t[0] + events.t[-1] - events.t)
    assert columns(draw(Flip(axis, p=1.0), flipped)) == columns(events)
    assert draw(Flip(axis, p=0.0), events) is events


def test_a_flip_comes_as_often_as_asked() -> None:
    events = one(count=3)
    happened = [draw(Flip(p=0.3), events, seed) is not events for seed in range(2000)]
    assert 0.25 < np.mean(happened) < 0.35


def test_a_shift_is_the_same_for_all_events_and_drops_what_leaves() -> None:
    events = one()
    seen = set()
    for seed in range(200):
        shifted = draw(Shift(3), events, seed)
        steps = [
            (dx, dy)
            for dx in range(-3, 4)
            for dy in range(-3, 4)
            if columns(shifted) == columns(shifted_by(events, dx, dy))
        ]
        assert len(steps) == 1
        seen.add(steps[0])
    assert len(seen) > 40  # of 49


def shifted_by(events: Events, dx: int, dy: int) -> Events:
    x, y = events.x + np.int16(dx), events.y + np.int16(dy)
    kept = (x >= 0) & (x < SIDE) & (y >= 0) & (y < SIDE)
    return Events(x[kept], y[kept], events.t[kept], events.p[kept], events.sensor)


def test_quarter_turns_are_exact() -> None:
    events = one()
    assert columns(rotated(events, 0.0)) == columns(events)
    turned = rotated(events, 90.0)
    assert np.array_equal(turned.x, SIDE - 1 - events.y)
    assert np.array_equal(turned.y, events.x)
    assert columns(rotated(rotated(events, 180.0), 180.0)) == columns(events)


def test_a_rotation_stays_within_its_angle() -> None:
    x, y = np.array([25], np.int16), np.array([16], np.int16)
    corner = Events(x, y, np.array([0]), np.array([1], np.uint8), (2, SIDE, SIDE))
    angles = []
    for seed in range(300):
        turned = draw(Rotate(30.0), corner, seed)
        angles.append(np.degrees(np.arctan2(turned.y[0] - 16.5, turned.x[0] - 16.5)))
    assert -37 < min(angles) < -25 and 25 < max(angles) < 37  # a pixel is 7 degrees there


def test_jitter_has_the_spread_asked_for() -> None:
    events = one(count=20_000)
    moved = draw(TimeJitter(2.0), events).t - events.t
    assert np.std(moved) == pytest.approx(2000, rel=0.05)
    middle = Events(
        np.full(20_000, 17, np.int16), np.full(20_000, 17, np.int16), events.t, events.p,
        events.sensor,
    )  # fmt: skip
    jittered = draw(SpaceJitter(1.5), middle)
    # Rounding adds the variance of an even distribution over a pixel, 1/12.
    assert np.std(jittered.x) == pytest.approx(np.sqrt(1.5**2 + 1 / 12), rel=0.05)
    assert abs(np.corrcoef(jittered.x, jittered.y)[0, 1]) < 0.05


@pytest.mark.parametrize("step", [DropEvent(0.4), DropTime(0.4), DropArea(0.4)])
def test_drops_take_a_share_that_is_drawn_evenly(step: Augmentation) -> None:
    events = one(count=4000)
    lost = [1 - len(draw(step, events, seed)) / len(events) for seed in range(400)]
    assert np.mean(lost) == pytest.approx(0.2, abs=0.02)
    assert np.max(lost) < 0.45 and np.min(lost) < 0.01


def test_a_dropped_interval_and_area_are_whole() -> None:
    events = one(count=20_000)
    after = draw(DropTime(0.5), events, 3)
    gaps = np.diff(after.t)
    assert np.sort(gaps)[-2] < 1000 < gaps.max()  # one gap, however long the others
    picture = np.zeros((SIDE, SIDE), bool)
    left = draw(DropArea(0.5), events, 3)
    picture[left.y, left.x] = True
    rows, cols = np.nonzero(~picture)
    assert (~picture)[rows.min() : rows.max() + 1, cols.min() : cols.max() + 1].all()
    assert len(rows) > 4


def test_a_crop_is_a_window_of_its_share_anywhere() -> None:
    events = one(count=20_000)
    span = int(events.t[-1] - events.t[0])
    begins = []
    for seed in range(100):
        kept = draw(CropTime(0.6), events, seed)
        begin, end = int(kept.t[0]), int(kept.t[-1])
        assert (end - begin) / span == pytest.approx(0.6, abs=0.005)
        inside = (events.t >= begin) & (events.t <= end)
        assert len(kept) == inside.sum() and np.array_equal(kept.x, events.x[inside])
        begins.append((begin - int(events.t[0])) / span)
    assert min(begins) < 0.02 and max(begins) > 0.38


def test_cutout_leaves_a_square_empty() -> None:
    events = one(count=60_000)
    for seed in range(20):
        left = draw(Cutout(size=6, holes=1), events, seed)
        picture = np.zeros((SIDE, SIDE), bool)
        picture[left.y, left.x] = True
        rows, cols = np.nonzero(~picture)
        assert 3 <= np.ptp(rows) + 1 <= 6 and 3 <= np.ptp(cols) + 1 <= 6
        assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(cols) + 1)


def test_a_mix_has_events_of_both_and_the_label_of_the_larger_share() -> None:
    own, other = one(1), one(2, count=1500)
    own_events = set(zip(*columns(own)[:2], own.p.tolist(), strict=True))
    swapped = []
    for seed in range(200):
        mixed, from_partner = Mix(p=1.0)(own, other, np.random.default_rng(seed))
        kept = sum(
            event in set(zip(*columns(own), strict=True))
            for event in zip(*columns(mixed), strict=True)
        ) if seed < 5 else None  # fmt: skip
        if kept is not None:
            assert from_partner == (len(mixed) - kept > kept)
        assert mixed.t.min() >= own.t[0] and mixed.t.max() <= own.t[-1]
        swapped.append(from_partner)
    assert own_events
    assert 0.2 < np.mean(swapped) < 0.7
    assert Mix(p=0.0)(own, other, np.random.default_rng(0)) == (own, False)


ALL = [name for name in AUGMENTATIONS if name != "mix"]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(list(AUGMENTATIONS)), max_size=4), st.integers(0, 2**31))
def test_a_draw_follows_from_its_key_alone(names: list[str], seed: int) -> None:
    steps = [AUGMENTATIONS[name]() for name in names]
    rng = np.random.default_rng(0)
    events = random_events(rng, [50, 1, 300, 7])
    partners = random_events(rng, [20, 30, 2, 100])
    keys = np.array([[seed, 1, row] for row in (5, 3, 8, 0)])
    together, labels = augment(events, steps, keys, partners)
    assert together.recordings == 4
    assert (np.diff(together.offsets) > 0).all()
    _, height, width = together.sensor
    assert together.x.min() >= 0 and together.x.max() < width
    assert together.y.min() >= 0 and together.y.max() < height
    for number in range(4):
        alone, label = augment(
            events.recording(number), steps, keys[number : number + 1], partners.recording(number)
        )
        part = together.recording(number)
        assert columns(part) == columns(alone)
        assert (np.diff(part.t) >= 0).all()
        assert label[0] == labels[number]
        for column in ("x", "y", "t", "p"):
            assert getattr(part, column).dtype == getattr(events, column).dtype


@pytest.mark.parametrize("name", ALL)
def test_epochs_differ(name: str) -> None:
    events = random_events(np.random.default_rng(0), [200] * 8)
    first, second = (
        augment(events, [AUGMENTATIONS[name]()], np.array([[0, epoch, n] for n in range(8)])).events
        for epoch in (1, 2)
    )
    assert columns(first) != columns(second)


@pytest.mark.parametrize(
    ("name", "options", "found"),
    [
        ("flip", {"axis": "up"}, "'up'"),
        ("flip", {"p": 1.5}, "1.5"),
        ("shift", {"pixels": 0}, "0 pixels"),
        ("rotate", {"degrees": 200.0}, "200"),
        ("time_jitter", {"std_ms": 0.0}, "std_ms is 0"),
        ("space_jitter", {"std": float("nan")}, "std is nan"),
        ("drop_event", {"ratio": 1.0}, "ratio is 1"),
        ("cutout", {"size": 0}, "0 pixels"),
        ("mix", {"alpha": -1.0}, "alpha is -1"),
    ],
)
def test_refuses_what_makes_no_sense(name: str, options: dict[str, Any], found: str) -> None:
    with pytest.raises(ConfigError, match=found):
        AUGMENTATIONS[name](**options)
