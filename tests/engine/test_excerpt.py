"""A part of a network tells the firing rates that the whole has."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lfp_snn import TemporalLFP
from lfp_snn.errors import NotFiniteError
from lfp_snn.models import build

STEPS, BATCH, SIDE = 5, 3, 9
NETWORKS: dict[str, dict[str, Any]] = {
    "csnn": {},
    "lif_vgg": {"width": 0.05, "norm": "batch"},
    "sew_resnet": {"channels": [4, 6], "blocks": [1, 1]},
}


def network(name: str) -> nn.Module:
    torch.manual_seed(0)
    side = 17 if name == "csnn" else SIDE
    net = build(name, (2, side, side), 4, **NETWORKS[name]).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(2)
    return net


def spikes(name: str) -> Tensor:
    side = 17 if name == "csnn" else SIDE
    return (torch.rand(STEPS, BATCH, 2, side, side) < 0.3).float()


@pytest.mark.parametrize("backend", ["torch", "events"])
@pytest.mark.parametrize("name", NETWORKS)
def test_each_population_fires_as_in_the_whole_network(name: str, backend: str) -> None:
    net, x, lengths = network(name), spikes(name), torch.tensor([5, 2, 4])
    lfp = TemporalLFP(net, backend=backend, check=False)
    for layer in lfp.layers:
        changing = [p for _, module in layer.synapses for p in module.parameters()]
        excerpt = lfp.excerpt(layer.name, changing, x, lengths=lengths)
        with torch.no_grad():
            for parameter in changing:
                parameter.mul_(1.5)
        found = excerpt.firing_rate()
        assert excerpt.firing_rate() == found
        lfp.forward(x, lengths=lengths, record=False)
        assert found == lfp.firing_rates[layer.name]
    assert found > 0


def test_what_comes_before_is_run_once_and_what_follows_never(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net: Any = build("mlp", (6,), 3, hidden=[5, 4], scale=3)
    lfp = TemporalLFP(net, backend="torch", check=False)
    ran: list[str] = []
    stages = [node.stage for node in lfp.reference.nodes]
    for stage in stages:

        def forward(*args: Any, own: Any = stage.forward, name: str = stage.name) -> Any:
            ran.append(name)
            return own(*args)

        monkeypatch.setattr(stage, "forward", forward)
    synapse, neuron = lfp.layers[1].synapses[0][1], lfp.layers[1].name
    excerpt = lfp.excerpt(neuron, list(synapse.parameters()), torch.ones(STEPS, BATCH, 6))
    before, own = ran.copy(), [stage.name for stage in stages].index(neuron)
    assert before == [stage.name for stage in stages[: own - 1]]
    ran.clear()
    excerpt.firing_rate()
    assert ran == [stage.name for stage in stages[own - 1 : own + 1]]


def test_weights_that_are_not_finite_are_named() -> None:
    net: Any = build("mlp", (6,), 3, hidden=[5])
    lfp = TemporalLFP(net, check=False)
    excerpt = lfp.excerpt(lfp.layers[0].name, list(net.parameters()), torch.ones(STEPS, BATCH, 6))
    with torch.no_grad():
        next(net.parameters())[0, 0] = torch.inf
    with pytest.raises(NotFiniteError, match="not finite"):
        excerpt.firing_rate()
