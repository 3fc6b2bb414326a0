from __future__ import annotations

import json

import numpy as np
import pytest
import snntorch as snn
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from lfp_snn.analysis.explain.attribute import Explainer, by_sample
from lfp_snn.analysis.explain.faithfulness import (
    activity,
    flip,
    gradient_times_input,
    interval,
    jittered,
    ranks,
    scores_by_method,
    stability,
)
from lfp_snn.analysis.explain.measure import figure_of_curves, measure
from lfp_snn.analysis.explain.target import Contrast, OfClass
from lfp_snn.data import Batch
from lfp_snn.errors import DataError
from lfp_snn.learners import LEARNERS
from lfp_snn.learners.lfp import LFPOptions
from lfp_snn.rules import Norm
from lfp_snn.spikes import Spikes


def trains(seed: int = 0, density: float = 0.3) -> Spikes:
    drawn = np.random.default_rng(seed).random((6, 4, 1, 2, 4)) < density
    return Spikes.from_dense(torch.from_numpy(drawn).float())


def chooser() -> nn.Module:
    """Unit i of the output spikes when input i is active; nothing else is connected."""
    neurons = snn.Leaky(beta=0.0, init_hidden=True, reset_mechanism="none")
    linear = nn.Linear(8, 8)
    with torch.no_grad():
        linear.weight.copy_(2 * torch.eye(8))
        linear.bias.zero_()
    return nn.Sequential(nn.Flatten(), linear, neurons)


def explainer_of(net: nn.Module) -> Explainer:
    return Explainer(LEARNERS["lfp"].from_options(net.eval(), LFPOptions()), Norm())


def batch_of(x: Spikes, labels: Tensor | None = None) -> Batch:
    return Batch(x, torch.zeros(x.batch, dtype=torch.int64) if labels is None else labels)


def test_ranks_fall_with_the_score_within_each_sample() -> None:
    x = trains()
    scores = torch.from_numpy(np.random.default_rng(2).normal(size=x.nnz))
    place = ranks(x, scores)
    samples = x.rows() // x.steps
    for sample in range(x.batch):
        own = samples == sample
        n = int(own.sum())
        order = place[own][scores[own].argsort(descending=True)]
        torch.testing.assert_close(order, torch.arange(n).double() / n)


def test_equal_scores_are_put_in_a_random_order_that_follows_from_the_seed() -> None:
    x = trains()
    one = ranks(x, torch.zeros(x.nnz), seed=3)
    assert torch.equal(one, ranks(x, torch.zeros(x.nnz), seed=3))
    assert not torch.equal(one, ranks(x, torch.zeros(x.nnz), seed=4))


def test_flipping_finds_the_entries_that_matter() -> None:
    # Output 3 needs input 3 and no other: it is the only one with relevance for class 3.
    x = trains(density=0.6)
    explainer, batch = explainer_of(chooser()), batch_of(x, torch.full((4,), 3))
    found = explainer.attribute(batch, OfClass(3))
    assert set(x.indices[found.relevance != 0].tolist()) == {3}
    curves = flip(explainer, batch, found.relevance, found.chosen, shares=(0.0, 0.5, 1.0))
    assert (curves.most[0] > 0).all()
    np.testing.assert_allclose(curves.most[0], curves.least[0])
    assert (curves.most[1] == 0).all()  # all of input 3 is gone
    assert (curves.least[1] > curves.least[0]).all()  # and here much of the others is
    for end in (curves.most, curves.least, curves.right_most, curves.right_least):
        assert (end[2] == 0).all()  # nothing is left, and nothing is said
    np.testing.assert_allclose(curves.areas, curves.least[1] / 2)


def test_activity_counts_the_steps_of_a_pixel() -> None:
    x = trains()
    counts = x.dense().sum(0).expand(x.shape)
    torch.testing.assert_close(activity(x), x.gather(counts).double())


def test_gradient_times_input_is_that_of_autograd() -> None:
    torch.manual_seed(0)
    x = trains()
    net = nn.Sequential(nn.Flatten(), nn.Linear(8, 3), snn.Leaky(beta=0.0, init_hidden=True))
    weights = torch.tensor([[1.0, 0.0, -1.0]]).expand(4, 3)
    found = gradient_times_input(net, batch_of(x), weights)
    # Without memory u = W x + b; snntorch's arctan has the slope a / 2 / (1 + (pi a u / 2)^2).
    with torch.no_grad():
        dense = x.dense().flatten(2)
        u = net[1](dense) - 1
        reset = torch.zeros_like(u)
        reset[1:] = (u[:-1] > 0).float()
        # A reset lowers the next membrane; it is detached.
        for t in range(1, len(u)):
            reset[t] = ((u[t - 1] - reset[t - 1]) > 0).float()
        slope = 1 / (1 + (torch.pi * (u - reset)) ** 2)
        expected = x.gather(((slope * weights) @ net[1].weight).view(x.shape))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    assert net[2].spike_grad is not None and all(p.grad is None for p in net.parameters())


@given(st.integers(0, 1000), st.floats(0, 3))
def test_jitter_moves_entries_in_time_only(seed: int, sigma: float) -> None:
    x = trains(seed % 7)
    found = jittered(x, sigma, seed)
    found.validate()
    assert found.shape == x.shape
    before, after = x.dense().sum(0), found.dense().sum(0)
    assert (after <= before).all()  # some may meet
    assert torch.equal(after > 0, before > 0)
    if sigma == 0:
        assert found == x


def test_jitter_keeps_values() -> None:
    x = trains()
    x = Spikes(x.indptr, x.indices, x.shape, torch.full((x.nnz,), 3.0))
    found = jittered(x, 1.0)
    assert found.values is not None and (found.values == 3).all()


def test_an_explanation_without_jitter_is_stable() -> None:
    explainer, batch = explainer_of(chooser()), batch_of(trains(density=0.6))
    np.testing.assert_allclose(stability(explainer, batch, OfClass(1), 0.0), 1)


def test_interval_holds_the_mean() -> None:
    values = np.random.default_rng(0).normal(1, 1, 50)
    found = interval(values)
    half = 1.96 * values.std() / np.sqrt(50)
    assert found.low < values.mean() < found.high
    assert found.high - found.low == pytest.approx(2 * half, rel=0.15)
    assert interval(np.ones(3)).low == 1


def test_all_methods_of_a_run_on_one_page() -> None:
    explainer, batch = explainer_of(chooser()), batch_of(trains(density=0.6))
    found = measure(explainer, batch, Contrast())
    assert list(found.curves) == ["LFP", "gradient x input", "spike count", "random"]
    areas = found.areas
    assert areas["LFP"].mean > areas["random"].mean + 0.1
    assert found.conservation_error < 1e-6
    assert found.to_json()["curves"]["LFP"]["shares"][-1] == 1
    assert len(figure_of_curves([found, found]).axes) == 2


def test_lfp_scores_of_a_contrast_are_of_both_classes() -> None:
    explainer, batch = explainer_of(chooser()), batch_of(trains(density=0.6))
    scores, found = scores_by_method(explainer, batch, Contrast(1, 2))
    counts = found.outputs.scores
    entered = counts[:, 1] - counts[:, 2]
    torch.testing.assert_close(by_sample(spikes(batch), scores["LFP"]), entered)


def spikes(batch: Batch) -> Spikes:
    assert isinstance(batch.x, Spikes)
    return batch.x


def test_a_constant_input_has_no_events_to_remove() -> None:
    batch = Batch(torch.rand(4, 1, 2, 4), torch.zeros(4, dtype=torch.int64), steps=6)
    with pytest.raises(DataError, match="no events to remove"):
        measure(explainer_of(chooser()), batch, OfClass())


class Loop(nn.Module):
    """A layer that loops over time, with the state by hand."""

    def __init__(self, fc: nn.Linear) -> None:
        super().__init__()
        self.fc, self.lif = fc, snn.Leaky(beta=0.8)

    def forward(self, x: Tensor) -> Tensor:
        mem, record = self.lif.init_leaky(), []
        for frame in x:
            spk, mem = self.lif(self.fc(frame.flatten(1)), mem)
            record.append(spk)
        return torch.stack(record).sum(0)


def test_a_loop_over_time_has_the_gradient_of_its_step() -> None:
    torch.manual_seed(0)
    x, fc = trains(), nn.Linear(8, 3)
    net = nn.Sequential(nn.Flatten(), fc, snn.Leaky(beta=0.8, init_hidden=True))
    weights = torch.tensor([[1.0, 0.0, -1.0]]).expand(4, 3)
    expected = gradient_times_input(net, batch_of(x), weights)
    assert expected.any()
    torch.testing.assert_close(gradient_times_input(Loop(fc), batch_of(x), weights), expected)


def test_explanations_that_are_all_alike_have_no_stability() -> None:
    linear = nn.Linear(8, 3)
    with torch.no_grad():
        linear.weight.zero_()
        linear.bias.fill_(-1)
    net = nn.Sequential(nn.Flatten(), linear, snn.Leaky(beta=0.8, init_hidden=True))
    found = measure(explainer_of(net), batch_of(trains()), OfClass())
    assert found.stability is None and json.dumps(found.to_json(), allow_nan=False)
