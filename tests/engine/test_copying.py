"""Copies of networks: of their own, whatever computes their weights."""

from __future__ import annotations

import copy
import threading
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

from lfp_snn import TemporalLFP
from lfp_snn.engine.copying import copy_of
from lfp_snn.errors import NetworkError
from tests.engine.compare import assert_same_feedback, run, strong, trains


def half(layer: nn.Linear) -> Any:
    return prune.random_unstructured(layer, "weight", 0.5)  # type: ignore[no-untyped-call]


def old_norm(layer: nn.Linear) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return weight_norm(layer)


WAYS: dict[str, Callable[[Any], Any]] = {
    "pruned": half,
    "weight norm by hook": old_norm,
    "spectral norm by hook": spectral_norm,
    "weight norm": parametrizations.weight_norm,
    "spectral norm": parametrizations.spectral_norm,
    "nothing": lambda layer: layer,
}


def network(how: Callable[[Any], Any]) -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(
        how(nn.Linear(6, 8)),
        snn.Leaky(beta=0.9, threshold=0.3, init_hidden=True),
        nn.Linear(8, 3),
        snn.Leaky(beta=0.9, threshold=0.3, init_hidden=True),
    )
    return strong(net, scale=0.8)  # type: ignore[no-any-return]


@pytest.mark.parametrize("after", ["nothing", "a pass", "feedback", "a step under autograd"])
@pytest.mark.parametrize("way", WAYS)
def test_a_copy_has_a_network_of_its_own(way: str, after: str) -> None:
    lfp, x = TemporalLFP(network(WAYS[way])), trains(5, 4, 6)
    if after == "a step under autograd":
        lfp.net[1](lfp.net[0](x[0]))  # type: ignore[index]
    elif after != "nothing":
        spikes = lfp.forward(x)
        if after == "feedback":
            lfp.backward(torch.ones_like(spikes))
    other = copy.deepcopy(lfp)
    assert other.net is not lfp.net and other.rules == lfp.rules
    mine, its = set(map(id, lfp.net.parameters())), set(map(id, other.net.parameters()))
    assert not mine & its
    spikes, feedback = run(lfp, x)
    found, same = run(other, x)
    assert spikes.any() and torch.equal(found, spikes)
    assert_same_feedback(same, feedback)
    before = spikes.clone()
    with torch.no_grad():
        for parameter in other.net.parameters():
            parameter.fill_(-9) if parameter.dim() == 1 else parameter
    lfp.net.eval()
    other.net.eval()
    assert not torch.equal(other.forward(x), before)
    assert torch.equal(lfp.forward(x), before) or "spectral" in way  # in training it iterates


def test_a_copy_goes_on_with_its_own_state() -> None:
    lfp, x = TemporalLFP(network(half)), trains(6, 4, 6)
    whole = lfp.forward(x)
    first = lfp.forward(x[:3])
    other = copy.deepcopy(lfp)
    rest: Tensor = other.forward(x[3:], state=other.state)
    assert torch.equal(torch.cat([first, rest]), whole)


def test_what_cannot_be_copied_says_so() -> None:
    class Locked(nn.Sequential):
        def __init__(self) -> None:
            super().__init__(*network(half))
            self.lock = threading.Lock()

    told = r"^Locked holds what Python cannot copy \(cannot pickle .*lock.*load_state_dict"
    with pytest.raises(NetworkError, match=told):
        copy.deepcopy(TemporalLFP(Locked()))
    with pytest.raises(NetworkError, match=told):
        copy_of(Locked())
