from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from lfp_snn.analysis.baseline import logistic_baseline
from lfp_snn.data import SampleSet, Splits
from lfp_snn.data.sets import Draw, Encoded
from lfp_snn.spikes import Spikes

STEPS = 5
CLASSES = ("a", "b", "c")


class DenseSet(SampleSet):
    """A set that keeps its inputs dense: events ``[T, N, units]`` or currents ``[N, units]``."""

    def __init__(self, inputs: Tensor, labels: Tensor) -> None:
        ids = [str(i) for i in range(len(labels))]
        shape = tuple(inputs.shape[-1:])
        super().__init__(labels.numpy(), ids, classes=CLASSES, feature_shape=shape, steps=STEPS)
        self.inputs = inputs

    def _encode(self, rows: npt.NDArray[np.int64], draw: Draw | None) -> Encoded:
        if self.inputs.dim() == 2:
            return Encoded(self.inputs[rows])
        return Encoded(Spikes.from_dense(self.inputs[:, rows]))

    def _select(self, rows: npt.NDArray[np.int64]) -> SampleSet:
        raise AssertionError("the baseline takes the splits as they are")


def _splits(informative: bool, constant: bool, values: float = 1.0) -> Splits:
    """Three classes; the sum over time of unit c is high for class c, if informative."""
    generator = torch.Generator().manual_seed(0)
    sets = []
    for size in (300, 90, 300):  # more than one batch
        labels = torch.arange(size) % 3
        rate = torch.full((size, 6), 0.4)
        if informative:
            rate[:, :3] = 0.1 + 0.8 * torch.nn.functional.one_hot(labels, 3)
        events = (torch.rand((STEPS, size, 6), generator=generator) < rate).float() * values
        inputs = events.mean(0) if constant else events
        sets.append(DenseSet(inputs, labels))
    train, val, test = sets
    return Splits(train, val, test, info={})


@pytest.mark.parametrize("constant", [False, True])
def test_finds_what_is_linear_in_the_sum(constant: bool) -> None:
    assert logistic_baseline(_splits(True, constant)) > 0.95


def test_is_at_chance_where_there_is_nothing_to_find() -> None:
    assert abs(logistic_baseline(_splits(False, False)) - 1 / 3) < 0.1


def test_sees_sums_and_values_alike() -> None:
    events, doubled = _splits(True, False), _splits(True, False, values=2.0)
    currents = _splits(True, True)
    assert logistic_baseline(events) == logistic_baseline(doubled) == logistic_baseline(currents)
