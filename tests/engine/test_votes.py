"""Means of spikes as the output: under rules that take credit it reaches silent voters, ungated.

Held against the oracle, and against the same neurons as the output themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lfp_snn import TemporalLFP
from lfp_snn.activations import Step
from lfp_snn.errors import NetworkError, ShapeError
from lfp_snn.rewards import RateCoded, SoftmaxRate
from lfp_snn.rules import Assignment, Composite, Epsilon, Flat, Rescale
from tests import oracle
from tests.crossed import crossed
from tests.engine.compare import (
    assert_feedback_equal,
    assert_near,
    currents,
    feedback_of,
    leaky,
    signals,
    strong,
    trains,
)
from tests.engine.test_rescale import CARRIES, FORMS, RESETS, for_oracle
from tests.engine.test_stepped import CASES, make
from tests.oracle_modules import add_module, readout

LENGTHS = torch.tensor([7, 1, 4])
LEARNS = {"learn_beta": True, "learn_threshold": True}


def voting(*tail: nn.Module, voters: int = 2, **neurons: Any) -> Any:
    """Three classes with so many voters each, of which the tail takes the mean; float64."""
    layers = [nn.Linear(6, 5), leaky(**LEARNS), nn.Linear(5, 3 * voters)]
    behind = tail or (nn.AvgPool1d(voters),)
    return strong(nn.Sequential(*layers, leaky(**LEARNS | neurons), *behind), seed=3)


def units(*tail: nn.Module) -> Any:
    """The same with constants that do not learn, which the event kernels serve."""
    layers = [nn.Linear(6, 9), leaky(), nn.Linear(9, 6), leaky(threshold=0.5)]
    return strong(nn.Sequential(*layers, *tail))


def maps(*tail: nn.Module) -> Any:
    """Three maps of 3 x 3, of which the tail takes the mean; float64."""
    layers = [nn.Conv2d(1, 2, 2), leaky(), nn.Conv2d(2, 3, 2), leaky(threshold=0.4)]
    return strong(nn.Sequential(*layers, *tail, nn.Flatten()), seed=5)


class Mean(nn.Module):
    """A mean over axes that a forward takes by itself."""

    def __init__(self, *dims: int, keepdim: bool = False) -> None:
        super().__init__()
        self.dims, self.keepdim = dims, keepdim

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(self.dims, keepdim=self.keepdim)


def by_tail(slow: oracle.Network, net: Any) -> None:
    """The stages of the oracle; a mean is a pool over all places."""
    source: oracle.Node = slow.input
    for name, module in net.named_children():
        wide = nn.AdaptiveAvgPool2d(1) if isinstance(module, Mean) else module
        source = add_module(slow, source, wide, name)
    readout(slow)


def assert_equal_to_oracle(
    net: nn.Module,
    x: Tensor,
    rule: Rescale | Epsilon | Composite,
    *,
    as_credit: bool = True,
    memory: Any = None,
    **options: Any,
) -> None:
    lfp = TemporalLFP(net, rule, **memory or {"backend": "torch"})
    rules = {name: for_oracle(each) for name, each in lfp.rules.items()}
    slow = oracle.Network(net, tuple(x.shape[2:]), rules=rules)
    by_tail(slow, net)
    lengths, state = options.get("lengths"), options.get("state", {})
    start = {name: w.numpy() for name, w in state.items()}
    expected = slow.run(x.numpy(), None if lengths is None else lengths.tolist(), start)
    values = torch.from_numpy(expected).flatten(2)
    assert values.any() and not values.all()
    reward = signals(values)
    slow.send_back(reward.numpy(), as_credit=as_credit)
    assert_near(lfp.forward(x, **options), values)
    relevance = lfp.backward(reward, input_relevance=True, as_credit=as_credit)
    assert relevance is not None
    assert_near(relevance, torch.from_numpy(slow.input.relevance))
    assert_feedback_equal(net, slow, ())


# ------------------------------------------------------------------------ against the oracle


@crossed(("reset, delay", RESETS), ("rule", FORMS))
def test_voters_equal_the_oracle(rule: Rescale, reset: str, delay: bool) -> None:
    net = voting(reset_mechanism=reset, reset_delay=delay)
    state = {"1": 2 * currents(3, 5, seed=5), "3": 2 * currents(3, 6, seed=6)}
    options: dict[str, Any] = {"lengths": LENGTHS, "state": state}
    for memory in (None, {"backend": "torch", "memory": "chunked", "chunk": 3}):
        assert_equal_to_oracle(net, trains(7, 3, 6), rule, memory=memory, **options)


@pytest.mark.parametrize("rule", [Epsilon(0.1), *CARRIES], ids=repr)
@pytest.mark.parametrize(
    "tail",
    [
        (nn.AdaptiveAvgPool1d(3),),
        (nn.Unflatten(1, (1, 6)), nn.AvgPool1d(2), nn.Flatten()),
        (nn.AvgPool1d(4, 1),),
        (nn.AvgPool1d(2), nn.Dropout(0.5).eval(), nn.Identity()),
    ],
    ids=str,
)
def test_tails_equal_the_oracle(tail: tuple[nn.Module, ...], rule: Rescale | Epsilon) -> None:
    as_credit = isinstance(rule, Rescale)
    assert_equal_to_oracle(voting(*tail), trains(7, 3, 6), rule, as_credit=as_credit)


@pytest.mark.parametrize("rule", [Epsilon(0.1), *CARRIES], ids=repr)
@pytest.mark.parametrize(
    "tail",
    [nn.AvgPool2d(3), nn.AdaptiveAvgPool2d(1), Mean(2, 3), Mean(-1, -2, keepdim=True)],
    ids=str,
)
def test_pooled_maps_equal_the_oracle(tail: nn.Module, rule: Rescale | Epsilon) -> None:
    as_credit = isinstance(rule, Rescale)
    assert_equal_to_oracle(maps(tail), trains(7, 3, 1, 5, 5), rule, as_credit=as_credit)


class Ensemble(nn.Module):
    """The mean of two populations, of which one has voters."""

    def __init__(self) -> None:
        super().__init__()
        self.many = nn.Sequential(nn.Linear(6, 6), leaky(), nn.AvgPool1d(2))
        self.one = nn.Sequential(nn.Linear(6, 3), leaky())

    def forward(self, x: Tensor) -> Tensor:
        mean: Tensor = (self.many(x) + self.one(x)) / 2
        return mean


def test_two_populations_vote_together() -> None:
    net: Any = strong(Ensemble())
    lfp = TemporalLFP(net, Rescale(), "torch")
    slow = oracle.Network(net, (6,), rules={n: for_oracle(each) for n, each in lfp.rules.items()})
    ends = [add_module(slow, slow.input, getattr(net, n), n) for n in ("many", "one")]
    slow.combine(*((0.5, end) for end in ends))
    readout(slow)
    x = trains(7, 2, 6)
    values = torch.from_numpy(slow.run(x.numpy()))
    reward = signals(values)
    slow.send_back(reward.numpy(), as_credit=True)
    assert_near(lfp.forward(x), values)
    lfp.backward(reward)
    assert_feedback_equal(net, slow, ())


# ------------------------------------------------------------ against neurons as the output


@crossed(("kind, reset, delay", CASES), ("rule", [*CARRIES, Rescale("window")]))
def test_one_voter_for_each_class_is_the_output_itself(
    rule: Rescale, kind: str, reset: str, delay: bool
) -> None:
    """Every kind of neurons: what arrives behind a mean over one is what arrives at the output."""
    net: Any = nn.Sequential(*make(kind, reset, delay)).double()
    voters: Any = nn.Sequential(*net, nn.AvgPool1d(1))
    x, found = trains(9, 3, 6, density=0.5), []
    for each in (net, voters):
        each[1].output = each is net
        lfp = TemporalLFP(each, rule, "torch")
        out = lfp.forward(x, lengths=torch.tensor([9, 6, 3]))
        lfp.backward(signals(out))
        found.append(feedback_of(net))
    assert any(total.any() for total in found[0].values())
    for name, total in found[0].items():
        assert_near(found[1][name], total)


def test_steps_vote_too() -> None:
    found = []
    for unit in (Step(0.5), leaky(threshold=0.5)):
        net = strong(nn.Sequential(nn.Linear(6, 6), unit, nn.AvgPool1d(2)))
        lfp = TemporalLFP(net, Rescale("window"), "torch")
        values = lfp.forward(currents(1, 4, 6))
        lfp.backward(signals(values))
        found.append(feedback_of(net)["0.weight"])
        assert found[-1].any()
    assert_near(found[0], found[1])


# ------------------------------------------------------------------------------- silence


def quiet(net: Any, *classes: int) -> None:
    """Make the voters of some classes silent, far below their threshold."""
    last = [module for module in net if isinstance(module, nn.Linear)][-1]
    voters = last.out_features // 3
    with torch.no_grad():
        for each in classes:
            last.bias[each * voters : (each + 1) * voters] = -5.0


@pytest.mark.parametrize("backend", ["torch", "events"])
@pytest.mark.parametrize("reward", [RateCoded(at_silence=True), SoftmaxRate(at_silence=True)])
def test_a_silent_class_is_asked_to_speak(reward: Any, backend: str) -> None:
    net = voting(nn.Unflatten(1, (1, 6)), nn.AvgPool1d(2), nn.Flatten())
    for constant in (net[1].beta, net[1].threshold, net[3].beta, net[3].threshold):
        constant.requires_grad_(False)
    quiet(net, 1)
    x, labels = trains(7, 2, 6), torch.tensor([1, 1])
    lfp = TemporalLFP(net, Rescale(), backend)
    values = lfp.forward(x)
    assert not values[..., 1].any() and values.any()
    lfp.backward(reward(values, labels))
    of_bias = feedback_of(net)["2.bias"]
    assert (of_bias[2:4] > 0).all()
    # As published nothing reaches them, whatever enters.
    lfp = TemporalLFP(net, Epsilon(0.1), backend)
    values = lfp.forward(x)
    lfp.backward(signals(values))
    of_bias = feedback_of(net)["2.bias"]
    assert not of_bias[2:4].any() and of_bias.any()


# ------------------------------------------------------------------------------- backends


@pytest.mark.parametrize("rule", [Epsilon(0.1), *CARRIES, Rescale("window")], ids=repr)
@pytest.mark.parametrize(
    "build",
    [
        lambda: units(nn.AvgPool1d(2)),
        lambda: units(nn.Unflatten(1, (1, 6)), nn.AvgPool1d(2), nn.Flatten()),
        lambda: maps(nn.AvgPool2d(3)),
        lambda: maps(nn.AdaptiveAvgPool2d(1)),
        lambda: maps(Mean(2, 3)),
    ],
    ids=["units", "map", "pool", "adaptive", "mean"],
)
def test_events_are_equal(build: Callable[[], Any], rule: Rescale | Epsilon) -> None:
    net = build()
    x = trains(7, 3, *((6,) if isinstance(net[0], nn.Linear) else (1, 5, 5)))
    found = []
    for backend in ("torch", "events"):
        for memory in ({}, {"memory": "chunked", "chunk": 4}):
            lfp = TemporalLFP(net, rule, backend, **memory)  # type: ignore[arg-type]
            values = lfp.forward(x, lengths=LENGTHS)
            relevance = lfp.backward(signals(values), input_relevance=True)
            assert relevance is not None
            found.append(feedback_of(net) | {"input": relevance})
        assert ("0" in lfp.kernels) == (backend == "events")
        voters = "3" in lfp.kernels  # the gate of the kernels is not for them
        assert voters == (backend == "events" and isinstance(rule, Epsilon))
    for each in found[1:]:
        for name, total in found[0].items():
            assert_near(each[name], total)


def test_a_rule_for_one_pass_that_credits_voters_is_refused_on_events() -> None:
    lfp = TemporalLFP(maps(nn.AvgPool2d(3)), Epsilon(0.1), "events")
    values = lfp.forward(trains(4, 2, 1, 5, 5))
    with pytest.raises(NetworkError, match=r"layer '2'.*backend='torch'"):
        lfp.backward(signals(values), rule=Rescale())


# ------------------------------------------------------------------------------- who votes


def tail_of(net: nn.Module) -> list[str]:
    return [each.name for each in TemporalLFP(net).reference.voters()]


def test_who_votes() -> None:
    assert tail_of(voting()) == ["3"]
    assert sorted(tail_of(strong(Ensemble()))) == ["many.1", "one.1"]
    assert tail_of(nn.Sequential(nn.Linear(6, 3), leaky())) == []  # neurons are the output
    assert tail_of(nn.Sequential(nn.Linear(6, 5), leaky(), nn.Linear(5, 3))) == []
    assert tail_of(nn.Sequential(nn.Linear(6, 6), leaky(), nn.MaxPool1d(2))) == []
    assert tail_of(nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.AvgPool1d(2))) == []
    assert tail_of(nn.Sequential(nn.AvgPool1d(2))) == []
    pooled = [nn.Linear(6, 6), leaky(), nn.AvgPool1d(2)]
    assert tail_of(nn.Sequential(*pooled, leaky())) == []  # no synapse between


def test_when_the_reward_is_credit() -> None:
    net = voting()
    last = Composite((Assignment(Rescale(), position="last"),), Epsilon(0.1))
    for rule, expected in ((Rescale(), True), (Epsilon(0.1), False), (last, True)):
        lfp = TemporalLFP(net, rule, "torch")
        assert lfp.votes and lfp.takes_credit(lfp.rules) == expected
    assert_equal_to_oracle(net, trains(7, 3, 6), last)
    hidden = TemporalLFP(nn.Sequential(nn.Linear(6, 5), leaky(), nn.Linear(5, 3)), Rescale())
    assert not hidden.votes and not hidden.takes_credit(hidden.rules)


# ------------------------------------------------------------------------------- means


@pytest.mark.parametrize("dims", [(1,), (-1,), (1, 2), ()])
def test_a_mean_may_stand_anywhere(dims: tuple[int, ...]) -> None:
    """Spikes ``[B, 2, 3]`` by their means; under Flat relevance is handed through it too."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.spike = nn.Linear(6, 6), leaky()
            self.last, self.out = nn.Linear(2 if dims == (-1,) else 3, 3), leaky(threshold=0.4)

        def forward(self, x: Tensor) -> Tensor:
            spikes: Tensor = self.spike(self.first(x)).view(-1, 2, 3)
            pooled = spikes.mean(dims or 1, keepdim=len(dims) == 2)
            if len(dims) == 2:
                pooled = (pooled + spikes).mean(dim=1)
            out: Tensor = self.out(self.last(pooled))
            return out

    net: Any = strong(Net())
    x = trains(7, 2, 6, density=0.6)
    for rule in (Epsilon(0.1), Rescale(), Composite((Assignment(Flat(), name="last"),), Epsilon())):
        lfp = TemporalLFP(net, rule, "torch")
        spikes = lfp.forward(x)
        assert spikes.any()
        relevance = lfp.backward(signals(spikes), input_relevance=True)
        assert relevance is not None and relevance.any()
        spread = lfp.neuron_relevance["spike"]
        assert spread.any()


class Whole(nn.Module):
    def __init__(self, *arguments: Any) -> None:
        super().__init__()
        self.first, self.spike, self.arguments = nn.Linear(6, 6), leaky(), arguments

    def forward(self, x: Tensor) -> Tensor:
        spikes: Tensor = self.spike(self.first(x))
        return spikes.mean(*self.arguments)


@pytest.mark.parametrize("arguments", [(), (0,), (-2,), ((0, 1),)])
def test_a_mean_over_samples_is_refused(arguments: tuple[Any, ...]) -> None:
    lfp = TemporalLFP(Whole(*arguments))
    with pytest.raises(NetworkError, match=r"'mean' takes the mean over samples \(axis 0\)"):
        lfp.forward(torch.ones(3, 2, 6))


def test_a_mean_over_no_axis_is_refused() -> None:
    lfp = TemporalLFP(Whole(2))
    with pytest.raises(ShapeError, match=r"'mean' \(MeanOver\) expects the axes \(2,\)"):
        lfp.forward(torch.ones(3, 2, 6))
