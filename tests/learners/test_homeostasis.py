"""Silent neurons wake."""

from __future__ import annotations

from typing import Any

import pytest
import snntorch as snn
import torch
from torch import nn

from lfp_snn.data import Batch
from lfp_snn.errors import NetworkError
from lfp_snn.learners.homeostasis import HomeostasisOptions
from lfp_snn.learners.lfp import LFP
from lfp_snn.rewards import RateCoded
from lfp_snn.rules import Epsilon
from lfp_snn.spikes import Spikes
from tests.engine.compare import leaky


def network(*, bias: bool = True, theta: Any = 1.0) -> Any:
    """Conv2d, pool and Linear; the second channel and the first output are silent."""
    torch.manual_seed(0)
    net: Any = nn.Sequential(
        nn.Conv2d(1, 2, 2, bias=bias),
        leaky(threshold=0.3),
        nn.Flatten(),
        nn.Linear(8, 3, bias=bias),
        leaky(threshold=theta),
    )
    with torch.no_grad():
        for synapse in (net[0], net[3]):
            synapse.weight.abs_()
            if synapse.bias is not None:
                synapse.bias.zero_()
        net[0].weight[1] = -1.0
        net[3].weight[0] = -1.0
    return net


def batch(lengths: list[int] | None = None) -> Batch:
    torch.manual_seed(1)
    x = (torch.rand(6, 4, 1, 3, 3) < 0.7).float()
    ends = None if lengths is None else torch.tensor(lengths)
    return Batch(Spikes.from_dense(x), torch.tensor([0, 1, 2, 0]), ends)


def learner(net: nn.Module, **options: Any) -> LFP:
    return LFP(net, Epsilon(0.1), RateCoded(), homeostasis=HomeostasisOptions(**options))


def test_biases_of_silent_neurons_rise_by_what_is_missing() -> None:
    net = network()
    lfp = learner(net, target=0.1, rate=0.5)
    lfp.feedback(batch([6, 3, 6, 4]))
    spikes = lfp.layer_spikes(batch([6, 3, 6, 4]))
    lfp.after_step()
    rate = spikes["1"].sum((0, 1)).mean((1, 2)) / 19
    assert torch.allclose(net[0].bias, 0.5 * (0.1 - rate).clamp(min=0))
    assert float(net[0].bias.detach()[1]) == pytest.approx(0.05)
    assert float(net[0].bias.detach()[0]) == 0  # it fires more often, and is left alone
    rate = spikes["4"].sum((0, 1)) / 19
    assert torch.allclose(net[3].bias, 0.5 * (0.1 - rate).clamp(min=0))


def test_thresholds_fall_for_each_neuron_or_for_all() -> None:
    net = network(bias=False, theta=torch.tensor([1.0, 1.0, 0.01]))
    lfp = learner(net, adapt="threshold", target=0.2, rate=10.0, only_wake=False)
    lfp.feedback(batch())
    spikes = lfp.layer_spikes(batch())
    lfp.after_step()
    rate = spikes["4"].mean((0, 1))
    expected = (torch.tensor([1.0, 1.0, 0.01]) - 10 * (0.2 - rate)).clamp(min=0)
    assert torch.allclose(net[4].threshold, expected)
    assert float(net[1].threshold) == pytest.approx(
        max(0.0, 0.3 - 10 * (0.2 - float(spikes["1"].mean()))), abs=1e-5
    )


def test_a_silent_network_wakes() -> None:
    net = network(theta=2.0)
    lfp = learner(net, target=0.05, rate=1.0, memory=0.5)
    assert not lfp.layer_spikes(batch())["4"][..., 0].any()
    for _ in range(150):
        lfp.feedback(batch())
        lfp.after_step()
    for spikes in lfp.layer_spikes(batch()).values():
        assert (spikes.transpose(2, -1).flatten(0, -2).mean(0) > 0).all()


def test_state_goes_on_bit_by_bit() -> None:
    results = []
    for stops in (False, True):
        net = network()
        lfp = learner(net, rate=0.7)
        for step in range(4):
            if stops and step == 2:
                state = {key: value.clone() for key, value in lfp.state_dict().items()}
                assert set(state) == {"1", "4"}
                lfp = learner(net, rate=0.7)
                lfp.load_state_dict(state)
            lfp.feedback(batch())
            lfp.after_step()
        results.append([net[0].bias, net[3].bias])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_without_biases_there_is_nothing_to_move() -> None:
    with pytest.raises(NetworkError, match=r"neuron '1' is fed by no synapse with a bias"):
        learner(network(bias=False))


def test_a_bias_that_serves_no_single_neurons_is_refused() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 2), nn.Flatten(), snn.Leaky(beta=0.5, init_hidden=True))
    lfp = learner(net)
    with pytest.raises(NetworkError, match=r"neuron '2' \(2\) do not fit its neurons \(8,\)"):
        lfp.feedback(Batch(batch().x, torch.tensor([0, 1, 2, 0])))
