"""Samples of different length: a batch learns what its samples learn one by one."""

from __future__ import annotations

import copy

import pytest
import torch

from lfp_snn.data import Batch
from lfp_snn.learners import LEARNERS
from lfp_snn.spikes import Spikes
from tests.learners.test_gradient import BATCH, STEPS, gradients, make_batch, make_learner, make_net

LENGTHS = [3, 7, 5, 7, 1, 2, 4, 6]


@pytest.mark.parametrize("name", sorted(LEARNERS))
def test_a_padded_batch_is_the_sum_of_its_samples(name: str) -> None:
    batch = make_batch(lengths=torch.tensor(LENGTHS))
    assert isinstance(batch.x, Spikes) and len(LENGTHS) == BATCH and max(LENGTHS) == STEPS
    x = batch.x.dense()
    net = make_net().double()
    alone = [torch.zeros_like(p) for p in net.parameters()]
    for b, length in enumerate(LENGTHS):
        one = Batch(Spikes.from_dense(x[:length, b : b + 1]), batch.labels[b : b + 1])
        copied = copy.deepcopy(net)
        make_learner(name, copied).feedback(one)
        alone = [total + gradient for total, gradient in zip(alone, gradients(copied), strict=True)]
    make_learner(name, net).feedback(batch)
    assert any(total.abs().sum() > 0 for total in alone) or name == "step_gradient"
    for total, gradient in zip(alone, gradients(net), strict=True):
        torch.testing.assert_close(gradient, total, rtol=1e-9, atol=1e-12)
