"""Functions that are linear: each held against the oracle as a list of terms, entry by entry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lfp_snn import TemporalLFP
from lfp_snn.errors import NetworkError
from tests import oracle
from tests.engine.compare import (
    assert_equal_to_oracle,
    assert_near,
    feedback_at,
    leaky,
    strong,
    trains,
)
from tests.oracle_modules import add_module

CHANNELS, SIDE = 2, 4


class Mapped(nn.Module):
    """Neurons, a function of their spikes as maps, then neurons again."""

    def __init__(self, function: Callable[[Any], Any], shape: tuple[int, ...]) -> None:
        super().__init__()
        self.conv, self.lif = nn.Conv2d(1, CHANNELS, 2), leaky(threshold=0.4)
        units = torch.Size(shape).numel()
        self.fc, self.last = nn.Linear(units, 3), leaky(threshold=0.3)
        self.function = function
        self.register_buffer("mask", torch.linspace(-1, 1, SIDE).double())

    def forward(self, x: Tensor) -> Any:
        return self.last(self.fc(self.function(self.lif(self.conv(x))).flatten(1)))


MASK = torch.arange(SIDE**2).view(SIDE, SIDE) % 3 == 0


def written(x: Any) -> Any:
    x[:, 1:, :2] = 2 * x[:, :1, 2:]
    x[..., -1] = 1
    return x


def sliced(x: Any) -> Any:
    """Slices that are changed in place, with and without a look at what that gives."""
    x[:, :1] *= 2
    x[..., 1:] -= x[..., :1]
    x[:, 1].add_(x[:, 0]).mul_(0.5)
    return x


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "mean": lambda x: x.mean((2, 3)),
    "mean by name": lambda x: torch.mean(x, dim=1, keepdim=True),
    "sum": lambda x: x.sum(-1),
    "stack": lambda x: torch.stack([x, 2 * x, x], 1),
    "cat": lambda x: torch.cat([x, -x], dim=1),
    "chunk": lambda x: x.chunk(2, 1)[1],
    "both chunks": lambda x: x.chunk(2, 1)[0] - 2 * x.chunk(2, 1)[1],
    "split": lambda x: torch.split(x, 3, dim=2)[0],
    "unbind": lambda x: x.unbind(1)[1],
    "slice": lambda x: x[:, :, 1:, ::2],
    "index": lambda x: x[:, 1],
    "indices": lambda x: x[:, [1, 0, 1]],
    "select": lambda x: x.select(1, 0),
    "narrow": lambda x: x.narrow(2, 1, 2),
    "transpose": lambda x: x.transpose(1, 2),
    "permute": lambda x: x.permute(0, 3, 1, 2),
    "movedim": lambda x: torch.movedim(x, 1, -1),
    "flip": lambda x: x.flip(3),
    "roll": lambda x: torch.roll(x, 1, 2),
    "pad": lambda x: F.pad(x, (1, 0, 2, 1)),
    "zero pad": lambda x: nn.ZeroPad2d(1)(x),
    "nearest": lambda x: F.interpolate(x, scale_factor=2),
    "bilinear": lambda x: F.interpolate(x, size=(3, 5), mode="bilinear"),
    "upsample": lambda x: nn.Upsample(scale_factor=2)(x),
    "pixel unshuffle": lambda x: F.pixel_unshuffle(x, 2),
    "expand": lambda x: x[:, :1].expand(x.size(0), 3, SIDE, SIDE),
    "repeat": lambda x: x.repeat(1, 2, 1, 1),
    "negative": lambda x: -x,
    "sizes": lambda x: x.view(x.size(0), -1, x.size(3)).sum(2),
    "cumsum": lambda x: x.cumsum(1),
    "float": lambda x: x.double().to(torch.float64).detach() * 0.5,
    "einsum": lambda x: torch.einsum("bchw->bcw", x),
    "pad with ones": lambda x: F.pad(x, (1, 0), value=1.0),
    "stack and mean": lambda x: torch.stack([x, 2 * x, -x.flip(3)]).mean(0),
    "stack and sum": lambda x: torch.stack([x, x.flip(3)]).sum(dim=(0,)),
    "masked_fill": lambda x: x.masked_fill(MASK, 0.5),
    "where": lambda x: torch.where(MASK, x, -x),
    "unfold": lambda x: F.unfold(x, 2, padding=1),
    "fold": lambda x: nn.Fold((4, 4), 2)(nn.Unfold(2)(x)),
    "unfold along an axis": lambda x: x.unfold(2, 2, 1),
    "lerp": lambda x: torch.lerp(x, x.flip(1), 0.3),
    "written": lambda x: written(1 * x),
    "slices in place": lambda x: sliced(1 * x),
    "in place": lambda x: x.mean(1).mul_(3).add_(x.sum(1)),
}


def terms_of(function: Callable[[Tensor], Tensor], source: oracle.Node) -> oracle.Linear:
    """The function as coefficients, found by its value at each unit alone."""
    units = torch.eye(source.units, dtype=torch.float64).view(-1, 1, *source.shape)
    columns = [function(unit.clone())[0].flatten() for unit in units]
    rest = function(torch.zeros_like(units[0]))[0].flatten()
    terms = [oracle.Term(j, None, 0, float(a)) for j, a in enumerate(rest) if a] + [
        oracle.Term(j, source, i, float(a))
        for i, column in enumerate(columns)
        for j, a in enumerate(column - rest)
        if a
    ]
    return oracle.Linear(tuple(function(units[0])[0].shape), terms)


def mapped(function: Callable[[Any], Any]) -> Mapped:
    example = torch.zeros(1, CHANNELS, SIDE, SIDE, dtype=torch.float64)
    return strong(Mapped(function, tuple(function(example).shape[1:])))  # type: ignore[no-any-return]


@pytest.mark.parametrize("case", FUNCTIONS)
def test_linear_functions_equal_the_oracle(case: str) -> None:
    function = FUNCTIONS[case]
    net = mapped(function)

    def wire(slow: oracle.Network) -> None:
        spikes = add_module(slow, slow.input, nn.Sequential(net.conv), "")
        names = {"0.weight": "conv.weight", "0.bias": "conv.bias"}
        assert isinstance(spikes, oracle.Linear)
        spikes.terms = [
            term
            if term.parameter is None
            else term._replace(parameter=term.parameter._replace(name=names[term.parameter.name]))
            for term in spikes.terms
        ]
        changed = slow.add(terms_of(function, add_module(slow, spikes, net.lif, "lif")))
        current = add_module(slow, slow.reshape(changed, (changed.units,)), net.fc, "fc")
        add_module(slow, current, net.last, "last")

    assert_equal_to_oracle(net, trains(4, 2, 1, SIDE + 1, SIDE + 1), wire)


def test_a_fixed_tensor_weighs_without_learning() -> None:
    """It is read anew at every pass, as a parameter is."""

    class Weighed(Mapped):
        def forward(self, x: Tensor) -> Any:
            return self.last(self.fc((self.lif(self.conv(x)) * self.mask).flatten(1)))

    net = strong(Weighed(lambda x: x, (CHANNELS, SIDE, SIDE)))
    x = trains(5, 2, 1, SIDE + 1, SIDE + 1)
    lfp = TemporalLFP(net)
    before = lfp.forward(x)
    assert before.any()
    net.mask.mul_(-1)
    after = lfp.forward(x)
    assert not torch.equal(before, after)
    assert torch.equal(after, TemporalLFP(net).forward(x))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x.div(2, rounding_mode="floor"), "'div' in a way that is not linear"),
        (lambda x: x.flip(0), "'flip' mixes samples"),
        (lambda x: x - x.sum(), "'sum' mixes samples"),
        (lambda x: torch.einsum("bchw,bdhw->cd", x, x), "'einsum' mixes samples"),
        (lambda x: x.pow(2), "calls 'pow'"),
    ],
)
def test_what_is_not_linear_is_refused(function: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        TemporalLFP(strong(Mapped(function, (CHANNELS, SIDE, SIDE)))).forward(
            trains(4, 2, 1, SIDE + 1, SIDE + 1)
        )


@pytest.mark.parametrize("training", [True, False])
def test_dropout_as_a_function_is_the_module(training: bool) -> None:
    net = strong(Mapped(lambda x: F.dropout(x, 0.4, net.training), (CHANNELS, SIDE, SIDE)))
    other = strong(Mapped(nn.Dropout(0.4), (CHANNELS, SIDE, SIDE)))
    found = []
    for each in (net, other):
        torch.manual_seed(2)
        found.append(TemporalLFP(each.train(training)).forward(trains(6, 2, 1, SIDE + 1, SIDE + 1)))
    assert found[0].any()
    assert torch.equal(*found)


TRANSPOSED: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "1d": (nn.ConvTranspose1d(2, 3, 3, stride=2, padding=1, output_padding=1), (2, 4)),
    "2d": (nn.ConvTranspose2d(2, 4, 2, stride=2, groups=2), (2, 3, 3)),
    "dilated": (nn.ConvTranspose2d(1, 2, 2, dilation=2, bias=False), (1, 3, 3)),
    "3d": (nn.Conv3d(1, 2, 2, padding=1), (1, 2, 3, 2)),
}


@pytest.mark.parametrize("case", TRANSPOSED)
def test_other_convolutions_equal_the_linear_layer_of_their_weights(case: str) -> None:
    """Feedback of a weight is the sum over the entries of the matrix that it makes."""
    synapse, shape = TRANSPOSED[case]
    draw = torch.Generator().manual_seed(1)
    for parameter in synapse.parameters():
        parameter.data = torch.randn(parameter.shape, generator=draw).double()
    synapse.double()
    units = torch.Size(shape).numel()
    unit = torch.eye(units, dtype=torch.float64).view(-1, *shape)
    with torch.no_grad():
        silent = synapse(torch.zeros(1, *shape).double())
        matrix = (synapse(unit) - silent).flatten(1)
    dense = nn.Linear(units, matrix.shape[1]).double()
    dense.weight.data, dense.bias.data = matrix.T.clone(), silent.flatten().clone()
    x = trains(5, 3, *shape)
    net = nn.Sequential(synapse, nn.Flatten(), leaky(threshold=0.5))
    plain = TemporalLFP(nn.Sequential(nn.Flatten(), dense, leaky(threshold=0.5)), backend="torch")
    lfp = TemporalLFP(net, backend="torch")
    spikes, expected = lfp.forward(x), plain.forward(x)
    assert expected.any()
    assert torch.equal(spikes, expected)
    reward = torch.randn(expected.shape, generator=draw).double()
    ours = lfp.backward(reward, input_relevance=True)
    theirs = plain.backward(reward, input_relevance=True)
    assert ours is not None
    assert theirs is not None
    assert_near(ours, theirs)
    for name, parameter in synapse.named_parameters():
        total = torch.zeros_like(parameter).flatten()
        kept = parameter.data.clone()
        for k in range(parameter.numel()):  # which entries of the matrix this weight makes
            parameter.data = torch.zeros_like(kept)
            parameter.data.view(-1)[k] = 1
            others = [p for key, p in synapse.named_parameters() if key != name]
            held = [p.data for p in others]
            for other in others:
                other.data = torch.zeros_like(other)
            with torch.no_grad():
                made = synapse(unit).flatten(1).T if name == "weight" else synapse(0 * unit[:1])
            for other, was in zip(others, held, strict=True):
                other.data = was
            made_of: Any = dense.weight if name == "weight" else dense.bias
            of, size = feedback_at(made_of), made_of.detach()
            share = of / size.abs().where(size != 0, torch.ones(()))  # feedback is |p| times a sum
            total[k] = kept.view(-1)[k].abs() * (share * made.reshape(share.shape)).sum()
        parameter.data = kept
        assert_near(feedback_at(parameter).flatten(), total)
