"""Weights that hooks or parametrisations compute are refused by name, and run once they are not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import snntorch as snn
import torch
from torch import nn
from torch.nn.utils import (
    parametrizations,
    parametrize,
    prune,
    remove_spectral_norm,
    remove_weight_norm,
    spectral_norm,
    weight_norm,
)

from lfp_snn import TemporalLFP
from lfp_snn.errors import NetworkError
from lfp_snn.rewards import RateCoded

Change = Callable[[Any], Any]
untyped: Any = prune


def pruned(module: nn.Module) -> nn.Module:
    made: nn.Module = untyped.l1_unstructured(module, "weight", 0.5)
    return made


def pruned_twice(module: nn.Module) -> nn.Module:
    made: nn.Module = untyped.random_structured(pruned(module), "weight", 0.3, dim=0)
    return made


CASES: dict[str, tuple[Change, str, Change]] = {
    "prune": (pruned, "prunes 'weight' by a hook", lambda m: untyped.remove(m, "weight")),
    "prune twice": (pruned_twice, "prunes 'weight'", lambda m: untyped.remove(m, "weight")),
    "weight_norm": (weight_norm, "by a hook .weight_norm.*remove_weight_norm", remove_weight_norm),
    "spectral_norm": (spectral_norm, "by a hook .spectral_norm", remove_spectral_norm),
    "parametrisation": (
        parametrizations.weight_norm,
        "parametrisation ._WeightNorm.*remove_parametrizations",
        lambda m: parametrize.remove_parametrizations(m, "weight"),
    ),
}


def network(kind: str, change: Change) -> tuple[nn.Sequential, nn.Module]:
    torch.manual_seed(0)
    synapse: nn.Module = nn.Linear(36, 8) if kind == "linear" else nn.Conv2d(1, 8, 3)
    change(synapse)
    shaped = [nn.Flatten()] if kind == "linear" else []
    size = 8 if kind == "linear" else 128
    net = nn.Sequential(
        *shaped,
        synapse,
        snn.Leaky(beta=0.9, threshold=0.1, init_hidden=True),
        nn.Flatten(),
        nn.Linear(size, 3),
        snn.Leaky(beta=0.9, init_hidden=True, output=True),
    )
    return net, synapse


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated")
@pytest.mark.parametrize("kind", ["linear", "conv"])
@pytest.mark.parametrize("case", CASES)
def test_computed_weights_are_refused_and_train_once_they_are_permanent(
    case: str, kind: str
) -> None:
    change, told, remove = CASES[case]
    net, synapse = network(kind, change)
    with pytest.raises(NetworkError, match=rf"Module '\d' .*{told}"):
        TemporalLFP(net)
    remove(synapse)
    lfp = TemporalLFP(net)
    x = (torch.rand(8, 4, 1, 6, 6) < 0.5).float()
    lfp.backward(RateCoded()(lfp.forward(x), [0, 1, 2, 0]))
    weight = synapse.get_parameter("weight")
    assert weight.grad is not None and bool(weight.grad.any())
    assert not bool(weight.grad[weight == 0].any())  # under |w| what is pruned stays so


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated")
@pytest.mark.parametrize("backend", ["torch", "events"])
@pytest.mark.parametrize("case", CASES)
def test_a_network_that_is_changed_between_two_passes_is_refused_until_it_is_permanent(
    case: str, backend: str
) -> None:
    change, told, remove = CASES[case]
    net, synapse = network("linear", lambda module: module)
    lfp = TemporalLFP(net, backend=backend)
    x = (torch.rand(8, 4, 1, 6, 6) < 0.5).float()
    lfp.forward(x)
    change(synapse)
    with pytest.raises(NetworkError, match=rf"Module '1' .*{told}"):
        lfp.forward(x)
    remove(synapse)
    lfp.backward(RateCoded()(lfp.forward(x), [0, 1, 2, 0]))
    assert all(p.grad is not None for p in net.parameters())


@pytest.mark.parametrize("neuron", [snn.RLeaky, snn.RSynaptic])
def test_a_loop_whose_weight_is_computed_is_refused(neuron: Any) -> None:
    constants = {"alpha": 0.5} if neuron is snn.RSynaptic else {}
    net, _ = network("linear", lambda module: module)
    net[2] = neuron(beta=0.9, linear_features=8, init_hidden=True, **constants)
    TemporalLFP(net)
    parametrizations.spectral_norm(net[2].recurrent)  # type: ignore[arg-type]
    with pytest.raises(NetworkError, match=r"Module '2\.recurrent' computes 'weight'"):
        TemporalLFP(net)


def test_a_weight_that_is_an_ordinary_tensor_is_refused() -> None:
    net, synapse = network("linear", lambda module: module)
    del synapse.weight
    synapse.weight = torch.ones(8, 36)
    with pytest.raises(NetworkError, match="'weight' that is an ordinary tensor"):
        TemporalLFP(net)
    del synapse.weight
    synapse.register_buffer("weight", torch.ones(8, 36))
    TemporalLFP(net).forward(torch.ones(2, 1, 1, 6, 6))
