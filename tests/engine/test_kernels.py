"""Which kernel serves which stage: what rules say, and the tables of the backends."""

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn

from lfp_snn import Spikes, TemporalLFP
from lfp_snn.engine.events import table as events
from lfp_snn.engine.events.stage import EventNeurons
from lfp_snn.engine.kernels import Group, Kernel, plan
from lfp_snn.engine.neurons import Leaky
from lfp_snn.engine.stage import Credits, Feedback, Form, Rules, Tape, Wanted
from lfp_snn.errors import NetworkError
from lfp_snn.rules import (
    CONTRIBUTION,
    OWN,
    RULES,
    Active,
    AlphaBeta,
    Assignment,
    Composite,
    Epsilon,
    EpsilonSplit,
    Flat,
    Formula,
    Gamma,
    Pass,
    Rescale,
    Rule,
    ZPlus,
    widest,
)
from tests.engine.compare import leaky


@dataclass(frozen=True)
class Damped(Rule):
    """A rule as a user would declare it, of which the package knows nothing."""

    strength: float = 0.5

    @property
    def at_neuron(self) -> Formula:
        return Formula("epsilon", {"eps": self.strength**2})

    def split(self, relevance: Tensor, kept: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
        return Epsilon(self.strength**2).split(relevance, kept, *parts)


class Widely(Epsilon):
    """The epsilon rule, with credit for open gates."""

    @property
    def active(self) -> Active:
        return "gate"


def csnn(**options: object) -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        leaky(**options),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16, 3),
        leaky(),
    )
    for p in net.parameters():
        p.data.mul_(64).round_().div_(16)
    return net


def trains() -> Tensor:
    return (torch.rand(6, 2, 1, 4, 4, generator=torch.Generator().manual_seed(1)) < 0.4).float()


def kernels(lfp: TemporalLFP) -> dict[str, str]:
    """The last column of the summary, by stage."""
    rows = [line.split("  ") for line in lfp.summary().splitlines()[1:-1]]
    return {row[1]: row[-1].strip() for row in rows}


def feedback(lfp: TemporalLFP) -> list[Tensor]:
    spikes = lfp.forward(trains())
    assert spikes.any()
    reward = torch.linspace(-1, 1, spikes.numel()).view_as(spikes)
    relevance = lfp.backward(reward, input_relevance=True)
    assert relevance is not None
    grads = [p.grad for p in lfp.parameters()]
    return [relevance, *(grad for grad in grads if grad is not None)]


def test_a_rule_that_says_which_formula_it_is_runs_on_the_kernel_that_knows_it() -> None:
    lfp = TemporalLFP(csnn(), rule=Damped())
    fresh = kernels(lfp)
    found = feedback(lfp)
    assert lfp.backend == "events"
    assert fresh == kernels(lfp)
    rows = TemporalLFP(csnn(), rule=Damped(), backend="torch").summary(lfp.kernels).splitlines()
    assert [row.split("  ")[-1].strip() for row in rows[1:4]] == ["events: convolution, pool"] * 3
    assert fresh == {
        "1": "events: convolution, pool",
        "3": "torch",
        "5": "events: linear",
    }
    for a, b in zip(found, feedback(TemporalLFP(csnn(), rule=Epsilon(0.25))), strict=True):
        assert torch.equal(a, b)
    for a, b in zip(found, feedback(TemporalLFP(csnn(), Damped(), "torch")), strict=True):
        torch.testing.assert_close(a, b)


class Instant(Leaky):
    """The kernel of a test: the reference, by another name."""


def test_a_kernel_is_one_row_of_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    assert TemporalLFP(csnn(), rule=Pass()).backend == "torch"
    reference = feedback(TemporalLFP(csnn(), rule=Pass()))
    with pytest.raises(NetworkError, match=r"does not know the rule Pass\(\)"):
        TemporalLFP(csnn(), rule=Pass(), backend="events")

    def make(group: Group) -> Instant:
        (neurons,) = group.stages
        assert isinstance(neurons, Leaky)
        return Instant(neurons.name, neurons.module)

    row = Kernel("instant", ("Leaky",), make, splits=("arrived",))
    monkeypatch.setattr(events, "TABLE", (*events.TABLE, row))
    lfp = TemporalLFP(csnn(), rule=Pass(), backend="events")
    for a, b in zip(feedback(lfp), reference, strict=True):
        assert torch.equal(a, b)
    assert kernels(lfp) == {
        "0": "torch",
        "1": "events: instant",
        "2": "torch",
        "3": "torch",
        "4": "torch",
        "5": "events: instant",
    }
    assert TemporalLFP(csnn(), rule=Pass()).backend == "events"
    # Under a composite each group takes the row that fits it.
    mixed = Composite((Assignment(Pass(), name="5"),), default=Epsilon(0.1))
    lfp = TemporalLFP(csnn(), rule=mixed)
    feedback(lfp)
    assert kernels(lfp)["1"] == "events: convolution, pool"
    assert kernels(lfp)["5"] == "events: instant"
    with pytest.raises(NetworkError, match=r"does not know the rule Pass\(\) of layer '0'"):
        lfp.forward(trains())
        lfp.backward(torch.zeros(6, 2, 3), rule=Pass())


def test_a_formula_of_a_parent_is_not_that_of_a_child_with_other_methods() -> None:
    class Split(Gamma):
        def split(self, relevance: Tensor, kept: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
            return (relevance,) * len(parts)

    class Shared(Gamma):
        def shares(self, n: Tensor, favouring: Tensor, opposing: Tensor) -> tuple[Tensor, Tensor]:
            return n, n

    class Again(Shared):
        """Inherits what its parent changed."""

    class Named(Gamma):
        """Changes nothing."""

    assert Split().at_neuron == OWN
    assert Split().at_synapse == Gamma().at_synapse
    for kind in (Shared, Again):
        assert kind().at_synapse == OWN
        assert kind().at_neuron == Gamma().at_neuron
    assert Named().at_synapse == Gamma().at_synapse
    assert TemporalLFP(csnn(), rule=Named()).backend == "events"
    for rule in (Split(), Shared(), Again()):
        assert TemporalLFP(csnn(), rule=rule).backend == "torch"


def test_every_rule_says_what_it_is() -> None:
    for kind in RULES.values():
        rule = kind()
        assert OWN not in (rule.at_neuron, rule.at_synapse)
        assert rule.active == ("gate" if isinstance(rule, Rescale) else "spikes")
        assert (rule.at_synapse == CONTRIBUTION) == (rule.variants == Epsilon().variants)
    assert ZPlus().at_synapse == AlphaBeta(1.0, 0.0).at_synapse
    assert Epsilon(0.1).at_neuron == Gamma(eps=0.1).at_neuron
    assert Epsilon(0.1).at_neuron != Epsilon(0.2).at_neuron
    assert isinstance(Gamma(), EpsilonSplit)


@pytest.mark.parametrize(("neuron", "kernel"), [({}, "neurons"), ({"learn_beta": True}, None)])
def test_neurons_that_learn_stay_on_the_reference(
    neuron: dict[str, object], kernel: str | None
) -> None:
    lfp = TemporalLFP(nn.Sequential(leaky(**neuron), nn.Linear(4, 3), leaky()), backend="events")
    lfp.forward(torch.ones(2, 1, 4))
    assert kernels(lfp)["0"] == ("torch" if kernel is None else f"events: {kernel}")


def test_a_kernel_is_not_asked_for_resets_or_entries_that_it_does_not_know() -> None:
    lfp = TemporalLFP(csnn(reset_mechanism="zero"), backend="torch")
    row = next(row for row in events.TABLE if row.name == "linear")
    neurons = next(row for row in events.TABLE if row.name == "neurons")

    def served(rule: Rule, *table: Kernel) -> list[str]:
        rules = dict.fromkeys(lfp.rules, rule)
        planned = plan("events", table, lfp.reference, rules)
        return [kernel.name for _, kernel in planned.served]

    assert served(Epsilon(), row, neurons) == ["neurons", "linear"]
    assert served(Widely(), row, neurons) == ["neurons", "linear"]
    # The layer above neurons with an open gate would give credit to their spikes alone.
    at_spikes: tuple[Active, ...] = ("spikes",)
    assert served(Widely(), replace(row, active=at_spikes), neurons) == ["neurons", "neurons"]
    assert served(Epsilon(), row, replace(neurons, resets=("subtract",))) == ["linear"]


def test_where_credit_is_needed_is_told_from_the_bottom_up() -> None:
    program = TemporalLFP(csnn(), backend="torch").reference
    rules: dict[str, Rule] = dict.fromkeys(("0", "1", "4", "5"), Epsilon())
    assert program.active(rules) == [
        "spikes",
        "everywhere",
        *["spikes"] * 3,
        "everywhere",
        "spikes",
    ]
    rules["1"] = Widely()
    assert program.active(rules)[2:5] == ["gate"] * 3
    assert widest(["gate", "everywhere", "spikes"]) == "everywhere"
    assert widest([]) == "spikes"


@dataclass(frozen=True, repr=False)
class Everywhere(Epsilon):
    """The epsilon rule, by another name, with credit everywhere."""

    @property
    def at_neuron(self) -> Formula:
        return Formula("everywhere", {"eps": self.eps})

    @property
    def active(self) -> Active:
        return "everywhere"


class AskingNeurons(EventNeurons):
    """Neurons on lists that ask for credit of silent neurons too, and then leave it."""

    def split(self, rules: Rules) -> float:
        return float(rules[self.name].at_neuron.parameters["eps"])

    def asks(self, run: Tape, rules: Rules, form: Form, below: Wanted) -> Form:
        assert isinstance(form, Spikes)
        whole = Spikes.from_dense(torch.ones(form.shape, dtype=run.dtype))
        fired = whole.gather(form.dense(run.dtype))
        self.asked = Spikes(whole.indptr, whole.indices, whole.shape, fired)
        return self.asked

    def backward(
        self, run: Tape, credit: Tensor, feedback: Feedback, rules: Rules, wanted: Wanted
    ) -> Credits:
        asked = self.asked
        assert asked.values is not None
        assert credit.shape == asked.values.shape
        fired = asked.values > 0
        assert (credit[~fired] != 0).any()
        return super().backward(run, credit[fired], feedback, rules, wanted)


@pytest.mark.parametrize("train", [False, True])
def test_neurons_are_given_credit_where_they_ask_for_it(
    train: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = Kernel("asking", ("Leaky",), AskingNeurons.of, splits=("everywhere",))
    monkeypatch.setattr(events, "TABLE", (*events.TABLE, row))
    rule = Composite((Assignment(Everywhere(0.1), name="0"),), default=Epsilon(0.1))
    behind = [nn.Identity(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(16, 3), leaky()]
    net = nn.Sequential(leaky(), *behind).double()
    found = []
    for backend in ("events", "torch"):
        torch.manual_seed(3)
        lfp = TemporalLFP(net, rule, backend).train(train)
        spikes = lfp.forward(2 * trains().double())
        reward = torch.linspace(-1, 1, spikes.numel(), dtype=torch.float64).view_as(spikes)
        relevance = lfp.backward(reward, input_relevance=True)
        assert relevance is not None
        grads = [p.grad for p in lfp.parameters() if p.grad is not None]
        found.append([relevance, *grads, *lfp.neuron_relevance.values()])
    # The linear layer, which its kernel would serve at spikes alone, ran on the reference.
    assert TemporalLFP(net, rule, "events").kernels == {
        "0": "events: asking",
        "5": "events: neurons",
    }
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)


def test_what_no_kernel_knows_is_refused_with_what_is_known() -> None:
    with pytest.raises(
        NetworkError,
        match=r"rule Flat.* of layer '0': it knows Epsilon, Norm, .*, ZPlus and Rescale;",
    ):
        TemporalLFP(csnn(), rule=Flat(), backend="events")
