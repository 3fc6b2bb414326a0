"""Parameters that a forward takes itself: scales, embeddings, matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lfp_snn import TemporalLFP
from lfp_snn.errors import NetworkError
from tests import oracle
from tests.engine.compare import (
    assert_equal_to_oracle,
    assert_near,
    assert_same_feedback,
    leaky,
    run,
    strong,
    trains,
)
from tests.oracle import Parameter, Term
from tests.oracle_modules import add_module

UNITS = 6
Function = Callable[[Any, Any], Any]


class Scaled(nn.Module):
    """Neurons, a function of their spikes and of parameters, then neurons again."""

    def __init__(self, function: Function, shape: tuple[int, ...] = (UNITS,)) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(4)
        self.fc, self.lif = nn.Linear(4, UNITS), leaky(threshold=0.3)
        self.scale = nn.Parameter(torch.randn(shape, generator=draw).double())
        self.register_buffer("mask", torch.linspace(-1, 1, UNITS).double())
        self.function = function
        self.out, self.last = nn.Linear(UNITS, 3), leaky(threshold=0.3)

    def forward(self, x: Tensor) -> Any:
        spikes = self.lif(self.fc(x))
        return self.last(self.out(self.function(self, spikes).flatten(1)))


def scaled(function: Function, shape: tuple[int, ...] = (UNITS,)) -> Any:
    net = strong(Scaled(function, shape), seed=2)
    net.out.bias.data += 0.3
    return net


#: The function, the shape of its parameter, and its terms: unit, input unit, coefficient, entry.
TERMS: dict[str, tuple[Function, tuple[int, ...], list[tuple[int, int | None, float, int | None]]]]
TERMS = {
    "a scale of each unit": (
        lambda m, x: x * m.scale,
        (UNITS,),
        [(i, i, 1.0, i) for i in range(UNITS)],
    ),
    "on the left": (lambda m, x: m.scale * x, (UNITS,), [(i, i, 1.0, i) for i in range(UNITS)]),
    "in place": (
        lambda m, x: (2 * x).mul_(m.scale),
        (UNITS,),
        [(i, i, 2.0, i) for i in range(UNITS)],
    ),
    "of each channel": (
        lambda m, x: x.view(-1, 2, 3) * m.scale,
        (2, 1),
        [(i, i, 1.0, i // 3) for i in range(UNITS)],
    ),
    "a number": (lambda m, x: x * m.scale, (), [(i, i, 1.0, 0) for i in range(UNITS)]),
    "an embedding": (
        lambda m, x: x + m.scale,
        (UNITS,),
        [(i, i, 1.0, None) for i in range(UNITS)] + [(i, None, 1.0, i) for i in range(UNITS)],
    ),
    "a part of it": (
        lambda m, x: x.view(-1, 2, 3) - m.scale[:, :3],
        (2, 5),
        [(i, i, 1.0, None) for i in range(UNITS)]
        + [(i, None, -1.0, 5 * (i // 3) + i % 3) for i in range(UNITS)],
    ),
    "a matrix": (
        lambda m, x: x @ m.scale.T,
        (UNITS, UNITS),
        [(j, i, 1.0, j * UNITS + i) for j in range(UNITS) for i in range(UNITS)],
    ),
    "tokens before it": (
        lambda m, x: torch.cat([m.scale.expand(x.size(0), -1), x[:, 2:]], 1),
        (2,),
        [(i, None, 1.0, i) for i in range(2)] + [(i, i, 1.0, None) for i in range(2, UNITS)],
    ),
}


@pytest.mark.parametrize("case", TERMS)
def test_parameters_equal_the_oracle(case: str) -> None:
    function, shape, terms = TERMS[case]
    net = scaled(function, shape)

    def wire(slow: oracle.Network) -> None:
        spikes = add_module(slow, add_module(slow, slow.input, net.fc, "fc"), net.lif, "lif")
        changed = oracle.Linear(
            (UNITS,),
            [Term(j, None if i is None else spikes, i or 0, a, _entry(k)) for j, i, a, k in terms],
        )
        slow.add(changed)
        add_module(slow, add_module(slow, changed, net.out, "out"), net.last, "last")

    assert_equal_to_oracle(net, trains(5, 2, 4, density=0.6), wire)


def _entry(k: int | None) -> Parameter | None:
    return None if k is None else Parameter("scale", k)


DERIVED: dict[str, Callable[[Any], Tensor]] = {
    "sigmoid": lambda m: m.scale.sigmoid(),
    "in steps": lambda m: 6 * m.scale.exp() / m.scale.exp().sum(),
    "in place": lambda m: m.scale.abs().mul_(2).add_(1),
    "with a buffer": lambda m: m.scale * m.mask + 2,
    "a part of two": lambda m: torch.stack([m.scale, m.scale**2]).unbind(0)[1],
}


@pytest.mark.parametrize("case", DERIVED)
def test_what_is_computed_from_a_parameter_trains_it(case: str) -> None:
    """The sum of what it makes, ``sum n du/dq``, is pulled back to ``|p| sum n du/dp``."""
    derive, x = DERIVED[case], trains(5, 2, 4, density=0.6)
    net = scaled(lambda m, x: x * derive(m))
    plain = scaled(lambda m, x: x * m.scale)
    plain.scale.data = derive(net).detach().clone()
    (spikes, found), (same, of_plain) = (run(TemporalLFP(each), x) for each in (net, plain))
    assert spikes.any() and torch.equal(spikes, same)
    (of_scale,) = torch.autograd.grad(
        derive(net), net.scale, of_plain.pop("scale") / plain.scale.detach().abs()
    )
    assert of_scale.any()
    assert_near(found.pop("scale"), net.scale.detach().abs() * of_scale)
    assert_same_feedback(found, of_plain)


@pytest.mark.parametrize("change", ["scale", "mask"])
def test_what_is_computed_is_computed_anew(change: str) -> None:
    net, x = scaled(lambda m, x: x * (m.scale.exp() * m.mask.exp())), trains(5, 2, 4, density=0.6)
    lfp = TemporalLFP(net)
    before = lfp.forward(x)
    with torch.no_grad():
        getattr(net, change).mul_(-2)
    after = lfp.forward(x)
    assert not torch.equal(before, after)
    assert torch.equal(after, TemporalLFP(net).forward(x))


def test_another_parameter_in_its_place_is_seen() -> None:
    net, x = scaled(lambda m, x: x * m.scale), trains(5, 2, 4, density=0.6)
    lfp = TemporalLFP(net)
    before = lfp.forward(x)
    net.scale = nn.Parameter(-2 * net.scale.detach())
    spikes, found = run(lfp, x)
    assert not torch.equal(before, spikes)
    assert found["scale"].any()


def test_what_takes_no_feedback_gets_none() -> None:
    net, x = scaled(lambda m, x: x * m.scale), trains(5, 2, 4, density=0.6)
    net.scale.requires_grad_(False)
    _, found = run(TemporalLFP(net), x)
    assert "scale" not in found and found["fc.weight"].any()


@pytest.mark.parametrize("backend", ["torch", "events"])
def test_chunks_and_lengths_are_the_same(backend: str) -> None:
    net, lengths = scaled(lambda m, x: x * m.scale + m.mask), torch.tensor([9, 4])
    x = trains(9, 2, 4, density=0.6)
    spikes, expected = run(TemporalLFP(net, backend="torch"), x, lengths=lengths)
    lfp = TemporalLFP(net, backend=backend, memory="chunked", chunk=4)
    again, found = run(lfp, x, lengths=lengths)
    assert spikes.any() and torch.equal(spikes, again)
    assert_same_feedback(found, expected)
    rows = {line.split()[0]: line for line in lfp.summary().splitlines()}
    assert "LearnedMap" in rows["mul"] and "scale 6" in rows["mul"]


def test_a_constant_is_added_to_what_the_network_computed() -> None:
    net = scaled(lambda m, x: x + m.mask)
    plain = scaled(lambda m, x: x + m.scale)
    plain.scale.data = net.mask.clone()
    x = trains(5, 2, 4, density=0.6)
    found = [run(TemporalLFP(each), x) for each in (net, plain)]
    assert found[0][0].any() and torch.equal(found[0][0], found[1][0])
    assert found[1][1].pop("scale").any()
    found[0][1].pop("scale", None)
    assert_same_feedback(found[0][1], found[1][1])


STRANGER = nn.Parameter(torch.ones(UNITS).double())


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda m, x: x * STRANGER, r"parameter of shape \(6,\) that is none of the network's"),
        (lambda m, x: torch.einsum("bi,i,bi->bi", x, m.scale, x), "by parameters and by values"),
        (lambda m, x: x * _written(m.scale), "writes parameters into a tensor"),
        (lambda m, x: x * _viewed(m.scale), "takes a view of it"),
        (lambda m, x: torch.maximum(x, m.scale), "calls 'maximum'"),
    ],
)
def test_what_would_not_train_is_refused(function: Function, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        TemporalLFP(scaled(function)).forward(trains(4, 2, 4))


def _written(scale: Tensor) -> Tensor:
    whole = torch.zeros(UNITS, dtype=scale.dtype)
    whole[:] = scale
    return whole


def _viewed(scale: Tensor) -> Tensor:
    whole = scale * 2
    part = whole[:3]
    part.add_(1)
    return whole


def test_steps_with_other_parameters_are_told_apart() -> None:
    """Of the same values, too: what they will be is not known."""

    class Timed(Scaled):
        def __init__(self) -> None:
            super().__init__(torch.mul)
            self.scales = nn.ParameterList(nn.Parameter(torch.ones(UNITS)) for _ in range(4))

        def forward(self, x: Tensor) -> Any:
            found = []
            for t in range(4):
                spikes = self.lif(self.fc(x[t])) * self.scales[t]
                found.append(self.last(self.out(spikes)))
            return torch.stack(found)

    with pytest.raises(NetworkError, match="not the same"):
        TemporalLFP(strong(Timed())).forward(trains(4, 2, 4))


def test_online_has_no_trace_of_it() -> None:
    with pytest.raises(NetworkError, match="'mul' learns scale, for which there is no trace"):
        TemporalLFP(scaled(lambda m, x: x * m.scale)).online()


class Looping(nn.Module):
    """A loop over the sequence, whose first layer is a parameter of the network itself."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(UNITS, 4))
        self.lif, self.out, self.last = leaky(), nn.Linear(UNITS, 3), leaky()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.last(self.out(self.lif(self.function(self, f)))) for f in x])


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: x @ m.w.T,
        lambda m, x: F.linear(x, m.w),
        lambda m, x: torch.einsum("bi,oi->bo", x, m.w),
    ],
)
def test_a_frame_without_batch_is_no_reason_to_refuse_a_loop(function: Function) -> None:
    """A sequence [T, 4] of one sample, on which networks are tried out, has no axis of samples."""
    x = trains(6, 3, 4)
    net = strong(Looping(function))
    net.w.data = 0.6 * torch.randn(UNITS, 4, generator=torch.Generator().manual_seed(1)).double()
    layer = nn.Linear(4, UNITS, bias=False).double()
    layer.weight.data = net.w.data
    same = nn.Sequential(layer, net.lif, net.out, net.last)
    expected, feedback = run(TemporalLFP(same), x)
    for example in (None, x):
        spikes, found = run(TemporalLFP(net, example=example), x)
        assert torch.equal(spikes, expected)
        assert_near(found["w"], feedback["0.weight"])
