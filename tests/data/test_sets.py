"""Sets: batches against the dense frames, subsets, and batches on devices."""

from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lfp_snn.data import Batch, Binning, SpikeSet, bin_events
from lfp_snn.errors import DataError
from tests.data.helpers import SENSOR, random_events, spikes

STEPS = 6
Values = Literal["binary", "counts"]


def spike_set(values: Values = "binary", count: int = 8) -> SpikeSet:
    sizes = [20 + 5 * n for n in range(count)]
    events = random_events(np.random.default_rng(0), sizes)
    return SpikeSet(
        bin_events(events, Binning(STEPS, values=values)),
        np.arange(count),
        [f"r{n}" for n in range(count)],
        classes=tuple(map(str, range(count))),
        feature_shape=SENSOR,
        steps=STEPS,
    )


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 7), min_size=1, max_size=10), st.sampled_from(["binary", "counts"]))
def test_a_batch_is_the_stack_of_its_samples(rows: list[int], values: Values) -> None:
    samples = spike_set(values)
    batch = samples.batch(rows)
    x = spikes(batch)
    x.validate()
    assert batch.labels.tolist() == rows
    assert batch.ids == tuple(f"r{n}" for n in rows)
    assert (x.values is None) == (values == "binary")
    dense = x.dense()
    for b, row in enumerate(rows):
        single = spikes(samples.batch([row])).dense()[:, 0]
        assert single.sum() > 0
        torch.testing.assert_close(dense[:, b], single)


def test_subsets_of_subsets() -> None:
    inner = spike_set().subset([6, 4, 2, 0]).subset([1, 3])
    assert len(inner) == 2
    assert inner.labels.tolist() == [4, 0]
    assert inner.ids == ("r4", "r0")
    assert inner.batch([1]).x == spike_set().batch([0]).x


def test_an_empty_batch_has_its_shape() -> None:
    with_none = spike_set("counts").batch([])
    assert len(with_none) == 0
    assert with_none.x.shape == (STEPS, 0, *SENSOR)


def test_a_batch_moves_with_all_it_has() -> None:
    batch = spike_set().batch([0, 1])
    whole = Batch(batch.x, batch.labels, lengths=torch.tensor([6, 3]), ids=batch.ids)
    moved = whole.to("meta")
    assert moved.labels.device.type == "meta"
    assert moved.lengths is not None
    assert moved.lengths.device.type == "meta"
    assert moved.x.device.type == "meta"
    assert moved.ids == batch.ids


def test_refuses_labels_that_do_not_fit() -> None:
    trains = spike_set().trains
    with pytest.raises(DataError, match="3 labels with T=6 need 18 frames, got 48"):
        SpikeSet(
            trains,
            np.zeros(3, np.int64),
            ["a", "b", "c"],
            classes=("0",),
            feature_shape=SENSOR,
            steps=STEPS,
        )
