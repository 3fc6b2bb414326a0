"""Whatever can be named in a config trains: a new learner, reward, rule, model or kind of layer is
tested by being there.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from lfp_snn.learners import LEARNERS
from lfp_snn.models import MODELS
from lfp_snn.models.layer import KINDS
from lfp_snn.models.neurons import NeuronsSpec, ReadoutSpec
from lfp_snn.models.norms import NormSpec
from lfp_snn.models.units import ActivationSpec
from lfp_snn.rewards import REWARDS
from lfp_snn.rules import COMPOSITES, RULES
from tests.matrix.workspace import SMALL_DIGITS, run_cli, small_model

pytestmark = pytest.mark.usefixtures("empty_folder", "no_reports")

#: Networks by what a reward looks at.
ENDINGS = {
    "spikes": "lif",
    "membranes": "readout",
    "values": None,
    "any": "lif",
}
#: Kinds of layers that are no units, with what they ask for, on maps and then on flat inputs.
MAPS = [
    "{conv: 2, kernel: 3, stride: 2}", "batchnorm", "lif", "{dropout: 0.1}", "{maxpool: 2}",
    "{residual: [{conv: 2, kernel: 3, padding: same}, lif]}", "{avgpool: 2}", "identity",
    "{parallel: [[identity], [identity]]}", "{adaptive_maxpool: 3}", "{adaptive_avgpool: 2}",
    "{attention: 1}",
    "flatten", "{unflatten: [4, 4]}", "flatten", "{linear: 8}", "lif",
]  # fmt: skip


#: Every kind of normalisation, for maps, with how credit goes through its statistics.
NORMS = [
    "{batchnorm: {STATISTICS}}", "{batchnorm_through_time: 4, STATISTICS}",
    "{layernorm: {STATISTICS}}", "{groupnorm: 2, STATISTICS}", "{instancenorm: {STATISTICS}}",
]  # fmt: skip


def train(*changes: str) -> dict[str, object]:
    """Train DVS-digits for a tiny epoch; the line that it leaves in metrics.jsonl."""
    small = list(SMALL_DIGITS)
    if any(change.startswith("model") for change in changes):
        small.remove("model.hidden=[16]")
    result = run_cli(["train", "digits", *small, *changes, "--out", "run"])
    assert result.exit_code == 0, result.output
    told = json.loads(Path("run/result.json").read_text())
    (metrics,) = map(json.loads, Path("run/metrics.jsonl").read_text().splitlines())
    assert math.isfinite(metrics["reward"])
    assert 0 <= told["test_accuracy"] <= 1
    assert told["firing"].keys() == metrics["firing"].keys()
    return dict(metrics)


def layers(*middle: str, last: str | None = "lif") -> str:
    """The setting of a network of these layers between two synapses."""
    end = ["{linear: classes}", *([last] if last else [])]
    return f"model={{name: layers, layers: [{', '.join([*middle, *end])}]}}"


@pytest.mark.parametrize("learner", LEARNERS)
def test_every_learner_trains(learner: str) -> None:
    metrics = train(f"learner={{name: {learner}}}")
    assert (metrics["feedback_norm"] == 0) == (learner == "step_gradient")


@pytest.mark.parametrize("reward", REWARDS)
def test_every_reward_trains(reward: str) -> None:
    network = layers("flatten", "{linear: 8}", "lif", last=ENDINGS[REWARDS[reward].looks_at])
    assert train(network, f"learner.reward.name={reward}")["feedback_norm"] != 0


@pytest.mark.parametrize("rule", [*RULES, *COMPOSITES])
def test_every_rule_trains(rule: str) -> None:
    assert train(f"learner.rule={{name: {rule}}}")["feedback_norm"] != 0


@pytest.mark.parametrize("kind", [k for k, v in KINDS.items() if issubclass(v, NeuronsSpec)])
def test_every_kind_of_neuron_trains(kind: str) -> None:
    if issubclass(KINDS[kind], ReadoutSpec):
        network = layers("flatten", "{linear: 8}", "lif", last=kind)
        metrics = train(network, "learner.reward.name=membrane_coded")
    else:
        metrics = train(layers("flatten", "{linear: 8}", kind, last=kind))
    assert metrics["feedback_norm"] != 0


@pytest.mark.parametrize("kind", [k for k, v in KINDS.items() if issubclass(v, ActivationSpec)])
def test_every_kind_of_activation_trains(kind: str) -> None:
    assert train(layers("flatten", "{linear: 8}", kind))["feedback_norm"] != 0


def test_every_other_kind_of_layer_trains() -> None:
    others = {
        k for k, v in KINDS.items() if not issubclass(v, NeuronsSpec | ActivationSpec | NormSpec)
    }
    assert {kind for kind in others if not any(kind in layer for layer in MAPS)} == {"votes"}
    assert train(layers(*MAPS))["feedback_norm"] != 0


def test_votes_train() -> None:
    voting = "model={name: layers, layers: [flatten, {linear: 20}, lif, {votes: 2}]}"
    assert train(voting, "learner.rule.name=rescale")["feedback_norm"] != 0


@pytest.mark.parametrize("statistics", ["fixed", "through"])
def test_every_norm_trains(statistics: str) -> None:
    known = {kind for kind, v in KINDS.items() if issubclass(v, NormSpec)}
    assert {norm[1:].partition(":")[0] for norm in NORMS} == known
    norms = [norm.replace("STATISTICS", f"statistics: {statistics}") for norm in NORMS]
    body = [layer for norm in norms for layer in ("{conv: 4, kernel: 3}", norm, "lif")]
    assert train(layers(*body, "flatten"))["feedback_norm"] != 0


@pytest.mark.parametrize("model", [name for name in MODELS if name not in ("layers", "own")])
def test_every_model_trains(model: str) -> None:
    options = [f"model.{option}" for option in small_model(model)]
    assert train(f"model={{name: {model}}}", *options)["feedback_norm"] != 0
