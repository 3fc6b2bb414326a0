from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from lfp_snn.analysis.explain.attribute import Explainer, by_sample
from lfp_snn.analysis.explain.outputs import Outputs
from lfp_snn.analysis.explain.target import (
    Contrast,
    OfClass,
    OfLabel,
    OfReward,
    OfShare,
    class_number,
)
from lfp_snn.data import Batch, SampleSet
from lfp_snn.engine import TemporalLFP
from lfp_snn.errors import ConfigError, DataError, NetworkError
from lfp_snn.learners import LEARNERS
from lfp_snn.learners.lfp import LFPOptions
from lfp_snn.rewards import RateCoded, ties
from lfp_snn.rules import Epsilon, EpsilonPlusFlat, Norm, Rescale
from lfp_snn.spikes import Spikes
from tests.engine.compare import leaky, strong, trains


def whole(recordings: SampleSet) -> Batch:
    return recordings.batch(range(len(recordings)))


def test_relevance_and_biases_are_what_entered(explainer: Explainer, recordings: SampleSet) -> None:
    batch = whole(recordings)
    found = explainer.attribute(batch, OfClass(4))
    assert isinstance(batch.x, Spikes)
    assert found.relevance.shape == (batch.x.nnz,)
    assert float(found.entered.sum()) > 0
    assert abs(found.of_biases) > 1e-3
    assert found.conservation_error < 1e-4
    assert all(p.grad is None for p in explainer.engine.parameters())
    lossy = Explainer(
        LEARNERS["lfp"].from_options(explainer.engine.net, LFPOptions()), Epsilon(0.5)
    )
    assert lossy.attribute(batch, OfClass(4)).conservation_error > 0.05
    share = explainer.attribute(batch, OfShare(4))  # enters as nothing in sum
    assert float(share.entered.abs().sum()) < 1e-4 < float(share.size.sum())
    assert share.conservation_error < 1e-4


def test_neurons_and_samples_add_up(explainer: Explainer, recordings: SampleSet) -> None:
    batch = whole(recordings)
    found = explainer.attribute(batch, OfClass(4))
    hidden, output = found.neurons.values()
    assert hidden.shape == (len(batch), 12) and output.shape == (len(batch), 10)
    torch.testing.assert_close(output.sum(1), found.entered)
    torch.testing.assert_close(output[:, 4], found.outputs.scores[:, 4])
    alone = [explainer.attribute(recordings.batch([n]), OfClass(4)) for n in range(len(batch))]
    torch.testing.assert_close(torch.cat([each.neurons["2"] for each in alone]), hidden)
    assert isinstance(batch.x, Spikes)
    sums = torch.stack([each.relevance.sum() for each in alone])
    torch.testing.assert_close(by_sample(batch.x, found.relevance), sums, rtol=1e-4, atol=1e-5)


def test_what_silent_inputs_get_is_told(explainer: Explainer, recordings: SampleSet) -> None:
    learner = LEARNERS["lfp"].from_options(explainer.engine.net, LFPOptions())
    found = Explainer(learner, EpsilonPlusFlat()).attribute(whole(recordings), OfClass(4))
    assert found.silent.abs().sum() > found.relevance.abs().sum()  # most inputs are silent


def test_targets(explainer: Explainer, recordings: SampleSet) -> None:
    batch = whole(recordings)
    outputs = explainer.run(batch)
    counts = outputs.scores
    assert torch.equal(OfClass()(outputs, batch).sum((0, 2)), counts.max(1).values)
    assert torch.equal(OfLabel().chosen(outputs, batch), batch.labels)
    contrast = Contrast()
    entered = contrast(outputs, batch).sum(0)
    best = counts.topk(2, 1).values
    torch.testing.assert_close(entered.sum(1), best[:, 0] - best[:, 1])
    assert (contrast.chosen(outputs, batch) != contrast.against(outputs, batch)).all()
    reward = RateCoded()
    torch.testing.assert_close(
        OfReward(reward)(outputs, batch), reward(outputs.spikes, batch.labels)
    )
    assert contrast.text(list("ab"), 1, 0) == "for class b and not a"


def test_a_share_is_explained_by_its_derivative() -> None:
    draw = torch.Generator().manual_seed(0)
    spikes = (torch.rand(9, 4, 5, generator=draw, dtype=torch.float64) < 0.5).double()
    spikes[:, 3] = 0  # an output that says nothing
    prediction = ties(spikes.sum(0))
    batch = Batch(torch.zeros(4, 1), torch.zeros(4, dtype=torch.int64), steps=9)
    outputs = Outputs(spikes, spikes, prediction, spikes)
    entered = OfShare(2)(outputs, batch)
    counts = spikes.sum(0).requires_grad_()
    (grad,) = torch.autograd.grad((counts[:3, 2] / counts[:3].sum(1)).sum(), counts)
    expected = spikes * grad * counts.detach().sum(1, keepdim=True)
    torch.testing.assert_close(entered[:, :3], expected[:, :3])
    torch.testing.assert_close(entered.sum((0, 2)), torch.zeros(4, dtype=torch.float64))
    assert OfShare().text(list("abcde"), 1, None) == "for the share of class b"


def test_mistakes_are_told(explainer: Explainer, recordings: SampleSet) -> None:
    with pytest.raises(ConfigError, match=r"--class is 'x', which is no class; there are a, b"):
        class_number("x", ("a", "b"), "--class")
    with pytest.raises(ConfigError, match="contrasted with itself"):
        Contrast(1, 1)
    batch = whole(recordings)
    assert isinstance(batch.x, Spikes)
    with pytest.raises(DataError, match="index lists"):
        explainer.attribute(replace(batch, x=batch.x.dense()), OfClass())


def test_a_readout_is_refused_with_what_the_caller_can_do() -> None:
    net = nn.Sequential(
        nn.Linear(4, 3), leaky(threshold=float("inf"), reset_mechanism="none", output=True)
    )
    learner = LEARNERS["lfp"].from_options(net, LFPOptions())
    advice = "take one whose outputs have a threshold within reach and a reset"
    with pytest.raises(NetworkError, match=rf"they are a readout\): {advice}\.$"):
        Explainer(learner, Norm())
    with pytest.raises(NetworkError, match=rf"{advice}, or go by another way\.$"):
        Explainer(learner, Norm(), instead="go by another way")


def test_what_has_no_network_is_no_learner() -> None:
    bare: Any = nn.Linear(3, 2)
    with pytest.raises(ConfigError, match="The learner is a Linear; expected one that has its"):
        Explainer(bare, Norm())


def test_statistics_of_a_layer_norm_are_held_fixed() -> None:
    """Through them, as the rule trains, what leaves the norm downwards would sum to nothing."""
    torch.manual_seed(0)
    layers = (nn.Linear(6, 8), nn.LayerNorm(8), leaky(), nn.Linear(8, 3), leaky())
    net = strong(nn.Sequential(*layers))
    learner = LEARNERS["lfp"].from_options(net, LFPOptions())
    x = trains(7, 4, 6)
    found = []
    for engine in (Explainer(learner, Rescale()).engine, TemporalLFP(net, statistics="fixed")):
        spikes = engine.forward(x)
        found.append(engine.backward(torch.ones_like(spikes), input_relevance=True))
    torch.testing.assert_close(*found, rtol=0, atol=0)
    through = TemporalLFP(net, statistics="through")
    relevance = through.backward(torch.ones_like(through.forward(x)), input_relevance=True)
    assert not torch.equal(torch.as_tensor(relevance), torch.as_tensor(found[0]))
