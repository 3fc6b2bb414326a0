"""Functions that do what modules do, are written out, or are refused with what to do instead."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lfp_snn import TemporalLFP
from lfp_snn.engine.feedback import Feedback
from lfp_snn.engine.merges import MaximumOver
from lfp_snn.engine.stage import Tape
from lfp_snn.errors import LfpSnnError, NetworkError
from lfp_snn.rules import Epsilon, Rescale, Rule
from tests.engine.compare import (
    BACKENDS,
    assert_near,
    assert_same_feedback,
    leaky,
    run,
    strong,
    trains,
)

UNITS = 6
Function = Callable[[Any, Any], Any]


def step(distance: Tensor) -> Tensor:
    return (distance > 0).to(distance.dtype)


class Between(nn.Module):
    """Neurons, a function of their spikes, then neurons again."""

    def __init__(self, function: Function, *, shape: tuple[int, ...] = (UNITS,)) -> None:
        super().__init__()
        self.fc, self.lif = nn.Linear(4, UNITS), leaky(threshold=0.3, spike_grad=step)
        self.again, self.function, self.shape = nn.Linear(UNITS, UNITS), function, shape
        self.norm, self.group = nn.LayerNorm(UNITS), nn.GroupNorm(2, UNITS)
        self.gate = nn.Linear(2, 1)
        self.slope, self.slopes = nn.PReLU(), nn.PReLU(UNITS)
        self.register_buffer("mask", torch.arange(UNITS) % 2 == 0)
        self.register_buffer("bias", torch.linspace(-1, 1, UNITS))
        spikes = torch.ones(2, UNITS)
        self.out = nn.Linear(function(self, spikes.view(-1, *shape)).flatten(1).shape[1], 3)
        self.last = leaky(threshold=0.3, spike_grad=step)

    def forward(self, x: Tensor) -> Any:
        spikes = self.lif(self.fc(x)).view(-1, *self.shape)
        return self.last(self.out(self.function(self, spikes).flatten(1)))


def between(function: Function, shape: tuple[int, ...] = (UNITS,)) -> Any:
    net = strong(Between(function, shape=shape), seed=2)
    net.out.bias.data += 0.3
    return net


def stepped(net: Any, x: Tensor) -> Tensor:
    for module in net.modules():
        if hasattr(module, "mem"):
            module.mem = torch.zeros(0)
    with torch.no_grad():
        return torch.stack([net(frame) for frame in x])


X = trains(6, 3, 4, density=0.6)


def assert_alike(one: Any, other: Any, rule: Rule | None = None) -> dict[str, Tensor]:
    """Two networks that compute the same, as the module does, and learn alike on all backends."""
    found: dict[str, Tensor] = {}
    expected = stepped(one, X)
    for backend in BACKENDS:
        spikes, found = run(TemporalLFP(one, rule, backend), X)
        same, feedback = run(TemporalLFP(other, rule, backend), X)
        assert spikes.any() and torch.equal(spikes, expected) and torch.equal(same, expected)
        assert_same_feedback(found, feedback)
    return found


ALIKE: dict[str, tuple[Function, Function]] = {
    "clamp": (
        lambda m, x: m.again(x).clamp(-0.2, 0.5),
        lambda m, x: nn.Hardtanh(-0.2, 0.5)(m.again(x)),
    ),
    "clamp above": (lambda m, x: m.again(x).clamp(min=0), lambda m, x: F.relu(m.again(x))),
    "clamp below": (
        lambda m, x: torch.clamp(m.again(x), max=0.2),
        lambda m, x: nn.Hardtanh(-math.inf, 0.2)(m.again(x)),
    ),
    "clip": (lambda m, x: m.again(x).clip(0, 1), lambda m, x: nn.Hardtanh(0, 1)(m.again(x))),
    "clamp_min": (lambda m, x: m.again(x).clamp_min(0), lambda m, x: F.relu(m.again(x))),
    "clamp_max": (
        lambda m, x: m.again(x).clamp_max(0.1),
        lambda m, x: nn.Hardtanh(-math.inf, 0.1)(m.again(x)),
    ),
    "in place": (lambda m, x: m.again(x).clamp_(-1, 1), lambda m, x: nn.Hardtanh()(m.again(x))),
    "relu in place": (lambda m, x: m.again(x).relu_(), lambda m, x: F.relu(m.again(x))),
    "hardtanh": (
        lambda m, x: F.hardtanh(m.again(x), -0.5),
        lambda m, x: nn.Hardtanh(-0.5)(m.again(x)),
    ),
    "relu6": (lambda m, x: F.relu6(m.again(x)), lambda m, x: nn.ReLU6()(m.again(x))),
    "softplus": (lambda m, x: F.softplus(m.again(x), 2), lambda m, x: nn.Softplus(2)(m.again(x))),
    "mish": (lambda m, x: F.mish(m.again(x)), lambda m, x: nn.Mish()(m.again(x))),
    "layer_norm": (
        lambda m, x: F.layer_norm(m.again(x), (UNITS,), m.norm.weight, m.norm.bias, m.norm.eps),
        lambda m, x: m.norm(m.again(x)),
    ),
    "layer_norm alone": (
        lambda m, x: F.layer_norm(m.again(x), [UNITS]),
        lambda m, x: nn.LayerNorm(UNITS, elementwise_affine=False)(m.again(x)),
    ),
    "group_norm": (
        lambda m, x: F.group_norm(m.again(x), 2, m.group.weight, m.group.bias),
        lambda m, x: m.group(m.again(x)),
    ),
    "convolution": (
        lambda m, x: F.conv1d(x[:, None], m.again.weight[:, None], m.again.bias)[..., 0],
        lambda m, x: m.again(x),
    ),
    "prelu": (
        lambda m, x: m.slope(m.again(x)),
        lambda m, x: F.relu(m.again(x)) - m.slope.weight * F.relu(-m.again(x)),
    ),
    "prelu of channels": (
        lambda m, x: m.slopes(m.again(x)),
        lambda m, x: F.relu(m.again(x)) - m.slopes.weight * F.relu(-m.again(x)),
    ),
    "stacked mean": (
        lambda m, x: torch.stack([x, m.again(x)]).mean(0),
        lambda m, x: (x + m.again(x)) / 2,
    ),
    "stacked sum": (
        lambda m, x: torch.stack((x, m.again(x)), dim=0).sum(dim=0),
        lambda m, x: x + m.again(x),
    ),
    "stacked twice": (
        lambda m, x: both(torch.stack([x, m.again(x)])),
        lambda m, x: 1.5 * (x + m.again(x)),
    ),
    "largest": (
        lambda m, x: x.view(-1, 2, 3).amax(1),
        lambda m, x: torch.maximum(x[:, :3], x[:, 3:]),
    ),
    "max": (
        lambda m, x: x.view(-1, 2, 3).max(dim=1, keepdim=True).values,
        lambda m, x: torch.maximum(x[:, :3], x[:, 3:]),
    ),
    "torch.max": (
        lambda m, x: torch.max(m.again(x).view(-1, 2, 3), 1)[0],
        lambda m, x: torch.maximum(m.again(x)[:, :3], m.again(x)[:, 3:]),
    ),
    "masked": (lambda m, x: x.masked_fill(m.mask, 0.5), lambda m, x: x * ~m.mask + 0.5 * m.mask),
    "masked in place": (
        lambda m, x: m.again(x).masked_fill_(m.mask, 0),
        lambda m, x: m.again(x) * ~m.mask,
    ),
    "where": (
        lambda m, x: torch.where(m.mask, x, m.again(x)),
        lambda m, x: x * m.mask + m.again(x) * ~m.mask,
    ),
    "where a number": (lambda m, x: x.where(m.mask, 0), lambda m, x: x * m.mask),
    "written": (lambda m, x: written(m.again(x)), lambda m, x: m.again(x) * (torch.arange(6) > 2)),
    "assembled": (
        lambda m, x: assembled(x, m.again(x)),
        lambda m, x: torch.cat([x[:, :1], torch.ones_like(x[:, :1]), m.again(x)[:, 2:]], 1),
    ),
}


def both(stacked: Tensor) -> Tensor:
    return stacked.mean(0) + stacked.sum(0)


def written(x: Tensor) -> Tensor:
    x[:, :3] = 0
    return x


def assembled(a: Tensor, b: Tensor) -> Tensor:
    """Parts of two values, written over ones; what was there between is used."""
    whole = torch.ones_like(a)
    whole[:, :1] = a[:, :1]
    before = whole * 1
    whole[:, 2:] = b[:, 2:]
    return torch.cat([before[:, :2], whole[:, 2:]], 1)


@pytest.mark.parametrize("rule", [Epsilon(1e-9), Rescale()])
@pytest.mark.parametrize("case", ALIKE)
def test_a_function_learns_as_what_it_is_written_out_as(case: str, rule: Rule) -> None:
    function, other = ALIKE[case]
    if "prelu" in case and isinstance(rule, Rescale):
        pytest.skip("its eps is of each activation, and there are two")
    one, net = between(function), between(other)
    net.load_state_dict(one.state_dict())
    found = assert_alike(one, net, rule)
    names = {"layer_norm": "norm", "group_norm": "group", "prelu": "slope"}
    if case in names:
        assert found[f"{names[case]}.weight"].any()


MASK = torch.tensor([[True, False, True], [True, True, False]])
ATTENTION: dict[str, tuple[dict[str, Any], Callable[[Tensor], Tensor], float]] = {
    "plain": ({}, lambda s: s, 3**-0.5),
    "scaled": ({"scale": 0.2}, lambda s: s, 0.2),
    "causal": (
        {"is_causal": True},
        lambda s: s + torch.full((2, 2), -math.inf).triu(1),
        3**-0.5,
    ),
    "masked": (
        {"attn_mask": torch.tensor([[True, False], [True, True]])},
        lambda s: s.masked_fill(torch.tensor([[False, True], [False, False]]), -math.inf),
        3**-0.5,
    ),
    "biased": (
        {"attn_mask": torch.tensor([[0.0, 1.0], [-1.0, 0.5]])},
        lambda s: s + torch.tensor([[0.0, 1.0], [-1.0, 0.5]]),
        3**-0.5,
    ),
}


@pytest.mark.parametrize("rule", [Epsilon(), Epsilon(product="signal"), Rescale()])
@pytest.mark.parametrize("case", ATTENTION)
def test_attention_is_its_products_and_softmax(case: str, rule: Rule) -> None:
    options, changed, scale = ATTENTION[case]

    def attend(m: Any, x: Tensor) -> Tensor:
        given: dict[str, Any] = {
            k: v.to(x.dtype) if torch.is_tensor(v) and v.is_floating_point() else v
            for k, v in options.items()
        }
        k = m.again(x.flatten(1)).view_as(x)
        return F.scaled_dot_product_attention(x, k, x, **given)

    def by_hand(m: Any, x: Tensor) -> Tensor:
        k = m.again(x.flatten(1)).view_as(x)
        return changed((x * scale) @ k.mT).softmax(-1) @ x

    one, other = between(attend, (2, 3)), between(by_hand, (2, 3))
    other.load_state_dict(one.state_dict())
    found = assert_alike(one, other, rule)
    assert bool(found["again.weight"].any()) != (rule.product == "signal")


def test_scores_that_a_forward_masks_itself() -> None:
    net = between(
        lambda m, x: (
            (x.mT @ x)
            .masked_fill(~torch.ones(3, 3, dtype=torch.bool).tril(), -math.inf)
            .softmax(-1)
            @ x.mT
        ),
        (2, 3),
    )
    spikes, found = run(TemporalLFP(net), X)
    assert spikes.any() and torch.equal(spikes, stepped(net, X)) and found["fc.weight"].any()


def test_attention_over_channels_as_cbam_has_it() -> None:
    def cbam(m: Any, x: Tensor) -> Tensor:
        pooled = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        return x * torch.sigmoid(m.gate(pooled.mT)).mT

    net = between(cbam, (2, 3))
    for backend in BACKENDS:
        spikes, found = run(TemporalLFP(net, backend=backend), X)
        assert spikes.any() and torch.equal(spikes, stepped(net, X))
        assert found["gate.weight"].all()


@pytest.mark.parametrize("dims", [(1,), (-1,), (1, 2)])
@pytest.mark.parametrize("keepdim", [False, True])
def test_relevance_of_a_maximum_is_conserved(dims: tuple[int, ...], keepdim: bool) -> None:
    """Equal values share it evenly, also where all are silent."""
    x = trains(4, 2, 3, 5, density=0.5)
    stage = MaximumOver("max", dims, keepdim)
    tape = Tape(4, 2, None, {}, record=True, dtype=x.dtype)
    value = stage.forward(tape, x)
    credit = torch.randn(value.shape, generator=torch.Generator().manual_seed(0)).double()
    (found,) = stage.backward(tape, credit, Feedback(), {}, [x.shape])
    assert isinstance(found, Tensor)
    axes = [dim % 3 + 1 for dim in dims]
    assert torch.equal(value, x.amax(axes, keepdim))
    assert_near(found.sum(axes, keepdim).view_as(credit), credit, 1e-12)
    assert_near((x * found).sum(), (value * credit).sum(), 1e-12)
    best = x.amax(axes, keepdim=True)
    assert not found[x != best].any()
    equal = torch.where(x == best, found, math.nan).nanmean(axes, keepdim=True).expand_as(x)
    assert_near(found[x == best], equal[x == best], 1e-12)


def test_a_slope_has_no_trace() -> None:
    with pytest.raises(NetworkError, match="none for which there are traces"):
        TemporalLFP(between(lambda m, x: m.slope(m.again(x)))).online()


REFUSED: dict[str, tuple[Function, str]] = {
    "comparison": (lambda m, x: x > 0, r"'gt'.*no rule: it compares values; a step is lfp_snn\."),
    "power": (lambda m, x: x**2, r"'pow'.*x \* x"),
    "size": (lambda m, x: x.abs(), r"F\.relu\(x\) \+ F\.relu\(-x\)"),
    "minimum": (lambda m, x: x.view(-1, 2, 3).amin(1), r"-\(-x\)\.amax\(dim\)"),
    "norm": (lambda m, x: F.normalize(x), "nn.LayerNorm"),
    "slope as a function": (lambda m, x: F.prelu(x, m.slope.weight), "hold an nn.PReLU"),
    "place of a maximum": (
        lambda m, x: m.again(x).view(-1, 2, 3).max(1)[1].to(x.dtype),
        "gives the places of maxima.*x.amax",
    ),
    "over samples": (lambda m, x: x - x.amax(0), "takes the maximum over samples"),
    "of all": (lambda m, x: x - x.amax(), "calls 'amax'"),
    "bounds that are values": (lambda m, x: x.clamp(max=m.again(x)), "calls 'clamp'"),
    "stacked and kept": (
        lambda m, x: torch.stack([x, x])[0] + torch.stack([x, x]).mean(0),
        "mixes samples",
    ),
    "softmax in another type": (
        lambda m, x: F.softmax(x, 1, dtype=torch.float64),
        "calls 'softmax'",
    ),
    "dropout in attention": (
        lambda m, x: F.scaled_dot_product_attention(
            x[:, None], x[:, None], x[:, None], dropout_p=0.2
        ),
        "leave dropout_p at 0",
    ),
    "scale that is computed": (
        lambda m, x: F.layer_norm(x, (UNITS,), m.norm.weight.exp()),
        "calls 'layer_norm'",
    ),
    "view that is written to": (lambda m, x: views(1 * x), "uses a view as well"),
    "slice changed beside another": (lambda m, x: slices(1 * x), "uses a view as well"),
}


def views(x: Tensor) -> Tensor:
    view = x[:, :3]
    x[:, :2] = 0
    return torch.cat([view, x[:, 3:]], 1)


def slices(x: Tensor) -> Tensor:
    view = x[:, :3]
    x[:, :2] *= 2
    return torch.cat([view, x[:, 3:]], 1)


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_rule_says_what_to_do(case: str) -> None:
    function, message = REFUSED[case]
    net = between(lambda m, x: x)
    net.function = function
    with pytest.raises(LfpSnnError, match=message):
        TemporalLFP(net).forward(X)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.MultiheadAttention(4, 2), r"q, k and v as nn.Linear.*F\.scaled_dot_product_attention"),
        (nn.TransformerEncoderLayer(4, 2), "nn.LayerNorm and F.scaled_dot_product_attention"),
        (nn.Embedding(4, 4), r"one-hot.*nn\.Linear\(num_embeddings, embedding_dim, bias=False\)"),
    ],
)
def test_layers_of_several_say_what_they_consist_of(layer: nn.Module, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        TemporalLFP(nn.Sequential(nn.Linear(4, 4), layer, leaky()))
