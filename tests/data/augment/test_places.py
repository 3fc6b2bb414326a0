"""Steps that move or drop units do the same to events and to the spikes binned from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from lfp_snn.data import Events
from lfp_snn.data.augment import (
    Cutout,
    DropArea,
    Flip,
    PlaceStep,
    Shift,
    augment,
    on_spikes,
)
from lfp_snn.data.binning import Binning, bin_events
from lfp_snn.data.sets import gather
from lfp_snn.spikes import Spikes
from tests.data.helpers import random_events

STEPS, SENSOR = 4, (2, 34, 34)
CASES: dict[str, list[PlaceStep]] = {
    "columns": [Flip("horizontal")],
    "rows": [Flip("vertical")],
    "polarities": [Flip("polarity")],
    "shift": [Shift(5)],
    "area": [DropArea(0.5)],
    "squares": [Cutout(12, holes=2)],
    "all": [Flip("horizontal"), Shift(3), DropArea(0.3), Cutout(6), Flip("polarity")],
}
KEYS = np.array([[7, 2, row] for row in range(5)])


def recordings() -> Events:
    """Five recordings whose first and last events lie in the middle, so that none loses them.

    Steps would else begin and end at other times.
    """
    events = random_events(np.random.default_rng(0), [300, 200, 50, 120, 80])
    for number in range(5):
        for edge in (events.offsets[number], events.offsets[number + 1] - 1):
            events.x[edge] = events.y[edge] = 17
    return events


def binned(events: Events, *, counts: bool) -> Spikes:
    options = Binning(STEPS, values="counts" if counts else "binary")
    encoded = gather(bin_events(events, options), np.arange(5), STEPS, SENSOR)
    assert isinstance(encoded.x, Spikes)
    return encoded.x


class Stubborn(PlaceStep):
    """Moves nothing, and drops the middle never; stands for a step of a user's own."""

    def places(self, sensor: tuple[int, int, int], rng: np.random.Generator) -> Any:
        own = np.arange(np.prod(sensor), dtype=np.int64).reshape(sensor)
        return np.where(own % 3 == 0, -1, own)


@pytest.mark.parametrize("counts", [False, True], ids=["binary", "counts"])
@pytest.mark.parametrize("name", ["columns", "rows", "polarities"])
def test_a_mirror_commutes_with_binning(name: str, counts: bool) -> None:
    events = recordings()
    expected = binned(augment(events, CASES[name], KEYS).events, counts=counts)
    found = on_spikes(binned(events, counts=counts), CASES[name], KEYS)
    found.validate()
    assert found == expected
    assert found != binned(events, counts=counts)


@pytest.mark.parametrize("counts", [False, True], ids=["binary", "counts"])
@pytest.mark.parametrize("name", CASES)
def test_spikes_go_where_dense_frames_show_them(name: str, counts: bool) -> None:
    spikes = binned(recordings(), counts=counts)
    found = on_spikes(spikes, CASES[name], KEYS)
    found.validate()
    expected = dense_oracle(spikes.dense().double().numpy(), CASES[name])
    assert np.array_equal(found.dense().double().numpy(), expected)


def dense_oracle(frames: Any, steps: Sequence[PlaceStep]) -> Any:
    """Every unit of every frame by itself."""
    frames = frames.copy()
    for sample, key in enumerate(KEYS):
        for position, step in enumerate(steps):
            places = step.places(SENSOR, np.random.default_rng([*key, position]))
            if places is None:
                continue
            before = frames[:, sample].reshape(STEPS, -1)
            after = np.zeros_like(before)
            for unit, to in enumerate(places.ravel()):
                if to >= 0:
                    after[:, to] = before[:, unit]
            if after.any():
                frames[:, sample] = after.reshape(STEPS, *SENSOR)
    return frames


def test_a_step_that_would_leave_nothing_is_passed_over() -> None:
    dense = torch.zeros(STEPS, 5, *SENSOR)
    dense[:, :, 0, 0, 0] = 1  # unit 0, which the step drops
    dense[1, 2, 1, 5, 5] = 1  # and one that it may keep, in one sample
    spikes = Spikes.from_dense(dense)
    found = on_spikes(spikes, [Stubborn(), Flip("horizontal", p=1.0)], KEYS).dense()
    expected = dense.clone()
    kept = (34 * 34 + 5 * 34 + 5) % 3 != 0
    if kept:
        expected[:, 2, 0, 0, 0] = 0
    assert torch.equal(found, expected.flip(-1))
    assert kept


def test_no_two_units_go_to_one_place() -> None:
    for steps in CASES.values():
        for seed in range(5):
            for step in steps:
                places = step.places(SENSOR, np.random.default_rng(seed))
                if places is not None:
                    there = places[places >= 0]
                    assert len(np.unique(there)) == len(there)
