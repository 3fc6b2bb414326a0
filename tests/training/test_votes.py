"""A class whose voters are all silent at the start is learnt, where the reward is credit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from lfp_snn import TemporalLFP, data
from lfp_snn.models import build
from lfp_snn.training import fit

LAYERS = ["flatten", {"linear": 64}, "lif", {"linear": 50}, "lif", {"votes": 5}]


@pytest.mark.parametrize(
    ("rule", "reward", "learns"),
    [
        ("rescale", "softmax_rate", True),
        ("rescale", "softmax_values", True),
        ("epsilon", "softmax_values", False),
    ],
)
def test_digits_with_a_class_that_is_silent_at_the_start(
    rule: str, reward: str, learns: bool
) -> None:
    splits = data.load("digits", steps=8, train=300)
    torch.manual_seed(0)
    net = build("layers", (2, 34, 34), 10, layers=LAYERS)
    bias = net[3].bias
    assert isinstance(bias, Tensor)
    with torch.no_grad():
        bias[:5] = -0.5  # of the voters for the first class
    batch = splits.val.batch(np.arange(60))
    assert not TemporalLFP(net).forward(batch.x)[..., 0].any()
    result = fit(
        net,
        splits,
        epochs=4,
        batch_size=16,
        calibrate=None,
        device="cpu",
        learner={"rule": {"name": rule}, "reward": {"name": reward}},
        optimizer={"lr": 0.01},
    )
    confusion = torch.as_tensor(result.confusion)
    assert bool(confusion[0].any())
    read = confusion[:, 0]  # how often the first class was read, by the true one
    assert bool(read.any()) == learns
    if learns:
        assert result.test_accuracy is not None
        assert result.test_accuracy > 0.6
        assert read[0] > 0.8 * confusion[0].sum()
