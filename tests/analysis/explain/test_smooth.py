from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lfp_snn.analysis.explain.attribute import Explainer, by_sample
from lfp_snn.analysis.explain.measure import measure
from lfp_snn.analysis.explain.smooth import SmoothExplainer
from lfp_snn.analysis.explain.target import Contrast, OfClass, OfReward
from lfp_snn.data import Batch, SampleSet
from lfp_snn.errors import DataError
from lfp_snn.learners import LEARNERS
from lfp_snn.learners.lfp import LFPOptions
from lfp_snn.rewards import RateCoded
from lfp_snn.rules import Epsilon
from lfp_snn.spikes import Spikes


@pytest.fixture
def smooth(explainer: Explainer) -> SmoothExplainer:
    learner = LEARNERS["lfp"].from_options(explainer.engine.net, LFPOptions())
    return SmoothExplainer(learner, Epsilon(conserving=True), partitions=2)


def spikes_of(batch: Batch) -> Spikes:
    assert isinstance(batch.x, Spikes)
    return batch.x


def test_each_entry_is_there_equally_often(smooth: SmoothExplainer, recordings: SampleSet) -> None:
    batch = recordings.batch(range(len(recordings)))
    parts: list[Spikes] = []

    def ones(part: Batch) -> Tensor:
        parts.append(spikes_of(part))
        return torch.ones(parts[-1].nnz)

    assert torch.equal(smooth.mean(batch, ones), torch.ones(spikes_of(batch).nnz).double())
    assert len(parts) == 8
    sizes = by_sample(spikes_of(batch), torch.ones(spikes_of(batch).nnz))
    for part in parts:  # three quarters of each recording, to an entry
        left = by_sample(part, torch.ones(part.nnz))
        assert ((left - 0.75 * sizes).abs() < 1).all()
    assert not torch.equal(parts[0].dense(), parts[4].dense())  # another partition


def test_it_is_the_mean_of_explanations_of_the_same_question(
    explainer: Explainer, smooth: SmoothExplainer, recordings: SampleSet
) -> None:
    batch = recordings.batch(range(len(recordings)))
    whole = explainer.attribute(batch, Contrast())
    weights = Contrast().weights(whole.outputs, batch)
    masks: list[Tensor] = list(smooth._parts(spikes_of(batch), batch.ids))
    total = torch.zeros(len(masks), spikes_of(batch).nnz)
    for row, kept in zip(total, masks, strict=True):
        part = replace(batch, x=spikes_of(batch).keep(kept))
        spikes = explainer.run(part, record=True).spikes
        relevance = explainer.engine.backward(spikes * weights, input_relevance=True)
        assert relevance is not None
        row[kept] = relevance
    found = smooth.attribute(batch, Contrast())
    torch.testing.assert_close(found.relevance, total.sum(0) / 6)
    assert torch.equal(found.chosen, whole.chosen)
    assert found.against is not None and whole.against is not None
    assert torch.equal(found.against, whole.against)
    assert torch.equal(found.outputs.spikes, whole.outputs.spikes)
    assert found.method == (
        "rule Epsilon(conserving=True), mean over 8 copies without a random quarter of the events"
    )


def test_what_conserves_still_does(smooth: SmoothExplainer, recordings: SampleSet) -> None:
    found = smooth.attribute(recordings.batch(range(len(recordings))), OfClass(4))
    assert float(found.entered.sum()) > 0
    assert found.conservation_error < 1e-4
    torch.testing.assert_close(found.neurons["4"].sum(1), found.entered)


def test_a_recording_is_explained_alike_alone_and_among_others(
    smooth: SmoothExplainer, recordings: SampleSet
) -> None:
    batch = recordings.batch(range(len(recordings)))
    together = smooth.attribute(batch, OfClass(4)).entered
    alone = [smooth.attribute(recordings.batch([n]), OfClass(4)).entered for n in range(len(batch))]
    torch.testing.assert_close(together, torch.cat(alone))


def test_a_reward_is_that_of_each_part(smooth: SmoothExplainer, recordings: SampleSet) -> None:
    batch = recordings.batch(range(len(recordings)))
    target, total = OfReward(RateCoded()), torch.zeros(len(batch))
    for kept in smooth._parts(spikes_of(batch), batch.ids):
        part = replace(batch, x=spikes_of(batch).keep(kept))
        total += target(smooth.run(part), part).sum((0, 2))
    torch.testing.assert_close(smooth.attribute(batch, target).entered, total / 6)


def test_the_gradient_is_smoothed_too_for_comparison(
    smooth: SmoothExplainer, recordings: SampleSet
) -> None:
    told: list[float] = []
    batch = recordings.batch(range(len(recordings)))
    found = measure(smooth, batch, OfClass(), done=told.append)
    assert "gradient x input, smoothed" in found.curves
    assert told == sorted(told) and len(told) == 6 and 0 < told[0] < told[-1] < 1


def test_an_input_without_events_is_explained_as_it_is(
    smooth: SmoothExplainer, explainer: Explainer, recordings: SampleSet
) -> None:
    images = torch.rand(2, *recordings.feature_shape)
    constant = Batch(images, torch.zeros(2, dtype=torch.int64), steps=3)
    plain = explainer.attribute(constant, OfClass(4))
    found = smooth.attribute(constant, OfClass(4))
    assert torch.equal(found.relevance, plain.relevance) and found.method == plain.method
    with pytest.raises(DataError, match="Smoothing leaves events out"):
        smooth.mean(constant, lambda part: images)
