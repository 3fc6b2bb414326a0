"""Every rule held against the oracle, synapse by synapse, and what it conserves."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import pytest
import snntorch as snn
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lfp_snn import Spikes, TemporalLFP
from lfp_snn.engine.events.layer import EventLayer
from lfp_snn.engine.synapses import Synapse
from lfp_snn.errors import ConfigError, NetworkError, ShapeError
from lfp_snn.rules import (
    RULES,
    AlphaBeta,
    Assignment,
    Composite,
    Epsilon,
    EpsilonGammaBox,
    EpsilonPlusFlat,
    Flat,
    Gamma,
    Norm,
    Pass,
    Rule,
    WSquare,
    ZBox,
    ZPlus,
    assign,
)
from tests import oracle
from tests.crossed import crossed
from tests.engine.compare import (
    assert_feedback_equal,
    assert_near,
    assert_neurons_equal,
    csnn,
    currents,
    feedback_of,
    leaky,
    mlp,
    signals,
    strong,
    trains,
)
from tests.oracle_modules import add_module
from tests.oracle_rules import OracleRule

#: Served on events, silent inputs taking no part.
SPIKING = (
    Epsilon(0.1),
    Epsilon(conserving=True),
    Norm(),
    Gamma(0.5),
    Gamma(0.5, conserving=True),
    AlphaBeta(2, 1),
    AlphaBeta(1.5, 0.5, conserving=True),
    ZPlus(eps=0.01),
    ZPlus(conserving=True),
)
OTHERS = (
    Pass(),
    WSquare(),
    WSquare(conserving=True),
    Flat(eps=0.1),
    Flat(conserving=True),
    ZBox(-0.5, 1.5),
    ZBox(0, 1, conserving=True),
)
ALL = SPIKING + OTHERS
CONSERVING = [rule for rule in ALL if getattr(rule, "conserving", False)]
RESETS = [("subtract", True), ("subtract", False), ("zero", True), ("zero", False), ("none", True)]


def for_oracle(rule: Rule) -> OracleRule:
    name = next(name for name, kind in RULES.items() if type(rule) is kind)
    said = {key: value for key, value in asdict(rule).items() if key != "product"}
    return OracleRule(name, **said)


def assert_equal_to_oracle(
    net: nn.Module, x: Tensor, rule: Rule | Composite, lengths: list[int] | None = None
) -> None:
    parts = TemporalLFP(net, rule=rule, backend="torch")
    slow = oracle.Network(
        net,
        tuple(x.shape[2:]),
        rules={name: for_oracle(each) for name, each in parts.rules.items()},
    )
    add_module(slow, slow.input, net, "")
    expected = torch.from_numpy(slow.run(x.numpy(), lengths))
    assert expected.any(), "the output is silent: this comparison shows nothing"
    reward = signals(expected)
    slow.send_back(reward.numpy())
    without_share = [
        name
        for name, total in slow.feedback.items()
        if isinstance(parts.rules.get(name.rpartition(".")[0]), Flat | ZBox)
        and name.endswith("bias")
    ]
    backends = ["torch"] + ["events"] * (TemporalLFP(net, rule=rule).backend == "events")
    for backend in backends:
        lfp = TemporalLFP(net, rule=rule, backend=backend)
        spikes = lfp.forward(x, lengths=None if lengths is None else torch.tensor(lengths))
        assert torch.equal(spikes, expected)
        if backend == "events" and bool((x >= 0).all()):
            assert_on_kernels(lfp)
        assert_neurons_equal(lfp, slow)
        relevance = lfp.backward(reward, input_relevance=True)
        assert relevance is not None
        of_input = torch.from_numpy(slow.input.relevance)
        assert of_input.any()
        assert_near(relevance, of_input)
        assert_feedback_equal(net, slow, without_share)


def assert_on_kernels(lfp: TemporalLFP) -> None:
    """No synapse is left to torch, and convolutions ran over lists of spikes.

    A linear layer with more than half of its inputs active takes the way around, a convolution
    never does.
    """
    run, stages = lfp._recorded(), [node.stage for node in lfp._program.nodes]
    assert not any(isinstance(stage, Synapse) for stage in stages)
    layers = [stage for stage in stages if isinstance(stage, EventLayer)]
    assert len(layers) == len(lfp.reference.spiking())
    assert all(layer in run.kept for layer in layers if layer.dense == 1)


def deep_mlp(reset: str = "subtract", delay: bool = True) -> Any:
    options = {"reset_mechanism": reset, "reset_delay": delay}
    layers: list[nn.Module] = []
    for inputs, outputs, threshold in ((4, 5, 1.0), (5, 4, 0.5), (4, 3, 0.5)):
        layers += [nn.Linear(inputs, outputs), leaky(threshold=threshold, **options)]
    return strong(nn.Sequential(*layers))


def deep_cnn(
    average: bool,
    reset: str = "subtract",
    delay: bool = True,
) -> Any:
    """Two convolutions with padding, stride and groups; after each an average or maximum pool."""
    options = {"reset_mechanism": reset, "reset_delay": delay, "threshold": 0.3}
    pools = (
        (nn.AvgPool2d(2), nn.MaxPool2d((2, 1)))
        if average
        else (nn.MaxPool2d(2), nn.AvgPool2d(2, padding=1))
    )
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, groups=2),
        leaky(**options),
        pools[0],
        nn.Conv2d(4, 2, 3, stride=(1, 2), padding=1),
        leaky(**options),
        pools[1],
        nn.Flatten(),
        nn.Linear(2 if average else 4, 3),
        leaky(**options),
    )
    return strong(net, seed=1)


@crossed(("rule", ALL), ("reset, delay", RESETS))
def test_linear(rule: Rule, reset: str, delay: bool) -> None:
    assert_equal_to_oracle(deep_mlp(reset, delay), trains(6, 2, 4), rule)


@pytest.mark.parametrize("rule", ALL, ids=repr)
def test_inputs_of_both_signs(rule: Rule) -> None:
    if isinstance(rule, ZBox):
        rule = replace(rule, low=-4.0, high=4.0)  # it holds within its bounds
    assert_equal_to_oracle(deep_mlp(), currents(5, 2, 4), rule)


@pytest.mark.parametrize("rule", ALL, ids=repr)
def test_samples_that_end_early(rule: Rule) -> None:
    assert_equal_to_oracle(deep_mlp(), trains(6, 3, 4), rule, [6, 2, 4])


@pytest.mark.parametrize("average", [False, True], ids=["max first", "average first"])
@pytest.mark.parametrize("rule", ALL, ids=repr)
def test_convolutions_and_pools(rule: Rule, average: bool) -> None:
    for reset, delay in RESETS[average::2]:
        net = deep_cnn(average, reset, delay)
        assert_equal_to_oracle(net, trains(4, 2, 2, 4, 4, density=0.6), rule)


@pytest.mark.parametrize("conserving", [False, True])
@pytest.mark.parametrize("preset", [EpsilonPlusFlat, EpsilonGammaBox])
def test_composites(preset: Callable[..., Composite], conserving: bool) -> None:
    rule = preset(conserving=conserving)
    assert_equal_to_oracle(deep_cnn(False), trains(4, 2, 2, 4, 4), rule)


def balance(net: nn.Module, x: Tensor, rule: Rule) -> tuple[Tensor, Tensor]:
    """Relevance put in and found again at inputs and biases, sample by sample all together."""
    lfp = TemporalLFP(net, rule=rule, backend="torch")
    spikes = lfp.forward(x)
    assert spikes.any()
    reward = signals(spikes) * spikes  # what reaches a membrane that nothing made is dropped
    relevance = lfp.backward(reward, input_relevance=True)
    assert relevance is not None
    found = relevance.sum()
    for name, parameter in net.named_parameters():
        if name.endswith("bias"):
            found = found + (parameter.sign() * feedback_of(net)[name]).sum()
    return reward.sum(), found


@crossed(("rule", CONSERVING), ("reset, delay", RESETS))
def test_conserving_rules_conserve(rule: Rule, reset: str, delay: bool) -> None:
    pixels = trains(8, 3, 2, 4, 4, density=0.7)
    for net, x in (
        (deep_mlp(reset, delay), trains(8, 3, 4, density=0.7)),
        (deep_cnn(False, reset, delay), pixels),
        (deep_cnn(True, reset, delay), pixels),
    ):
        if isinstance(rule, WSquare):
            # What such a bias takes cannot be read from its feedback, so that it must be small.
            for module in net:
                if isinstance(module, nn.Linear | nn.Conv2d):
                    assert module.bias is not None
                    module.bias.data = torch.full_like(module.bias, 1e-6)
                elif isinstance(module, snn.Leaky):
                    module.threshold.fill_(0.1)
        elif isinstance(rule, ZBox):
            rule = replace(rule, low=-0.5, high=1.5)  # within them no measure is zero
        given, found = balance(net, x, rule)
        assert given.abs() > 0.01
        torch.testing.assert_close(found, given, rtol=0, atol=1e-8)


@pytest.mark.parametrize("backend", ["torch", "events"])
def test_layer_relevance_shows_what_is_lost(backend: str) -> None:
    net, x = deep_cnn(True), trains(8, 3, 2, 4, 4, density=0.7)
    found = {}
    for rule in (Epsilon(0.1), Epsilon(conserving=True)):
        lfp = TemporalLFP(net, rule=rule, backend=backend)
        spikes = lfp.forward(x)
        reward = signals(spikes).abs() * spikes
        of_bias = {}
        relevance = lfp.backward(reward, input_relevance=True)
        assert relevance is not None
        for name in ("0", "3", "7"):
            share = net[int(name)].bias.sign() * feedback_of(net)[f"{name}.bias"]
            of_bias[name] = float(share.detach().sum())
        found[rule.conserving] = arrived = lfp.layer_relevance
        assert list(arrived) == ["1", "4", "8"]
        assert arrived["8"] == pytest.approx(float(reward.sum()))
        lost = [
            arrived["8"] - of_bias["7"] - arrived["4"],
            arrived["4"] - of_bias["3"] - arrived["1"],
            arrived["1"] - of_bias["0"] - float(relevance.sum()),
        ]
        if rule.conserving:
            assert lost == pytest.approx([0, 0, 0], abs=1e-8)
        else:
            assert all(abs(each) > 1e-3 for each in lost)


@pytest.mark.parametrize("rule", [r for r in ALL if not getattr(r, "conserving", False)], ids=repr)
def test_positive_reward_strengthens_what_excited_and_weakens_what_inhibited(rule: Rule) -> None:
    net = nn.Sequential(nn.Linear(3, 1), leaky(threshold=0.2)).double()
    net[0].weight.data = torch.tensor([[1.0, -0.4, 0.7]]).double()
    net[0].bias.data = torch.tensor([-0.1]).double()
    lfp = TemporalLFP(net, rule=rule)
    lfp.forward(torch.tensor([1.0, 1.0, 0.0]).double().expand(4, 1, 3))
    lfp.backward(torch.ones(4, 1, 1))
    feedback = feedback_of(net)["0.weight"][0]
    assert feedback[0] > 0
    assert feedback[1] > 0 or isinstance(rule, ZPlus)
    assert feedback[1] >= 0
    assert feedback[2] == 0  # it was silent


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**16), rule=st.sampled_from(SPIKING), maps=st.booleans())
def test_backends_agree(seed: int, rule: Rule, maps: bool) -> None:
    net = csnn() if maps else mlp()
    x = trains(5, 3, *((1, 3, 3) if maps else (6,)), seed=seed)
    results = []
    for backend in ("torch", "events"):
        lfp = TemporalLFP(net, rule=rule, backend=backend)
        reward = signals(lfp.forward(Spikes.from_dense(x)))
        relevance = lfp.backward(reward, input_relevance=True)
        assert relevance is not None
        results.append({"relevance": relevance, **feedback_of(net)})
    for name, value in results[0].items():
        assert_near(results[1][name], value, 1e-9)


@pytest.mark.parametrize("rule", ALL, ids=repr)
def test_no_input_and_no_bias_give_no_feedback(rule: Rule) -> None:
    lfp = TemporalLFP(csnn(bias=False), rule=rule)
    lfp.backward(signals(lfp.forward(torch.zeros(4, 2, 1, 3, 3))))
    assert all(not value.any() for value in feedback_of(lfp.net).values())


@pytest.mark.parametrize("rule", [Flat(), WSquare(), ZBox()], ids=repr)
def test_silent_inputs_receive_relevance_and_learn_nothing(rule: Rule) -> None:
    net, x = mlp(), trains(5, 2, 6)
    x[..., 2] = 0
    lfp = TemporalLFP(net, rule=rule)
    assert lfp.backend == "torch"
    reward = signals(lfp.forward(Spikes.from_dense(x)))
    relevance = lfp.backward(reward, input_relevance=True)
    assert relevance is not None
    assert relevance.shape == x.shape
    assert relevance[..., 2].any()
    feedback = feedback_of(net)["0.weight"]
    assert not feedback[:, 2].any()
    assert feedback.any()


@pytest.mark.parametrize("rule", [Gamma(0.5), AlphaBeta(2, 1), Norm()], ids=repr)
def test_another_rule_on_the_same_trace_of_events(rule: Rule) -> None:
    net, x = deep_cnn(True), Spikes.from_dense(trains(4, 2, 2, 4, 4))
    found = []
    for lfp, own in ((TemporalLFP(net), rule), (TemporalLFP(net, rule=rule), None)):
        found.append(lfp.backward(signals(lfp.forward(x)), input_relevance=True, rule=own))
    assert found[0] is not None
    assert found[1] is not None
    assert found[0].any()
    assert torch.equal(found[0], found[1])


def test_another_rule_on_the_same_trace() -> None:
    net, x = deep_cnn(False), trains(4, 2, 2, 4, 4)
    composite = EpsilonPlusFlat(conserving=True)
    lfp = TemporalLFP(net, backend="torch")
    reward = signals(lfp.forward(x))
    explained = lfp.backward(reward, input_relevance=True, rule=composite)
    own = TemporalLFP(net, rule=composite)
    own.forward(x)
    expected = own.backward(reward, input_relevance=True)
    assert explained is not None
    assert expected is not None
    assert torch.equal(explained, expected)


def test_merges_and_dropout_hand_relevance_on() -> None:
    class Merging(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.lif_a = nn.Linear(4, 6), leaky(threshold=0.3)
            self.b, self.lif_b = nn.Linear(4, 6), leaky(threshold=0.3)
            self.drop, self.c, self.lif_c = nn.Dropout(0.3), nn.Linear(24, 3), leaky(threshold=0.3)

        def forward(self, x: Tensor) -> Tensor:
            a, b = self.lif_a(self.a(x)), self.lif_b(self.b(x))
            joined = torch.cat([torch.maximum(a, b), a - 0.5 * b, a, b], 1)
            spikes: Tensor = self.lif_c(self.c(self.drop(joined)))
            return spikes

    net = strong(Merging()).eval()
    for module in (net.a, net.b, net.c):
        module.bias = None
    x = trains(6, 2, 4, density=0.7)
    given, found = balance(net, x, Flat(conserving=True))
    assert given.abs() > 0.01
    torch.testing.assert_close(found, given, rtol=0, atol=1e-8)


def test_a_synapse_cannot_hand_on_what_silent_inputs_got() -> None:
    net = strong(nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 3), leaky()))
    lfp = TemporalLFP(net, rule=Flat())
    reward = signals(lfp.forward(trains(4, 2, 4)))
    with pytest.raises(NetworkError, match=r"Stage '0' \(Linear\).*silent inputs"):
        lfp.backward(reward)


def test_rules_that_events_do_not_know_are_named() -> None:
    with pytest.raises(NetworkError, match=r"rule Flat.*layer '0'.*backend='torch'"):
        TemporalLFP(mlp(), rule=Flat(), backend="events")
    lfp = TemporalLFP(csnn(), backend="events")
    reward = signals(lfp.forward(trains(4, 2, 1, 3, 3)))
    with pytest.raises(NetworkError, match=r"does not know the rule Pass"):
        lfp.backward(reward, rule=Pass(), retain=True)

    class Own(Gamma):
        """A rule by sign that shares in a way of its own."""

        def shares(self, n: Tensor, favouring: Tensor, opposing: Tensor) -> tuple[Tensor, Tensor]:
            return n, n

    assert TemporalLFP(csnn(), rule=Own()).backend == "torch"
    with pytest.raises(ConfigError, match="The rule is 'epsilon'"):
        lfp.backward(reward, rule="epsilon")  # type: ignore[arg-type]


def test_a_composite_gives_each_layer_its_rule() -> None:
    net = deep_cnn(False)
    composite = Composite(
        (
            Assignment(Flat(), position="first"),
            Assignment(Norm(), type="Leaky", name="8"),
            Assignment(Gamma(), type="Conv*"),
        ),
        default=Epsilon(0.1),
    )
    lfp = TemporalLFP(net, rule=composite)
    assert lfp.rules == {
        "0": Flat(), "1": Flat(), "3": Gamma(), "4": Gamma(), "7": Epsilon(0.1), "8": Norm(),
    }  # fmt: skip
    shown = repr(lfp).splitlines()
    assert "rule=Composite" in shown[0]
    assert "Gamma(eps=1e-06, gamma=0.25)" in shown[5]
    assert "Norm()" in shown[-2]


def test_an_assignment_that_fits_nothing_is_an_error() -> None:
    with pytest.raises(
        ConfigError, match=r"name 'features\.\*', which fits no layer.*0 \(Linear\)"
    ):
        TemporalLFP(mlp(), rule=Composite((Assignment(Gamma(), name="features.*"),)))
    parts = TemporalLFP(mlp()).reference.parts()
    assert assign(EpsilonPlusFlat(), parts)["0"] == Flat()  # without convolutions, and no error
    with pytest.raises(ConfigError, match="expected assignments in a tuple"):
        Composite(Assignment(Gamma(), name="features.*"))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="to nothing"):
        Assignment(Gamma())


@crossed(("rule", SPIKING), ("maps", [False, True]))
def test_lists_of_entries_of_both_signs(rule: Rule, maps: bool) -> None:
    shape = (1, 3, 3) if maps else (6,)
    x = Spikes.from_dense(currents(5, 3, *shape) * trains(5, 3, *shape))
    assert x.values is not None
    assert (x.values < 0).any()
    results = []
    for backend in ("torch", "events"):
        lfp = TemporalLFP(csnn() if maps else mlp(), rule=rule, backend=backend)
        relevance = lfp.backward(signals(lfp.forward(x)), input_relevance=True)
        assert relevance is not None
        results.append({"relevance": relevance, **feedback_of(lfp.net)})
    for name, value in results[0].items():
        assert value.any()
        assert_near(results[1][name], value)


def test_a_rule_by_sign_for_a_trace_of_both_signs_is_refused() -> None:
    lfp = TemporalLFP(csnn(), backend="events")
    lfp.forward(Spikes.from_dense(currents(5, 3, 1, 3, 3)))
    with pytest.raises(NetworkError, match=r"Layer '0' ran on events of both signs.*Gamma"):
        lfp.backward(torch.ones(5, 3, 3), rule=Gamma())


@pytest.mark.parametrize("rule", ALL, ids=repr)
def test_a_constant_input_is_one_shown_at_every_step(rule: Rule) -> None:
    x, results = trains(1, 2, 4, density=0.7)[0], []
    net = deep_mlp()
    for steps in (6, None):
        lfp = TemporalLFP(net, rule=rule)
        shown = x if steps else x.expand(6, *x.shape)
        relevance = lfp.backward(signals(lfp.forward(shown, steps)), input_relevance=True)
        assert relevance is not None
        results.append({"relevance": relevance, **feedback_of(net)})
    results[1]["relevance"] = results[1]["relevance"].sum(0)
    for name, value in results[0].items():
        assert_near(value, results[1][name])


def test_normalisation_behind_a_convolution_stays_folded() -> None:
    layers = [nn.Conv1d(2, 3, 3, padding=1), nn.BatchNorm1d(3), leaky(threshold=0.4), nn.Flatten()]
    net = strong(nn.Sequential(*layers, nn.Linear(15, 3), leaky(threshold=0.4))).eval()
    for rule in (Gamma(0.5), AlphaBeta(2, 1), WSquare()):
        lfp = TemporalLFP(net, rule=rule)
        reward = signals(lfp.forward(trains(5, 2, 2, 5)))
        lfp.backward(reward)
        assert all(value.any() for value in feedback_of(net).values())
        assert lfp.rules["2"] == rule, "neurons find their synapse behind the normalisation"


def of_split(split: Any) -> Rule:
    """A rule of a user's own with that split."""

    @dataclass(frozen=True)
    class Users(Rule):
        """A rule."""

        def split(self, relevance: Tensor, kept: Tensor, *parts: Tensor) -> Any:
            return split(relevance, *parts)

    return Users()


@pytest.mark.parametrize(
    ("split", "told"),
    [
        (lambda q, *parts: q, "gives a Tensor; expected a tuple with a credit for each of the 2"),
        (lambda q, *parts: (q,), "gives 1; expected a tuple with a credit for each of the 2 parts"),
        (lambda q, *parts: (q, q, q), "gives 3; expected"),
        (lambda q, *parts: (q, q.sum()), r"gives the shape \(\) for part 1, which has the shape"),
        (lambda q, *parts: (0.0, q), "gives a float for part 0"),
        (lambda q, *parts: (q[:1], q), r"gives the shape \(1, .*for part 0"),
    ],
)
@pytest.mark.parametrize("kind", ["leaky", "synaptic", "relu"])
def test_what_a_split_gives_is_checked(split: Any, told: str, kind: str) -> None:
    units: Any = {
        "leaky": snn.Leaky(beta=0.9, init_hidden=True),
        "synaptic": snn.Synaptic(alpha=0.5, beta=0.9, init_hidden=True),
        "relu": nn.ReLU(),
    }
    net = nn.Sequential(nn.Linear(4, 3), units[kind], nn.Linear(3, 2), nn.ReLU())
    lfp = TemporalLFP(net, of_split(split))
    values = lfp.forward(torch.rand(5, 3, 4))
    with pytest.raises(ShapeError, match=f"^The split of the rule Users {told}"):
        lfp.backward(torch.ones_like(values))


def test_a_split_that_gives_what_it_should_is_as_it_was() -> None:
    net, x = (
        strong(nn.Sequential(nn.Linear(4, 3), snn.Leaky(0.9, init_hidden=True))),
        trains(5, 3, 4),
    )
    rule = of_split(lambda q, *parts: tuple(0.1 * q for _ in parts))
    lfp = TemporalLFP(net, rule)
    for _ in range(2):
        lfp.backward(torch.ones_like(lfp.forward(x)))
    assert copy.deepcopy(rule) == rule
