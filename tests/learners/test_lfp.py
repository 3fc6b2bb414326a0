"""The learner that trains with LFP, held against the engine it drives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Literal

import pytest
import snntorch as snn
import torch
from torch import nn

from lfp_snn import TemporalLFP
from lfp_snn.data import Batch
from lfp_snn.errors import ConfigError, ShapeError
from lfp_snn.learners import LEARNERS, Learner, LearnerOptions
from lfp_snn.learners.lfp import LFP
from lfp_snn.models import build
from lfp_snn.rewards import REWARDS, FirstSpike, RateCoded, SoftmaxRate, SoftmaxValues
from lfp_snn.rewards.base import CreditReward
from lfp_snn.rules import (
    COMPOSITES,
    RULES,
    Assignment,
    Composite,
    Epsilon,
    Gamma,
    Rescale,
    Rule,
    Update,
    ZBox,
)
from lfp_snn.spikes import Spikes


@pytest.fixture
def net() -> Any:
    torch.manual_seed(0)
    return build("mlp", (12,), 3, hidden=[9], scale=4.0)


@pytest.fixture
def batch() -> Batch:
    torch.manual_seed(1)
    x = (torch.rand(8, 5, 12) < 0.4).float()
    return Batch(Spikes.from_dense(x), torch.tensor([0, 1, 2, 1, 0]))


def test_feedback_is_that_of_the_engine(net: Any, batch: Batch) -> None:
    learner = LFP(net, Epsilon(0.1), RateCoded())
    result = learner.feedback(batch)
    got = [parameter.grad.clone() for parameter in net.parameters() if parameter.grad is not None]

    lfp = TemporalLFP(net, rule=Epsilon(0.1))
    spikes = lfp.forward(batch.x)
    reward = RateCoded()(spikes, batch.labels)
    lfp.backward(reward)
    expected = [p.grad for p in net.parameters() if p.grad is not None]
    assert len(got) == 4
    assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))
    assert torch.equal(result.classes, spikes.sum(0).argmax(-1))
    assert result.reward == pytest.approx(float(reward.abs().sum()) / 5)
    assert result.firing == lfp.firing_rates


def test_feedback_is_summed_over_the_batch(net: Any, batch: Batch) -> None:
    learner = LFP(net, Epsilon(0.1), RateCoded())
    learner.feedback(batch)
    weight = net[0].weight
    once = weight.grad.clone()
    assert isinstance(batch.x, Spikes)
    twice = torch.cat([batch.x.dense()] * 2, 1)
    learner.feedback(Batch(Spikes.from_dense(twice), batch.labels.repeat(2)))
    assert torch.allclose(weight.grad, 2 * once, rtol=1e-5, atol=1e-7)


def test_prediction_leaves_the_gradients_alone(net: Any, batch: Batch) -> None:
    learner = LFP(net, Epsilon(0.1), RateCoded())
    prediction = learner.predict(batch)
    counts = learner.counts(batch)
    assert torch.equal(prediction.classes, counts.argmax(-1))
    assert all(parameter.grad is None for parameter in net.parameters())


def test_layer_spikes_and_firing_agree(net: Any, batch: Batch) -> None:
    learner = LFP(net, Epsilon(0.1), RateCoded())
    spikes = learner.layer_spikes(batch)
    assert [layer.shape for layer in spikes.values()] == [(8, 5, 9), (8, 5, 3)]
    for name, rate in learner.engine.firing_rates.items():
        assert rate == pytest.approx(float(spikes[name].mean()))


def test_constant_current_is_shown_for_its_steps(net: Any) -> None:
    learner = LFP(net, Epsilon(0.1), RateCoded())
    still = Batch(torch.rand(4, 12), torch.zeros(4, dtype=torch.int64), steps=6)
    assert next(iter(learner.layer_spikes(still).values())).shape == (6, 4, 9)


def test_options_choose_rule_and_reward(net: Any) -> None:
    options = LEARNERS["lfp"].Options.model_validate(
        {
            "name": "lfp",
            "rule": {"name": "epsilon", "eps": 0.5},
            "reward": {"name": "softmax_rate", "a": 2.0},
        }
    )
    learner = LEARNERS["lfp"].from_options(net, options)
    assert isinstance(learner, LFP)
    assert learner.engine.rule == Epsilon(0.5)
    assert learner.reward == SoftmaxRate(2.0, at_silence=False)


def test_frozen_parameters_are_left_out(net: Any, batch: Batch) -> None:
    net[0].requires_grad_(False)
    learner = LFP(net, Epsilon(0.1), RateCoded())
    learner.feedback(batch)
    assert len(list(learner.parameters())) == 2
    assert net[0].weight.grad is None


def test_state_that_nobody_asked_for_is_refused(net: Any) -> None:
    learner = LFP(net, Epsilon(0.1), RateCoded())
    learner.load_state_dict(learner.state_dict())
    with pytest.raises(KeyError, match="trace"):
        learner.load_state_dict({"trace": torch.zeros(1)})


class HebbOptions(LearnerOptions):
    name: Literal["hebb"] = "hebb"


def test_a_subclass_with_a_name_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lfp_snn.learners.base.LEARNERS", registry := dict[str, type]())

    class Hebb(LFP, name="hebb"):
        Options: ClassVar[type[LearnerOptions]] = HebbOptions

    assert registry == {"hebb": Hebb}
    with pytest.raises(TypeError, match="must be Literal"):

        class Wrong(LFP, name="other"):
            Options: ClassVar[type[LearnerOptions]] = HebbOptions


def test_an_abstract_learner_cannot_be_made(net: Any) -> None:
    class Half(Learner):
        def feedback(self, batch: Any) -> Any: ...

    with pytest.raises(TypeError, match="abstract"):
        Half(net)  # type: ignore[abstract]


def test_options_of_the_whole_method(net: Any, batch: Batch) -> None:
    options = LEARNERS["lfp"].Options.model_validate(
        {
            "name": "lfp",
            "rule": {
                "name": "composite",
                "layers": [
                    {"position": "first", "rule": {"name": "zbox", "low": -1.0}},
                    {"type": "Linear", "name": "2", "rule": {"name": "gamma", "gamma": 0.5}},
                ],
                "default": {"name": "norm"},
            },
            "update": {"form": "lfp", "floor": 0.01, "normalise": "max", "clip": 1.0},
            "homeostasis": {"target": 0.1},
        }
    )
    learner = LEARNERS["lfp"].from_options(net, options)
    assert isinstance(learner, LFP)
    first, last = learner.engine.layers
    assert learner.engine.rules[first.name] == ZBox(-1.0)
    assert learner.engine.rules[last.synapses[0][0]] == Gamma(0.5)
    assert learner.engine.update == Update(floor=0.01)
    learner.feedback(batch)
    learner.after_step()
    assert set(learner.state_dict()) == {first.name, last.name}
    again = LEARNERS["lfp"].Options.model_validate(options.model_dump(mode="json"))
    assert again == options


@pytest.mark.parametrize("name", [*RULES, *COMPOSITES])
def test_every_rule_has_a_name_in_a_config_and_learns(net: Any, batch: Batch, name: str) -> None:
    options = LEARNERS["lfp"].Options.model_validate({"name": "lfp", "rule": {"name": name}})
    learner = LEARNERS["lfp"].from_options(net, options)
    learner.feedback(batch)
    grads = [p.grad for p in net.parameters()]
    assert all(grad is not None and bool(grad.isfinite().all()) for grad in grads)
    assert any(bool(grad.any()) for grad in grads)


def test_rescale_holds_a_rule_for_synapses_and_goes_with_credit(net: Any, batch: Batch) -> None:
    described = {"name": "rescale", "carry": "decay", "synapse": {"name": "gamma", "gamma": 0.5}}
    given = {"name": "lfp", "rule": described, "reward": {"name": "rate_coded", "at_silence": True}}
    options = LEARNERS["lfp"].Options.model_validate(given)
    assert LEARNERS["lfp"].Options.model_validate(options.model_dump(mode="json")) == options
    learner = LEARNERS["lfp"].from_options(net, options)
    assert set(learner.engine.rules.values()) == {Rescale(carry="decay", synapse=Gamma(0.5))}
    learner.feedback(batch)
    found = [p.grad.clone() for p in net.parameters() if p.grad is not None]
    # The reward enters as credit: by hand the same.
    reward = RateCoded(at_silence=True)
    spikes = learner.engine.forward(batch.x, steps=batch.steps, lengths=batch.lengths)
    learner.engine.backward(reward(spikes, batch.labels, lengths=batch.lengths), as_credit=True)
    assert len(found) == len(list(net.parameters()))
    for grad, parameter in zip(found, net.parameters(), strict=True):
        assert torch.equal(grad, parameter.grad)
    assert found[0].any()


@pytest.fixture
def voting() -> nn.Sequential:
    """Two voters for each of three classes."""
    torch.manual_seed(0)
    neurons = [snn.Leaky(0.9, init_hidden=True) for _ in range(2)]
    net = nn.Sequential(nn.Linear(12, 9), neurons[0], nn.Linear(9, 6), neurons[1], nn.AvgPool1d(2))
    for parameter in (net[0].weight, net[2].weight):
        assert isinstance(parameter, nn.Parameter)
        parameter.data.mul_(3)
    return net


@pytest.mark.parametrize(
    "reward", [name for name, kind in REWARDS.items() if issubclass(kind, CreditReward)]
)
def test_votes_take_rewards_that_are_credit(
    voting: nn.Sequential, batch: Batch, reward: str
) -> None:
    options = {"name": "lfp", "rule": {"name": "rescale"}, "reward": {"name": reward}}
    learner = LEARNERS["lfp"].from_options(voting, LEARNERS["lfp"].Options.model_validate(options))
    assert isinstance(learner, LFP)
    assert learner.reward.is_credit
    result = learner.feedback(batch)
    found = [p.grad for p in voting.parameters()]
    assert all(grad is not None and bool(grad.any()) for grad in found)
    # The class with the most votes is read.
    assert torch.equal(result.classes, learner.counts(batch).argmax(-1))


def test_votes_refuse_other_rewards_of_spikes(voting: nn.Sequential) -> None:
    rescale = Rescale()
    for rule, reward in (
        (Epsilon(0.1), RateCoded()),
        (rescale, RateCoded(at_silence=False)),
        (rescale, FirstSpike()),
    ):
        with pytest.raises(ConfigError, match=r"looks at spikes.*votes are rewarded under"):
            LFP(voting, rule, reward)
    LFP(voting, Epsilon(0.1), SoftmaxValues())


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"name": "rescale", "gate": "open"}, "gate"),
        ({"name": "rescale", "eps": -1.0}, "Rescale.eps is -1"),
        ({"name": "gamma", "gamma": -1.0}, "Gamma.gamma is -1"),
        ({"name": "zplus", "alpha": 1.0}, "unknown keys"),
        ({"name": "composite", "layers": []}, "at least 1"),
        ({"name": "composite", "layers": [{"rule": {"name": "flat"}}]}, "to nothing"),
    ],
)
def test_wrong_rules_are_told(rule: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LEARNERS["lfp"].Options.model_validate({"name": "lfp", "rule": rule})


def at_end(last: Rule, others: Rule) -> Composite:
    return Composite((Assignment(last, position="last"),), default=others)


@pytest.mark.parametrize(
    ("rule", "given", "credit"),
    [
        (Rescale(), None, True),
        (Rescale(), False, False),
        (Epsilon(), None, False),
        (Epsilon(), True, True),
        (at_end(Rescale(), Epsilon()), None, True),
        (at_end(Epsilon(), Rescale()), None, False),
    ],
)
def test_a_reward_leaves_it_to_the_rule_at_the_output_whether_it_is_credit(
    net: Any, rule: Rule | Composite, given: bool | None, credit: bool
) -> None:
    for reward in (RateCoded(at_silence=given), SoftmaxRate(at_silence=given)):
        learner = LFP(net, rule, reward)
        assert learner.reward.is_credit is credit
        assert learner.reward == replace(reward, at_silence=credit)


def test_what_is_no_reward_and_no_batch_is_told(net: Any, batch: Batch) -> None:
    wrong: Any = RateCoded
    with pytest.raises(ConfigError, match="The reward is <class .*RateCoded'>; expected a Reward"):
        LFP(net, Epsilon(), wrong)
    given: Any = (batch.x, batch.labels)
    learner = LFP(net, Epsilon(), RateCoded())
    for use in (learner.feedback, learner.predict):
        with pytest.raises(ShapeError, match="takes a batch, not a tuple: lfp_snn.data.Batch"):
            use(given)
