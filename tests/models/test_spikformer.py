"""Spiking self-attention and the Spikformer: what they compute, and that they learn."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from lfp_snn import TemporalLFP
from lfp_snn.errors import ConfigError, ShapeError
from lfp_snn.models import build
from lfp_snn.models.self_attention import SelfAttention
from lfp_snn.rules import Epsilon, Rescale, Rule
from lfp_snn.training import calibrate
from tests.engine.compare import assert_same_feedback, run, trains

SMALL: dict[str, Any] = {"channels": 8, "heads": 2, "blocks": 2, "norm": "none"}


def small(**options: Any) -> Any:
    """Two blocks on maps of 8 x 8, whose neurons fire; float64, in evaluation mode."""
    torch.manual_seed(0)
    net = build("spikformer", (2, 8, 8), 3, **SMALL | {"attention_scale": 1.0} | options).double()
    with warnings.catch_warnings():  # a handful of neurons cannot fire at any rate
        warnings.simplefilter("ignore", RuntimeWarning)
        calibrate(TemporalLFP(net), maps(), 0.3)
    return net.eval()


def maps(steps: int = 6) -> Tensor:
    return trains(steps, 3, 2, 8, 8, density=0.3)


def attended(query: Tensor, key: Tensor, value: Tensor, heads: int, scale: float) -> Tensor:
    """``s Q K^T V`` of maps ``[C, N]``, one entry at a time."""
    channels, places = query.shape
    size, found = channels // heads, torch.zeros_like(query)
    for c in range(channels):
        head = range(c // size * size, c // size * size + size)
        for n in range(places):
            for m in range(places):
                agree = sum(float(query[i, n] * key[i, m]) for i in head)
                found[c, n] += scale * agree * float(value[c, m])
    return found


def test_attention_is_what_its_definition_says() -> None:
    def spikes() -> Any:
        return snn.Leaky(beta=0.0, threshold=0.4, init_hidden=True)

    torch.manual_seed(1)
    query, key, value, last = (nn.Sequential(nn.Conv1d(4, 4, 1), spikes()) for _ in range(4))
    caught: list[Tensor] = []

    class Caught(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            caught.append(x)
            return x

    attention = SelfAttention(query, key, value, Caught(), last, heads=2, scale=0.5)
    x = torch.rand(1, 4, 5) * 3
    attention(x)
    with torch.no_grad():
        for part in (query, key, value):  # their next call finds them at rest
            part[1].reset_mem()  # type: ignore[operator]
        parts = [part(x)[0] for part in (query, key, value)]
    assert all(part.any() for part in parts)
    torch.testing.assert_close(caught[0][0], attended(parts[0], parts[1], parts[2], 2, 0.5))


def test_the_spikformer_has_its_blocks() -> None:
    net = build("spikformer", (2, 34, 34), 10)
    lfp = TemporalLFP(net)
    assert lfp.forward(trains(3, 2, 2, 34, 34).float()).shape == (3, 2, 10)
    kinds = [type(module) for module in net.modules()]
    assert kinds.count(SelfAttention) == 1 and kinds.count(nn.BatchNorm2d) == 9
    rows = {line.split()[0]: line for line in lfp.summary().splitlines()}
    assert "64x8x8" in rows["9.residual.0.neurons"] and "4x64x64" in rows["matmul"]
    assert "Product" in rows["matmul_1"] and "halves" in rows["matmul_1"]


@pytest.mark.parametrize("rule", [Epsilon(0.1), Rescale()])
def test_it_equals_its_module_and_all_of_it_learns(rule: Rule) -> None:
    net, x = small(), maps()
    lfp = TemporalLFP(net, rule, "torch")
    spikes, found = run(lfp, x)
    assert spikes.any()
    assert all(value.any() for value in found.values()), found.keys()
    again, on_events = run(TemporalLFP(net, rule, "events"), x)
    assert torch.equal(spikes, again)
    assert_same_feedback(on_events, found)
    chunked, in_chunks = run(TemporalLFP(net, rule, "torch", memory="chunked", chunk=4), x)
    assert torch.equal(spikes, chunked)
    assert_same_feedback(in_chunks, found)


def test_a_batch_norm_goes_with_it() -> None:
    net = small(norm="batch", blocks=1).train()
    lfp = TemporalLFP(net, Rescale(), statistics="through")
    spikes, found = run(lfp, maps())
    assert spikes.any()
    silent = {name for name, value in found.items() if not value.any()}
    assert silent == set()


def test_attention_is_a_kind_of_layer() -> None:
    layers = [{"conv": 6, "kernel": 3}, "lif", {"attention": 3, "scale": 0.5, "norm": "none"}]
    net = build("layers", (2, 5), 2, layers=[*layers, "flatten", {"linear": "classes"}, "lif"])
    (attention,) = (m for m in net.modules() if isinstance(m, SelfAttention))
    assert (attention.heads, attention.scale) == (3, 0.5)
    assert float(attention.neurons.threshold) == 0.5  # type: ignore[arg-type]
    assert TemporalLFP(net).forward(trains(4, 2, 2, 5).float()).shape == (4, 2, 2)


def test_heads_must_divide_the_channels() -> None:
    with pytest.raises(ConfigError, match="6 channels are no 4 heads of one size"):
        build("spikformer", (2, 34, 34), 10, channels=6)
    layers = [{"attention": 3}, "flatten", {"linear": "classes"}, "lif"]
    with pytest.raises(ShapeError, match="2 channels are no 3 heads of one size"):
        build("layers", (2, 4, 4), 10, layers=layers)
    with pytest.raises(ShapeError, match="spikformer needs maps of at least 4 x 4"):
        build("spikformer", (2, 3, 3), 10)
