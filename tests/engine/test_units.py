"""Networks without time: activations and readouts, held against the oracle and published code."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from lfp_snn import TemporalLFP
from lfp_snn.activations import Step
from lfp_snn.engine.supported import ACTIVATIONS
from lfp_snn.rules import Assignment, Composite, Epsilon, Flat, Pass, Rule, ZBox
from tests import oracle
from tests.crossed import crossed
from tests.engine.compare import (
    assert_near,
    assert_same_feedback,
    currents,
    feedback_at,
    feedback_of,
    leaky,
    run,
    signals,
    strong,
)
from tests.engine.test_rules import ALL, for_oracle
from tests.oracle_modules import add_module, readout

GOLDEN = Path(__file__).parent.parent / "golden"


def mlp(activation: nn.Module, again: nn.Module | None = None) -> Any:
    again = again or deepcopy(activation)
    layers = [nn.Linear(5, 4), activation, nn.Linear(4, 4), again, nn.Linear(4, 3)]
    return strong(nn.Sequential(*layers))


def cnn(activation: nn.Module) -> Any:
    """Two convolutions with padding, stride and groups, an average and a maximum pool, float64."""
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, groups=2),
        activation,
        nn.MaxPool2d(2),
        nn.Conv2d(4, 2, 2, stride=2, padding=1),
        deepcopy(activation),
        nn.AvgPool2d(2, 1),
        nn.Flatten(),
        nn.Linear(2, 3),
    )
    return strong(net)


def assert_equal_to_oracle(
    net: nn.Module,
    x: Tensor,
    rule: Rule | Composite = Epsilon(0.1),  # noqa: B008 - it is frozen
    *,
    steps: int | None = None,
    lengths: Sequence[int] | None = None,
    backends: Sequence[str] = ("torch",),
) -> None:
    """Hold output, every feedback and the relevance of the input against the oracle."""
    whole = x if steps is None else x.expand(steps, *x.shape)
    first = TemporalLFP(net, rule=rule, backend="torch")
    rules = {name: for_oracle(each) for name, each in first.rules.items()}
    slow = oracle.Network(net, tuple(whole.shape[2:]), rules=rules)
    add_module(slow, slow.input, net, "")
    if first.emits == "values":
        readout(slow)
    expected = torch.from_numpy(slow.run(whole.numpy(), lengths))
    assert expected.any()
    reward = signals(expected)
    slow.send_back(reward.numpy())
    of_input = torch.from_numpy(slow.input.relevance)
    assert of_input.any()
    for backend in backends:
        lfp = TemporalLFP(net, rule=rule, backend=backend)
        own = None if lengths is None else torch.tensor(lengths)
        assert_near(lfp.forward(x, steps=steps, lengths=own), expected)
        for name, value in lfp.layer_spikes().items():
            (node,) = (n for n in slow.nodes if getattr(n, "name", None) == name)
            assert_near(value.flatten(2), torch.from_numpy(node.value))
        relevance = lfp.backward(reward, input_relevance=True)
        assert relevance is not None
        assert_near(relevance, of_input if steps is None else of_input.sum(0))
        for name, parameter in net.named_parameters():
            theirs = torch.from_numpy(slow.feedback[name]).view_as(parameter)
            assert_near(feedback_at(parameter), theirs)
        assert any(value.any() for value in slow.feedback.values())


# -------------------------------------------------------------------- the published formulas


PUBLISHED: dict[str, Any] = {
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(0.1),
    "elu": nn.ELU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "step": Step,
}


def filled(net: nn.Module, golden: dict[str, NDArray[Any]]) -> nn.Module:
    """A network with the parameters of a golden file, in float64."""
    given = {key: torch.from_numpy(golden[key]) for key in golden if key.startswith("param/")}
    net.double().load_state_dict({k.removeprefix("param/"): v for k, v in given.items()}, False)
    return net


@pytest.mark.parametrize("name", PUBLISHED)
def test_networks_of_activations_equal_the_published_code(name: str) -> None:
    golden = dict(np.load(GOLDEN / "ann_mlp.npz"))
    act = PUBLISHED[name]
    net = filled(
        nn.Sequential(nn.Linear(20, 16), act(), nn.Linear(16, 12), act(), nn.Linear(12, 5)), golden
    )
    lfp = TemporalLFP(net, rule=Epsilon(1e-6))
    values = lfp.forward(torch.from_numpy(golden["input"]), steps=1)
    assert_near(values[0], torch.from_numpy(golden[f"{name}/logits"]))
    reward = torch.from_numpy(golden[f"{name}/reward"])[None]
    relevance = lfp.backward(reward, input_relevance=True)
    assert relevance is not None
    assert_near(relevance, torch.from_numpy(golden[f"{name}/input_relevance"]))
    for parameter, feedback in feedback_of(net).items():
        assert_near(feedback, torch.from_numpy(golden[f"{name}/feedback/{parameter}"]))


def test_a_convolutional_network_equals_the_published_code() -> None:
    """The published code stabilises pools and normalisations too, so that it differs by eps."""
    golden = dict(np.load(GOLDEN / "ann_cnn.npz"))
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(24, 5),
    )
    lfp = TemporalLFP(filled(net, golden), rule=Epsilon(1e-9)).eval()
    values = lfp.forward(torch.from_numpy(golden["input"]), steps=1)
    assert_near(values[0], torch.from_numpy(golden["logits"]))
    relevance = lfp.backward(torch.from_numpy(golden["reward"])[None], input_relevance=True)
    assert relevance is not None
    assert_near(relevance, torch.from_numpy(golden["input_relevance"]), 1e-6)
    for name in ("0.weight", "0.bias", "3.weight", "3.bias", "8.weight", "8.bias"):
        ours = feedback_of(net)[name]
        assert_near(ours, torch.from_numpy(golden[f"feedback/{name}"]), 1e-6)


# -------------------------------------------------------------------- the oracle


@pytest.mark.parametrize("kind", [*ACTIVATIONS, Step], ids=lambda kind: kind.__name__)
def test_every_activation(kind: type[nn.Module]) -> None:
    assert_equal_to_oracle(mlp(kind()), currents(1, 3, 5))
    assert_equal_to_oracle(mlp(kind()), currents(1, 3, 5), Epsilon(1e-6))


def test_options_of_activations() -> None:
    net = mlp(nn.LeakyReLU(0.3, inplace=True), Step(threshold=0.4))
    assert_equal_to_oracle(net, currents(1, 3, 5))


#: With bounds that hold for the inputs here, which have both signs.
RULES = [replace(rule, low=-4, high=4) if isinstance(rule, ZBox) else rule for rule in ALL]


@crossed(("rule", RULES), ("build", [mlp, cnn]))
def test_every_rule(build: Any, rule: Rule) -> None:
    x = currents(1, 2, *((5,) if build is mlp else (2, 4, 4)), seed=3)
    assert_equal_to_oracle(build(nn.Tanh()), x, rule)


@pytest.mark.parametrize("kind", [nn.ReLU, nn.LeakyReLU, Step])
def test_convolutions(kind: type[nn.Module]) -> None:
    assert_equal_to_oracle(cnn(kind()), currents(1, 2, 2, 4, 4, seed=3))


def test_rules_by_layer() -> None:
    """Units take the rule of the synapse that feeds them; Flat hands on to silent inputs."""
    rule = Composite((Assignment(Flat(), name="2"), Assignment(Pass(), position="last")))
    lfp = TemporalLFP(mlp(nn.ReLU()), rule=rule)
    assert [lfp.rules[name] for name in ("1", "3", "(readout)")] == [Epsilon(), Flat(), Pass()]
    assert_equal_to_oracle(mlp(nn.ReLU()), currents(1, 3, 5), rule)
    assert_equal_to_oracle(mlp(nn.Sigmoid()), currents(1, 3, 5), rule)


@pytest.mark.parametrize("backend", ["torch", "events"])
@pytest.mark.parametrize("activation", [nn.ReLU(), nn.Tanh()])
def test_activations_before_neurons(activation: nn.Module, backend: str) -> None:
    """A conventional front end, whose constant input is computed once, and neurons behind it."""
    layers = [nn.Conv2d(1, 2, 2), activation, nn.AvgPool2d(2), nn.Flatten()]
    net = strong(nn.Sequential(*layers, nn.Linear(2, 4), leaky(), nn.Linear(4, 3), leaky()), 1)
    assert_equal_to_oracle(net, currents(2, 1, 3, 3), steps=5, backends=[backend])
    x = currents(5, 2, 1, 3, 3)
    assert_equal_to_oracle(net, x, lengths=[5, 3], backends=[backend])


@pytest.mark.parametrize("backend", ["torch", "events"])
def test_a_readout_behind_neurons(backend: str) -> None:
    net = strong(nn.Sequential(nn.Linear(4, 6), leaky(), nn.Linear(6, 3)))
    assert_equal_to_oracle(net, currents(5, 2, 4), lengths=[2, 5], backends=[backend])


def test_a_network_may_end_in_an_activation() -> None:
    """Its own units take the reward: of a step also where it is silent, as a neuron does."""
    net = strong(nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 6), Step(0.5)))
    assert_equal_to_oracle(net, currents(1, 3, 5))
    lfp = TemporalLFP(strong(nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2), nn.Tanh())))
    assert (lfp.emits, lfp.without_neurons) == ("values", ["1 (ReLU)", "3 (Tanh)"])
    assert TemporalLFP(net).emits == "spikes"


# -------------------------------------------------------------------- a step is a neuron


@pytest.mark.parametrize("rule", [Epsilon(0.1), Epsilon(conserving=True), Pass()], ids=repr)
def test_a_step_is_a_leaky_neuron_at_its_first_step(rule: Rule) -> None:
    def net(first: nn.Module, second: nn.Module) -> Any:
        return strong(nn.Sequential(nn.Linear(6, 8), first, nn.Linear(8, 4), second))

    x = currents(1, 7, 6)
    ours = TemporalLFP(net(Step(0.3), Step(0.2)), rule=rule)
    theirs = TemporalLFP(net(leaky(threshold=0.3), leaky(threshold=0.2)), rule=rule)
    (a, of_a), (b, of_b) = run(ours, x), run(theirs, x)
    assert torch.equal(a, b)
    assert_same_feedback(of_a, of_b)
    assert ours.firing_rates == theirs.firing_rates
    assert ours.layers == () and ours.state == {}


def test_noise_is_an_input_like_a_bias() -> None:
    x = currents(1, 1, 6)
    noisy = strong(nn.Sequential(nn.Linear(6, 50), Step(0.1, noise=2.0), nn.Linear(50, 3)))
    torch.manual_seed(3)
    drawn = 2 * torch.randn(1, 50, dtype=torch.float64)
    plain = strong(nn.Sequential(nn.Linear(6, 50), Step(0.1), nn.Linear(50, 3)))
    silent = TemporalLFP(plain).forward(x)
    assert torch.equal(TemporalLFP(noisy).eval().forward(x), silent)
    plain[0].bias.data += drawn[0]
    noisy.train()
    torch.manual_seed(3)
    values, feedback = run(TemporalLFP(noisy), x)
    expected, theirs = run(TemporalLFP(plain), x)
    assert not torch.equal(values, silent)
    assert_near(values, expected)
    for each in (feedback, theirs):
        del each["0.bias"]  # |b| differs
    assert_same_feedback(feedback, theirs)


def test_noise_is_kept_over_time_and_over_chunks() -> None:
    net = strong(nn.Sequential(nn.Linear(4, 6), Step(noise=1.0), nn.Linear(6, 3), leaky()))
    found = []
    for lfp in (TemporalLFP(net), TemporalLFP(net, memory="chunked", chunk=2)):
        torch.manual_seed(0)
        found.append(run(lfp, currents(5, 2, 4)))
    assert torch.equal(found[0][0], found[1][0])
    assert_same_feedback(found[0][1], found[1][1])


# -------------------------------------------------------------------- over time


def test_steps_of_a_constant_input_are_one_step() -> None:
    net, x = mlp(nn.ReLU()), currents(3, 5)
    lfp = TemporalLFP(net)
    whole = lfp.forward(x, steps=4)
    assert torch.equal(whole, lfp.forward(x, steps=1).expand(4, 3, 3))
    reward = signals(whole)
    lfp.forward(x, steps=4)
    relevance = lfp.backward(reward, input_relevance=True)
    feedback, arrived = feedback_of(net), lfp.neuron_relevance
    assert relevance is not None
    lfp.forward(x, steps=1)
    again = lfp.backward(reward.sum(0, keepdim=True), input_relevance=True)
    assert again is not None
    assert_near(relevance, again)
    assert_same_feedback(feedback, feedback_of(net))
    for name, each in lfp.neuron_relevance.items():
        assert_near(arrived[name], each)


def test_chunks_of_a_network_without_neurons() -> None:
    net, x = mlp(nn.ReLU()), currents(5, 2, 5)
    values, feedback = run(TemporalLFP(net), x)
    for chunk in (2, None):
        chunked, theirs = run(TemporalLFP(net, memory="chunked", chunk=chunk), x)
        assert_near(chunked, values)
        assert_same_feedback(feedback, theirs)


def test_active_units_are_counted() -> None:
    """A unit is active where it gives more than without input; a readout is not counted."""
    net = mlp(nn.ReLU(), nn.Sigmoid())
    lfp = TemporalLFP(net)
    lfp.forward(currents(3, 5), steps=4)
    spikes = lfp.layer_spikes()
    expected = {"1": float((spikes["1"] > 0).double().mean())}
    expected["3"] = float((spikes["3"] > 0.5).double().mean())
    assert lfp.firing_rates == pytest.approx(expected)
    assert spikes["1"].shape == (4, 3, 4)


# -------------------------------------------------------------------- tracing


class Functions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(5, 4), nn.Linear(4, 4), nn.Linear(4, 3)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Any:
        h = self.act(self.b(self.act(self.a(x))))
        return self.c(F.leaky_relu(torch.tanh(h) - F.gelu(h).sigmoid().sign(), 0.2))


def test_functions_and_an_activation_in_two_places() -> None:
    net = Functions().double()
    lfp = TemporalLFP(net)
    x = currents(1, 3, 5)
    with torch.no_grad():
        expected = net(x[0].clone())
    assert_near(lfp.forward(x)[0], expected)
    lfp.backward(signals(expected[None]), input_relevance=True)
    assert list(lfp.neuron_relevance) == [
        "act",
        "act (call 2)",
        "tanh",
        "gelu",
        "sigmoid",
        "sign",
        "leaky_relu",
        "(readout)",
    ]
    assert "Readout" in repr(lfp)


def test_work_in_place_on_what_others_take_is_seen_by_them() -> None:
    class Shared(Functions):
        def forward(self, x: Tensor) -> Any:
            h = self.b(self.a(x))
            return self.c(self.act(h) + h)

    class Dropped(Functions):
        def forward(self, x: Tensor) -> Any:
            h = self.a(x)
            F.relu(h, inplace=True)
            return self.c(self.b(h))

    x = currents(1, 3, 5)
    for net in (Shared().double(), Dropped().double()):
        with torch.no_grad():
            assert_near(TemporalLFP(net).forward(x)[0], net(x[0]))
