"""What classes are read from where a network ends in no spikes, or in the votes of some."""

from __future__ import annotations

import snntorch as snn
import torch
from torch import nn

from lfp_snn.analysis.explain.attribute import Explainer
from lfp_snn.analysis.explain.outputs import Outputs, evidence, said
from lfp_snn.analysis.explain.target import Contrast, OfClass, OfShare
from lfp_snn.data import Batch
from lfp_snn.learners import LEARNERS
from lfp_snn.learners.lfp import LFPOptions
from lfp_snn.rewards import ties
from lfp_snn.rules import Epsilon
from lfp_snn.spikes import Spikes

LENGTHS = torch.tensor([6, 4, 6])


def ending_in(*last: nn.Module) -> nn.Sequential:
    """A network of hidden neurons that spike, and what comes behind them, without biases."""
    torch.manual_seed(0)
    hidden = [nn.Linear(8, 12, bias=False), snn.Leaky(beta=0.9, threshold=0.2, init_hidden=True)]
    return nn.Sequential(*hidden, nn.Linear(12, 6, bias=False), *last).double().eval()


def batch() -> Batch:
    draw = torch.Generator().manual_seed(1)
    x = Spikes.from_dense(torch.rand(6, 3, 8, generator=draw) < 0.5)
    return Batch(x, torch.tensor([0, 1, 2]), lengths=LENGTHS)


def explainer(net: nn.Module) -> Explainer:
    learner = LEARNERS["lfp"].from_options(net, LFPOptions())
    return Explainer(learner, Epsilon(eps=1e-9, conserving=True))


def test_a_value_is_explained_by_what_it_is_read_from() -> None:
    explains = explainer(ending_in())
    found = explains.attribute(batch(), OfClass(2))
    outputs = found.outputs
    assert outputs.emits == "values" and (outputs.scores < 0).any()
    own = [outputs.spikes[:length, n].mean(0) for n, length in enumerate(LENGTHS.tolist())]
    torch.testing.assert_close(outputs.scores, torch.stack(own))
    torch.testing.assert_close(found.entered, outputs.scores[:, 2])
    assert found.conservation_error < 1e-6
    assert bool(outputs.speaks.all())
    torch.testing.assert_close(outputs.shares, outputs.scores.softmax(1))
    # The class beside the one that is read is the next, also where all scores are below zero.
    low = Outputs(*(outputs.spikes - 9,) * 2, outputs.prediction, outputs.evidence - 9, "values")
    other = Contrast().against(low, batch())
    assert torch.equal(other, outputs.scores.topk(2, 1).indices[:, 1])


def test_the_share_of_a_value_is_explained_by_its_derivative() -> None:
    draw = torch.Generator().manual_seed(0)
    values = torch.randn(4, 3, 5, generator=draw, dtype=torch.float64)
    lengths = torch.tensor([4, 2, 4])
    seen = evidence(values, lengths, "values")
    outputs = Outputs(values, values, ties(seen.sum(0)), seen, "values")
    entered = OfShare(1)(outputs, Batch(torch.zeros(3, 1), lengths, steps=4))

    scores = outputs.scores.requires_grad_()
    (grad,) = torch.autograd.grad(scores.log_softmax(1)[:, 1].sum(), scores)
    torch.testing.assert_close(entered, seen * grad)


def test_votes_count_as_what_they_are() -> None:
    voters = snn.Leaky(beta=0.9, threshold=0.2, init_hidden=True, output=False)
    net = ending_in(voters, nn.Unflatten(1, (1, 6)), nn.AvgPool1d(2), nn.Flatten())
    outputs = explainer(net).run(batch())
    halves = outputs.scores * 2 * LENGTHS[:, None]
    assert (halves % 2 != 0).any()
    torch.testing.assert_close(halves, halves.round())
    torch.testing.assert_close(outputs.shares.sum(1), torch.ones(3, dtype=torch.float64))


def test_scores_are_said_as_what_they_are() -> None:
    assert said(12.0, "spikes") == "12 spikes"
    assert said(1.5, "spikes") == "1.50 spikes"
    assert said(-0.123, "values") == "value -0.12"
