"""Delta coding against its definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lfp_snn.data.delta import delta, delta_spikes
from lfp_snn.errors import ConfigError, DataError


def by_hand(sequence: list[float], threshold: float) -> list[int]:
    """One channel, one step at a time."""
    moved, reference = [0], sequence[0]
    for value in sequence[1:]:
        count = 0
        while value - reference >= threshold - 1e-9:
            reference, count = reference + threshold, count + 1
        while reference - value >= threshold - 1e-9:
            reference, count = reference - threshold, count - 1
        moved.append(count)
    return moved


@given(st.lists(st.integers(0, 255), min_size=1, max_size=30), st.sampled_from([1, 2, 5, 0.5]))
def test_each_channel_is_as_by_hand(values: list[int], threshold: float) -> None:
    sequence = np.array(values, np.float64)
    got = delta(sequence[:, None], threshold)[:, 0]
    assert got.tolist() == by_hand(sequence.tolist(), threshold)


@given(hnp.arrays(np.float64, (3, 12, 2), elements=st.floats(-1e3, 1e3)), st.floats(0.01, 100))
def test_the_sequence_can_be_read_back_to_within_the_threshold(
    sequences: np.ndarray, threshold: float
) -> None:
    back = sequences[:, :1] + threshold * delta(sequences, threshold).cumsum(1)
    assert np.all(np.abs(back - sequences) <= threshold * (1 + 1e-6))


def test_on_channels_come_before_off_channels() -> None:
    moved = np.array([[[0, 0], [2, -1], [-3, 0]]])
    trains = delta_spikes(moved, counts=True)
    assert trains.indptr.tolist() == [0, 0, 2, 3]
    assert trains.indices.tolist() == [0, 3, 2]
    assert trains.values is not None and trains.values.tolist() == [2, 1, 3]
    assert delta_spikes(moved, counts=False).values is None


def test_mistakes_are_told() -> None:
    with pytest.raises(ConfigError, match="threshold of delta coding"):
        delta(np.zeros((3, 1)), 0.0)
    with pytest.raises(DataError, match="NaN"):
        delta(np.array([[np.nan]]), 1.0)
