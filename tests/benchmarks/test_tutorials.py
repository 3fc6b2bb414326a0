"""The networks of the tutorials run in the engine as their own loops run them."""

from __future__ import annotations

import pytest
import torch

from benchmarks.tutorials import by_lfp, by_surrogate, tutorial
from lfp_snn import TemporalLFP


@pytest.mark.parametrize("number", [3, 5, 6, 7])
def test_a_network_of_a_tutorial_gives_the_spikes_of_its_own_loop(number: int) -> None:
    of = tutorial(number)
    torch.manual_seed(0)
    net = of.make()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(3)  # at PyTorch's start hardly a neuron fires
    x = of.parts[0][0][:2]
    in_time = x.transpose(0, 1) if number in (3, 7) else x
    steps = of.steps if number == 6 else None
    spikes = TemporalLFP(net).forward(in_time, steps=steps)
    with torch.no_grad():
        expected, _ = of.run(net, x)
    assert expected.any()
    assert torch.equal(spikes, expected)


def test_both_train() -> None:
    of = tutorial(5)
    for train in (by_lfp, by_surrogate):
        found = train(of, 1e-2, 0)
        assert found.test > 0.85
        assert found.cpu_s > 0
