"""Rescale, which credits silent neurons: against the oracle, and under autograd as what it is near.

The oracle of leaky neurons is that of all rules; other neurons have one of their own here.
"""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from lfp_snn import TemporalLFP
from lfp_snn.activations import Step
from lfp_snn.errors import ConfigError, NetworkError
from lfp_snn.rewards import RateCoded
from lfp_snn.rules import (
    RULES,
    AlphaBeta,
    Assignment,
    Composite,
    Epsilon,
    Flat,
    Gamma,
    Pass,
    Rescale,
    Rule,
    WSquare,
    ZBox,
    ZPlus,
)
from lfp_snn.rules.rescale import Carry
from tests import oracle
from tests.crossed import crossed
from tests.engine.compare import (
    assert_feedback_equal,
    assert_near,
    csnn,
    currents,
    feedback_at,
    feedback_of,
    leaky,
    mlp,
    signals,
    strong,
    trains,
)
from tests.engine.test_stepped import CASES, make
from tests.engine.test_stepped import oracle as population
from tests.oracle_modules import add_module
from tests.oracle_neurons import Rescaled
from tests.oracle_rules import OracleRule, Rescaling

FORMS = [
    Rescale(gate, carry) for gate in ("positive", "window") for carry in ("reference", "decay")
]
CARRIES = [Rescale(carry="reference"), Rescale(carry="decay")]
RESETS = [("subtract", True), ("subtract", False), ("zero", True), ("zero", False), ("none", True)]
SYNAPSES = (
    Gamma(0.5),
    AlphaBeta(2, 1),
    ZPlus(),
    WSquare(),
    Flat(),
    ZBox(-0.5, 1.5),
)


def for_oracle(rule: Rule) -> OracleRule:
    if isinstance(rule, Rescale):
        own = Rescaling(rule.gate, rule.carry or "reference", rule.eps)  # of Leaky
        return for_oracle(rule.synapse)._replace(rescale=own)
    name = next(name for name, kind in RULES.items() if type(rule) is kind)
    said = {key: value for key, value in asdict(rule).items() if key != "product"}
    return OracleRule(name, **said)


def assert_equal_to_oracle(
    net: nn.Module,
    x: Tensor,
    rule: Rule | Composite,
    *,
    as_credit: bool = True,
    silent: tuple[str, ...] = (),
    **options: Any,
) -> None:
    """Feedback of every parameter and relevance of the input; ``silent`` learn nothing."""
    lfp = TemporalLFP(net, rule, "torch")
    rules = {name: for_oracle(each) for name, each in lfp.rules.items()}
    slow = oracle.Network(net, tuple(x.shape[2:]), rules=rules)
    add_module(slow, slow.input, net, "")
    lengths, state = options.get("lengths"), options.get("state", {})
    start = {name: w.numpy() for name, w in state.items()}
    expected = torch.from_numpy(
        slow.run(x.numpy(), None if lengths is None else lengths.tolist(), start)
    )
    assert expected.any() and not expected.all()
    reward = signals(expected)
    slow.send_back(reward.numpy(), as_credit=as_credit)
    assert torch.equal(lfp.forward(x, **options), expected)
    relevance = lfp.backward(reward, input_relevance=True, as_credit=as_credit)
    assert relevance is not None
    assert_near(relevance, torch.from_numpy(slow.input.relevance))
    assert_feedback_equal(net, slow, silent)


def deep(**options: Any) -> Any:
    """Two hidden populations with the given options and an output; all constants learn."""
    learns = {"learn_beta": True, "learn_threshold": True} | options
    layers = [nn.Linear(6, 5), leaky(**learns), nn.Linear(5, 4), leaky(threshold=0.6, **learns)]
    return strong(nn.Sequential(*layers, nn.Linear(4, 3), leaky(threshold=0.4, **learns)), seed=3)


# ------------------------------------------------------------------------ against the oracle


@pytest.mark.parametrize("rule", FORMS, ids=repr)
@pytest.mark.parametrize(("reset", "delay"), RESETS)
def test_leaky_neurons_equal_the_oracle(rule: Rescale, reset: str, delay: bool) -> None:
    net = deep(reset_mechanism=reset, reset_delay=delay)
    assert_equal_to_oracle(net, trains(7, 2, 6), rule)


@crossed(("reset, delay", RESETS), ("rule", CARRIES), ("as_credit", [True, False]))
def test_lengths_and_a_state_equal_the_oracle(
    rule: Rescale, reset: str, delay: bool, as_credit: bool
) -> None:
    net = deep(reset_mechanism=reset, reset_delay=delay)
    # Membranes above and below threshold: some resets are pending.
    units = {"1": 5, "3": 4, "5": 3}
    state = {name: 2 * currents(4, n, seed=n) for name, n in units.items()}
    lengths = torch.tensor([6, 1, 4, 3])
    x = trains(6, 4, 6)
    # Relevance does not speak of the distance to the threshold.
    silent = () if as_credit or reset == "subtract" else ("5.threshold",)
    options: dict[str, Any] = {"lengths": lengths, "state": state}
    assert_equal_to_oracle(net, x, rule, as_credit=as_credit, silent=silent, **options)


@crossed(("synapse", SYNAPSES), ("build", [mlp, csnn]), ("rule", CARRIES[::-1]))
def test_synapses_share_by_any_rule(build: Any, rule: Rescale, synapse: Rule) -> None:
    """Under those that reach silent inputs, relevance arrives beside the neurons below."""
    net = build()
    x = trains(6, 2, *((1, 3, 3) if build is csnn else (6,)))
    whole = replace(rule, synapse=synapse)
    idle = [f"{name}.bias" for name, module in net.named_children() if hasattr(module, "weight")]
    silent = tuple(idle) if isinstance(synapse, Flat | ZBox) else ()
    assert_equal_to_oracle(net, x, whole, silent=silent)


@pytest.mark.parametrize("rule", CARRIES, ids=repr)
def test_relevance_and_credit_reach_a_population_together(rule: Rescale) -> None:
    """From a synapse under Flat and from one that shares by contribution, through one rule."""
    flat = Assignment(replace(rule, synapse=Flat()), name="2")
    silent = ("2.bias",)
    assert_equal_to_oracle(deep(), trains(6, 2, 6), Composite((flat,), rule), silent=silent)


def test_published_layers_and_rescale_stand_side_by_side() -> None:
    last = Composite((Assignment(Rescale(), position="last"),), Epsilon(0.1))
    assert_equal_to_oracle(deep(), trains(6, 2, 6), last)
    hidden = Composite((Assignment(Epsilon(0.1), position="last"),), Rescale())
    assert_equal_to_oracle(deep(), trains(6, 2, 6), hidden, as_credit=False)


@pytest.mark.parametrize("rule", CARRIES, ids=repr)
def test_graded_spikes_hand_their_value_on(rule: Rescale) -> None:
    """The credit of a spike is that of its value, times the value."""
    factor = torch.tensor([0.5, -1.5, 2.0, 0.7, 1.0])
    net = strong(
        nn.Sequential(nn.Linear(6, 5), leaky(graded_spikes_factor=factor), nn.Linear(5, 3), leaky())
    )
    plain = strong(nn.Sequential(nn.Linear(6, 5), leaky(), nn.Linear(5, 3), leaky()))
    plain[2].weight.data *= factor
    feedback = []
    for each in (net, plain):
        lfp = TemporalLFP(each, rule)
        spikes = lfp.forward(trains(7, 2, 6))
        assert spikes.any()
        lfp.backward(signals(spikes), as_credit=True)
        feedback.append(feedback_of(each)["0.weight"])
    assert_near(feedback[0], feedback[1])


@crossed(("kind, reset, delay", CASES), ("rule", CARRIES))
def test_other_neurons_equal_the_oracle(rule: Rescale, kind: str, reset: str, delay: bool) -> None:
    net = make(kind, reset, delay)
    linear = net[0]
    assert isinstance(linear, nn.Linear)
    x, credit = trains(9, 3, 6, density=0.5), torch.randn(2, 9, 3, 4, dtype=torch.float64)
    plain = population(net, linear.weight, linear.bias)
    own = {field.name: getattr(plain, field.name) for field in fields(plain)}
    assert rule.carry is not None
    units = Rescaled(**own | {"eps": rule.eps, "sums": {}}, carry=rule.carry)
    lfp, found = TemporalLFP(net, rule), []
    total: dict[str, Any] = {}
    for k, as_credit in enumerate((True, False)):
        lfp.forward(x)
        found.append(lfp.backward(credit[k], input_relevance=True, as_credit=as_credit))
        for name, each in feedback_of(net).items():
            total[name] = total.get(name, 0) + each
    for b in range(x.shape[1]):
        units.run(x[:, b].numpy())
        assert found[0] is not None and found[1] is not None
        expected = units.send_credit(*credit[:, :, b].numpy())
        assert_near((found[0] + found[1])[:, b], torch.from_numpy(expected))
    names = {"0.weight": "weight", "0.bias": "bias", "1.beta": "beta", "1.threshold": "threshold"}
    names |= {"1.alpha": "alpha", "1.recurrent.weight": "recurrent"}
    names |= {"1.recurrent.bias": "recurrent_bias"}
    for name, each in total.items():
        sums = units.sums.get(names.get(name, ""))
        if name.endswith(".V"):
            sums = np.diag(units.sums["recurrent"]).copy()
        assert_near(each, net.get_parameter(name).detach().abs() * torch.as_tensor(sums))


# --------------------------------------------------- under autograd, what the decay carry is near


class Secant(torch.autograd.Function):
    """A step whose slope is the secant to the other side of the threshold."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, theta: Tensor, gate: str) -> Tensor:
        ctx.save_for_backward(x, theta)
        ctx.gate = gate
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *given: Tensor) -> Any:
        x, theta = ctx.saved_tensors
        opened = {"positive": x + theta > 0, "window": x.abs() < theta, "none": x == x}[ctx.gate]
        return given[0] * opened / (x.abs() + theta + 0.1), None, None


def secant(x: Tensor, theta: Tensor, gate: str) -> Tensor:
    step: Tensor = Secant.apply(x, theta, gate)  # type: ignore[no-untyped-call]
    return step


def with_secants(net: nn.Module, gate: str) -> None:
    """Give the neurons of a network that slope; the last has no gate."""
    neurons = [module for module in net.modules() if isinstance(module, snn.SpikingNeuron)]
    for neuron in neurons:
        own = "none" if neuron is neurons[-1] else gate
        theta = neuron.threshold.detach()
        neuron.spike_grad = partial(secant, theta=theta, gate=own)


def by_autograd(net: nn.Module, x: Tensor, credit: Tensor) -> dict[str, Tensor]:
    """``|p| dL/dp`` by backpropagation through snntorch's own steps, with ``L = sum e s``."""
    for module in net.modules():
        if isinstance(module, snn.SpikingNeuron):
            module.reset_mem()
    total = torch.zeros((), dtype=x.dtype)
    for t, frame in enumerate(x):
        out = net(frame)
        total = total + (credit[t] * (out[0] if isinstance(out, tuple) else out)).sum()
    named = dict(net.named_parameters())
    found = torch.autograd.grad(total, list(named.values()), allow_unused=True)
    return {
        name: p.detach().abs() * (torch.zeros_like(p) if g is None else g)
        for (name, p), g in zip(named.items(), found, strict=True)
    }


@crossed(
    ("kind, reset", [(kind, reset) for kind, reset, late in CASES if late]),
    ("gate", ["positive", "window"]),
)
def test_the_decay_carry_is_backpropagation_with_the_secant(
    kind: str, reset: str, gate: Any
) -> None:
    """In every parameter, constants of the neurons too; snntorch detaches resets that wait."""
    net: Any = nn.Sequential(*make(kind, reset), nn.Linear(4, 3), leaky(threshold=0.3)).double()
    net[1].output = False
    net[2].weight.data *= 2
    with_secants(net, gate)
    x = trains(9, 3, 6, density=0.5)
    lfp = TemporalLFP(net, Rescale(gate, "decay"))
    spikes = lfp.forward(x)
    assert spikes.any()
    reward = signals(spikes)
    lfp.backward(reward, as_credit=True)
    expected = by_autograd(net, x, reward)
    for name, parameter in net.named_parameters():
        if name != "1.alpha" or kind != "Alpha":
            assert_near(feedback_at(parameter), expected[name], 1e-9)
    assert (expected["0.weight"] != 0).any()


@pytest.mark.parametrize("kind", ["subtract", "zero", "none", "graded"])
def test_leaky_neurons_with_the_decay_carry_are_backpropagation(kind: str) -> None:
    options: dict[str, Any] = {"reset_mechanism": "subtract" if kind == "graded" else kind}
    if kind == "graded":
        factor = torch.tensor([0.5, 2.0, 0.7, 1.3, 1.0])
        options |= {"graded_spikes_factor": factor, "learn_graded_spikes_factor": True}
        first = leaky(learn_beta=True, learn_threshold=True, **options)
        net: Any = nn.Sequential(nn.Linear(6, 5), first, nn.Linear(5, 3), leaky(threshold=0.5))
        net = strong(net, seed=3)
    else:
        net = deep(**options)
    with_secants(net, "positive")
    x = trains(8, 3, 6)
    lfp = TemporalLFP(net, Rescale(carry="decay"))
    spikes = lfp.forward(x)
    reward = signals(spikes)
    lfp.backward(reward, as_credit=True)
    expected = by_autograd(net, x, reward)
    for name, total in feedback_of(net).items():
        assert total.any()
        assert_near(total, expected[name], 1e-9)


# ------------------------------------------------------------------------- chunks and silence


@crossed(("kind, reset, delay", [("Leaky", *each) for each in RESETS] + CASES), ("rule", CARRIES))
def test_chunks_hand_on_what_a_carry_needs(
    rule: Rescale, kind: str, reset: str, delay: bool
) -> None:
    if kind == "Leaky":
        net: Any = deep(reset_mechanism=reset, reset_delay=delay)
    else:
        net = nn.Sequential(*make(kind, reset, delay), nn.Linear(4, 3), leaky(threshold=0.3))
        net = net.double()
        net[1].output = False
    found = []
    for memory in ({}, {"memory": "chunked", "chunk": 4}):
        lfp = TemporalLFP(net, rule, "torch", **memory)  # type: ignore[arg-type]
        spikes = lfp.forward(trains(9, 3, 6), lengths=torch.tensor([9, 6, 3]))
        lfp.backward(signals(spikes), as_credit=True)
        found.append(feedback_of(net))
    for name, total in found[0].items():
        assert_near(found[1][name], total)


def test_a_silent_network_learns() -> None:
    net = mlp()
    for parameter in net.parameters():
        parameter.data = parameter.data.abs() * 0.1  # excites, but never enough
    for rule, as_credit, learns in (
        (Epsilon(0.1), False, False),
        (Rescale(), True, True),
    ):
        lfp = TemporalLFP(net, rule, "torch")
        spikes = lfp.forward(trains(6, 2, 6))
        assert not any(each.any() for each in lfp.layer_spikes().values())
        lfp.backward(torch.ones_like(spikes), as_credit=as_credit)
        assert bool(feedback_of(net)["0.weight"].any()) == learns
        # A silent input takes no part, whatever the rule.
        assert not feedback_of(net)["2.weight"].any()


def test_a_silent_window_of_a_pool_credits_its_first_unit() -> None:
    neuron = leaky(threshold=10.0)
    layers = [nn.Conv2d(1, 1, 1), neuron, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1, 1), leaky()]
    net = strong(nn.Sequential(*layers))
    net[0].weight.data.fill_(1.0)
    lfp = TemporalLFP(net, Rescale(), "torch")
    x = trains(1, 1, 1, 2, 2, density=1.1)
    relevance = lfp.backward(torch.ones_like(lfp.forward(x)), input_relevance=True, as_credit=True)
    assert relevance is not None
    assert (relevance.flatten() != 0).tolist() == [True, False, False, False]


@pytest.mark.parametrize("threshold", [0.5, 1.0])
def test_units_without_a_state_are_neurons_at_their_first_step(threshold: float) -> None:
    found = []
    for unit in (Step(threshold), leaky(threshold=threshold)):
        net = strong(nn.Sequential(nn.Linear(6, 5), unit, nn.Linear(5, 3), leaky()))
        lfp = TemporalLFP(net, Rescale(), "torch")
        spikes = lfp.forward(currents(1, 4, 6))
        lfp.backward(signals(spikes), as_credit=True)
        found.append(feedback_of(net)["0.weight"])
        assert found[-1].any()
    assert_near(found[0], found[1])


def test_a_readout_takes_credit_of_its_membrane() -> None:
    """Its slope is 1: what comes out is the membrane itself."""
    net = strong(
        nn.Sequential(nn.Linear(6, 3), leaky(threshold=float("inf"), reset_mechanism="none"))
    )
    lfp = TemporalLFP(net, Rescale(carry="decay"))
    x = trains(5, 2, 6)
    credit = signals(lfp.forward(x))
    lfp.backward(credit, as_credit=True)
    n, following = [], torch.zeros(2, 3, dtype=torch.float64)
    for each in credit.flip(0):
        following = each + float(net[1].beta) * following
        n.append(following)
    expected = torch.einsum("tbj,tbi->ji", torch.stack(n[::-1]), x) * net[0].weight.abs()
    assert_near(feedback_of(net)["0.weight"], expected.detach())


# ------------------------------------------------------------------------- rules and rewards


def test_relevance_alone_is_what_epsilon_takes_credit_for() -> None:
    """The published rules know no silence: a reward that is credit enters as relevance."""
    net = mlp()
    lfp = TemporalLFP(net, Epsilon(0.1), "torch")
    spikes = lfp.forward(trains(6, 2, 6))
    reward = RateCoded(at_silence=True)(spikes, torch.tensor([0, 2]))
    found = []
    for as_credit in (True, False):
        lfp.backward(reward, as_credit=as_credit, retain=True)
        found.append(feedback_of(net))
    for name, total in found[0].items():
        assert torch.equal(total, found[1][name])


def test_a_population_is_told_the_relevance_that_arrived() -> None:
    lfp = TemporalLFP(mlp(), Rescale(), "torch")
    spikes = lfp.forward(trains(6, 2, 6))
    reward = signals(spikes)
    lfp.backward(reward, as_credit=True, input_relevance=True)
    assert_near(lfp.neuron_relevance["3"], (spikes * reward).sum(0))


def test_a_recurrent_synapse_shares_by_contribution() -> None:
    lfp = TemporalLFP(make("RLeaky"), Rescale(synapse=Gamma()))
    spikes = lfp.forward(trains(3, 2, 6))
    with pytest.raises(NetworkError, match=r"for which there is no Rescale\(.*synapse=Gamma"):
        lfp.backward(signals(spikes), as_credit=True)


@pytest.mark.parametrize("kind", ["Leaky", "Lapicque", "RLeaky", "Synaptic", "RSynaptic", "Alpha"])
def test_the_carry_suits_the_neurons_unless_it_is_given(kind: str) -> None:
    net: Any = mlp() if kind == "Leaky" else make(kind)
    suited: Carry = "reference" if kind in ("Leaky", "Lapicque", "RLeaky") else "decay"
    x = trains(5, 2, net[0].in_features)
    found: dict[Carry | None, dict[str, Tensor]] = {}
    for rule in (Rescale(), *CARRIES):
        lfp = TemporalLFP(net, rule, "torch")
        lfp.backward(signals(lfp.forward(x)), as_credit=True)
        found[rule.carry] = feedback_of(net)
        assert lfp.rules["1"] == (Rescale(carry=suited) if rule.carry is None else rule)
    for name, total in found[suited].items():
        assert torch.equal(found[None][name], total)
    assert any(not torch.equal(found["reference"][n], found["decay"][n]) for n in found["decay"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gate": "open"}, r"Rescale.gate is 'open'; expected positive or window"),
        ({"carry": "leak"}, r"Rescale.carry is 'leak'; expected reference or decay"),
        ({"eps": 0.0}, r"Rescale.eps is 0.0; expected a positive finite number"),
    ],
)
def test_wrong_options_are_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Rescale(**options)


def test_what_it_says_of_itself() -> None:
    assert repr(Rescale()) == "Rescale(gate='positive', carry=None, eps=0.1)"
    assert repr(Rescale(synapse=ZPlus())).endswith(f"synapse={ZPlus()!r})")
    assert Rescale().at_neuron.name == "rescale"
    assert Rescale(synapse=Gamma(0.5)).at_synapse == Gamma(0.5).at_synapse
    assert Rescale(synapse=Flat()).of_silent and not Rescale(synapse=Pass()).of_silent
