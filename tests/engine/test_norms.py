"""Normalisations: credit through their statistics is what autograd makes of the same credit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from lfp_snn import TemporalLFP
from lfp_snn.engine.feedback import Feedback
from lfp_snn.engine.network import TracedNetwork
from lfp_snn.engine.norms import Normalisation
from lfp_snn.engine.options import EngineOptions
from lfp_snn.engine.stage import Tape
from lfp_snn.errors import ConfigError, NetworkError, ShapeError
from lfp_snn.norms import PerStep, with_statistics
from lfp_snn.rules import Rescale
from tests.crossed import crossed
from tests.engine.compare import assert_near, currents, feedback_of, leaky, run, strong, trains

T, B = 5, 4
FLAT, MAPS, IMAGES = (6,), (4, 5), (4, 3, 2)
KINDS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "batch": (lambda: nn.BatchNorm1d(6), FLAT),
    "batch, not affine": (lambda: nn.BatchNorm1d(6, affine=False), FLAT),
    "batch 1d": (lambda: nn.BatchNorm1d(4), MAPS),
    "batch 2d": (lambda: nn.BatchNorm2d(4), IMAGES),
    "per step": (lambda: snn.BatchNormTT1d(6, T), FLAT),
    "per step 2d": (lambda: PerStep(snn.BatchNormTT2d(4, T + 1)), IMAGES),
    "layer": (lambda: nn.LayerNorm(6), FLAT),
    "layer, two axes": (lambda: nn.LayerNorm((3, 2)), IMAGES),
    "group": (lambda: nn.GroupNorm(2, 4), IMAGES),
    "group, flat": (lambda: nn.GroupNorm(3, 6), FLAT),
    "instance 1d": (lambda: nn.InstanceNorm1d(4, affine=True), MAPS),
    "instance 2d": (lambda: nn.InstanceNorm2d(4), IMAGES),
}


def drawn(kind: str) -> tuple[nn.Module, tuple[int, ...]]:
    """A module of that kind in float64 with random scale and shift, and the shape of a frame."""
    make, shape = KINDS[kind]
    module = make().double()
    draw = torch.Generator().manual_seed(3)
    for parameter in module.parameters():
        parameter.data = 0.5 + torch.rand(parameter.shape, generator=draw, dtype=torch.float64)
    return module, shape


def called(module: nn.Module, x: Tensor, alive: Tensor) -> Tensor:
    """The module as torch runs it on the frames that count; zero elsewhere."""
    if isinstance(module, nn.ModuleList | PerStep):
        norms: Any = module.norms if isinstance(module, PerStep) else module
        steps = [norms[t](x[t][alive[t]]) for t in range(len(x))]
        return torch.cat(steps)
    y: Tensor = module(x[alive])
    return y


def stage_of(module: nn.Module, statistics: Any = "through") -> Normalisation:
    """The stage that stands for a module."""
    net = nn.Sequential(module, leaky())
    traced = TracedNetwork(net, None, EngineOptions("torch", statistics=statistics), None)
    stage = traced.reference.nodes[0].stage
    assert isinstance(stage, Normalisation)
    return stage


@crossed(
    ("kind", list(KINDS)),
    (
        "constant, lengths",
        [(False, None), (False, [5, 2, 3, 5]), (True, None), (True, [5, 2, 3, 5])],
    ),
)
def test_credit_through_statistics_is_that_of_autograd(
    kind: str, constant: bool, lengths: list[int] | None
) -> None:
    module, shape = drawn(kind)
    x = currents(1 if constant else T, B, *shape)
    own = torch.tensor([T] * B if lengths is None else lengths)
    alive = torch.arange(T)[:, None] < own
    credit = currents(T, B, *shape, seed=4) * alive.view(T, B, *(1,) * len(shape))
    leaf = x.clone().requires_grad_()
    expected = called(module, leaf.expand(T, *leaf.shape[1:]), alive)
    expected.backward(credit[alive])  # type: ignore[no-untyped-call]
    given = dict(module.named_parameters())
    gradients = {name: p.grad for name, p in given.items() if p.grad is not None}

    stage = stage_of(module)
    tape = Tape(T, B, None if lengths is None else own, {}, record=True, dtype=torch.float64)
    y = stage.forward(tape, x)
    assert isinstance(y, Tensor)
    assert_near(y.expand(T, *y.shape[1:])[alive], expected.detach(), 1e-12)
    feedback = Feedback()
    arrived = credit.sum_to_size(y.shape)
    (found,) = stage.backward(tape, arrived, feedback, {}, [x.shape])
    assert isinstance(found, Tensor)
    assert leaf.grad is not None
    assert_near(found.sum_to_size(x.shape), leaf.grad, 1e-12)
    sums = dict(feedback._sums)
    assert len(sums) >= len(gradients)
    for name, gradient in gradients.items():
        assert_near(sums[given[name]], gradient, 1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_fixed_statistics_hand_on_what_a_linear_layer_does(kind: str) -> None:
    module, shape = drawn(kind)
    stage = stage_of(module, "fixed")
    tape = Tape(T, B, None, {}, record=True, dtype=torch.float64)
    x, credit = currents(T, B, *shape), currents(T, B, *shape, seed=4)
    y = stage.forward(tape, x)
    (found,) = stage.backward(tape, credit, Feedback(), {}, [x.shape])
    mean, inverse = tape.kept[stage][1:3]
    shift = stage.wide(tape, "bias", x)
    apart = x - mean
    risen = y - (0 if shift is None else shift)
    assert isinstance(found, Tensor)
    assert_near(found * apart, credit * risen, 1e-12)
    assert inverse.min() > 0


@pytest.mark.parametrize("kind", ["batch", "per step"])
def test_running_statistics_are_fixed_either_way(kind: str) -> None:
    found = []
    for statistics in ("fixed", "through"):
        module, _ = drawn(kind)
        net = strong(nn.Sequential(nn.Linear(5, 6), module, leaky(), nn.Linear(6, 3), leaky()))
        lfp = TemporalLFP(net.eval(), statistics=statistics)
        found.append(run(lfp, trains(T, B, 5))[1])
    for name, value in found[0].items():
        assert torch.equal(value, found[1][name])


class Halves:
    """Exchange of two processes that run one after the other: the first is told of the second."""

    def __init__(self, others: list[Tensor]) -> None:
        self.others = others
        self.own: list[Tensor] = []

    def sum(self, part: Tensor) -> Tensor:
        self.own.append(part.clone())
        k = len(self.own) - 1
        return part + self.others[k] if k < len(self.others) else part

    def add(self, part: Tensor | None, like: Tensor) -> None:
        raise AssertionError("no feedback is exchanged here")

    def collect(self) -> list[Tensor | None]:
        return []


@pytest.mark.parametrize("lengths", [None, [5, 2, 3, 1]], ids=["whole", "lengths"])
@pytest.mark.parametrize("kind", ["batch", "batch 2d", "per step", "per step 2d"])
def test_two_processes_find_what_one_does(kind: str, lengths: list[int] | None) -> None:
    module, shape = drawn(kind)
    x, credit = currents(T, B, *shape), currents(T, B, *shape, seed=4)
    own = None if lengths is None else torch.tensor(lengths)

    def send(samples: slice, exchange: Any) -> Tensor:
        stage = stage_of(module)
        mine = None if own is None else own[samples]
        part = x[:, samples]
        tape = Tape(T, part.shape[1], mine, {}, record=True, dtype=x.dtype, exchange=exchange)
        stage.forward(tape, part)
        alive = tape.running(x.dim())
        arrived = credit[:, samples] * (1 if alive is None else alive)
        (found,) = stage.backward(tape, arrived, Feedback(), {}, [part.shape])
        assert isinstance(found, Tensor)
        return found

    whole = send(slice(None), None)
    first, second = slice(0, 3), slice(3, 4)
    # What a process gives on the way back follows from what it heard on the way forward.
    told: list[Tensor] = []
    for _ in range(3):
        one = Halves(told)
        of_first = send(first, one)
        other = Halves(one.own)
        of_second = send(second, other)
        told = other.own
    assert_near(torch.cat([of_first, of_second], 1), whole, 1e-12)


def test_whoever_has_no_sample_adds_nothing_to_the_means() -> None:
    module, shape = drawn("batch")
    stage = stage_of(module)
    exchange: Any = Halves([])
    tape = Tape(0, 0, None, {}, record=False, dtype=torch.float64, exchange=exchange)
    running = module.running_mean.clone()  # type: ignore[operator]
    stage.sit_out(tape)
    stage.sit_out_backward(tape, {}, before=True)
    assert [tuple(each.shape) for each in exchange.own] == [(3, 1, 6), (2, 1, 6)]
    assert not any(each.any() for each in exchange.own)
    assert torch.equal(module.running_mean, running)  # type: ignore[arg-type]
    assert shape == FLAT


@pytest.mark.parametrize("kind", ["per step", "layer", "group, flat"])
@pytest.mark.parametrize("lengths", [None, [5, 2, 3, 4]], ids=["whole", "lengths"])
def test_chunks_of_time_give_the_same(kind: str, lengths: list[int] | None) -> None:
    own = None if lengths is None else torch.tensor(lengths)
    found = []
    for options in ({}, {"memory": "chunked", "chunk": 2}):
        module, _ = drawn(kind)
        net = strong(nn.Sequential(nn.Linear(5, 6), module, leaky(), nn.Linear(6, 3), leaky()))
        lfp = TemporalLFP(net, Rescale(), statistics="through", **options)  # type: ignore[arg-type]
        spikes, feedback = run(lfp, trains(T, B, 5), lengths=own)
        found.append((spikes, feedback, dict(net.named_buffers())))
    (spikes, feedback, buffers), (again, other, same) = found
    assert spikes.any()
    assert torch.equal(spikes, again)
    for name, value in feedback.items():
        assert_near(value, other[name])
    for name, value in buffers.items():
        torch.testing.assert_close(value, same[name])


def test_the_synapse_learns_nothing_that_the_normalisation_cancels() -> None:
    net = strong(
        nn.Sequential(
            nn.Linear(5, 6), nn.BatchNorm1d(6, eps=0.0), leaky(), nn.Linear(6, 3), leaky()
        )
    )
    run(TemporalLFP(net, Rescale(), statistics="through"), trains(T, B, 5))
    feedback = feedback_of(net)
    # A bias and the size of a neuron's weights play no part in what was normalised.
    along = (feedback["0.weight"] * net[0].weight.sign()).sum(1)
    assert feedback["0.weight"].abs().max() > 1e-3
    assert feedback["0.bias"].abs().max() < 1e-12
    assert along.abs().max() < 1e-12


def test_a_list_of_norms_runs_step_by_step_within_per_step() -> None:
    norm = PerStep(snn.BatchNormTT1d(6, T))
    net: Any = strong(
        nn.Sequential(nn.Linear(5, 6), norm, leaky(), nn.Linear(6, 3), leaky(output=True))
    )
    net, x = net.float(), trains(T, B, 5).float()
    spikes = TemporalLFP(net).forward(x)
    stepped = torch.stack([net(frame)[0] for frame in x])
    assert spikes.any()
    assert torch.equal(spikes, stepped)
    with pytest.raises(ShapeError, match=r"normalisations for 5 steps.*rest\(\)"):
        net(x[0])


def test_what_cannot_be_normalised_is_refused() -> None:
    def net(module: nn.Module) -> Any:
        return nn.Sequential(nn.Linear(5, 6), module, leaky()).double()

    with pytest.raises(NetworkError, match=r"'1' \(InstanceNorm1d\) keeps running statistics"):
        TemporalLFP(net(nn.InstanceNorm1d(6, track_running_stats=True)))
    with pytest.raises(NetworkError, match=r"'1' is a list of Linear"):
        TemporalLFP(net(nn.ModuleList([nn.Linear(6, 6)])))
    with pytest.raises(NetworkError, match="no statistics 'thru'; expected fixed, through"):
        TemporalLFP(net(nn.LayerNorm(6)), statistics="thru")  # type: ignore[arg-type]
    short = TemporalLFP(net(snn.BatchNormTT1d(6, 3)))
    with pytest.raises(ShapeError, match=r"for 3 steps, but runs for 5"):
        short.forward(trains(5, B, 5))
    short.forward(trains(3, B, 5))
    with pytest.raises(NetworkError, match="at which one it stands"):
        short.forward(trains(3, B, 5), state=short.state)
    with pytest.raises(NetworkError, match=r"'1' \(LayerNorm\) normalises anew at every step"):
        TemporalLFP(net(nn.LayerNorm(6))).online().step(trains(1, B, 5)[0], torch.zeros(B).long())
    for module, expected in ((nn.LayerNorm(4), r"last axes \(4,\)"), (nn.GroupNorm(2, 4), "4 chan"),
                             (nn.InstanceNorm1d(6), "1-dimensional maps")):  # fmt: skip
        with pytest.raises(ShapeError, match=f"'1' .*{expected}"):
            TemporalLFP(net(module)).forward(trains(5, B, 5))


def test_statistics_that_are_none_are_refused() -> None:
    unknown: Any = "along"
    with pytest.raises(ConfigError, match="no statistics 'along'; expected 'fixed' or 'through'"):
        with_statistics(nn.LayerNorm(3), unknown)
