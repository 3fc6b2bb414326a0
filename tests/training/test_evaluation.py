"""What an evaluation tells of networks of every kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from lfp_snn.data import Events, SampleSet
from lfp_snn.data.event_set import EventSet
from lfp_snn.data.options import SpikeOptions
from lfp_snn.data.registry import parse_options
from lfp_snn.data.sets import Draw
from lfp_snn.errors import ConfigError
from lfp_snn.learners.lfp import LFP
from lfp_snn.models import build
from lfp_snn.rewards import RateCoded
from lfp_snn.rules import Epsilon
from lfp_snn.training.evaluation import evaluate
from tests.learners.networks import NETWORKS, bind
from tests.training.conftest import make_splits

FIRING = {
    "in spikes": ["1", "3"],
    "in membranes": ["1"],
    "in values": ["1"],
    "in spikes, behind an activation": ["1", "3"],
    "in values, without neurons": ["1"],
}


@pytest.mark.parametrize("network", NETWORKS)
def test_firing_is_told_of_units_that_can_fire(network: str) -> None:
    """Activations are among them; a readout, at zero by its nature, is not taken for dead."""
    learner = bind("lfp", network)
    found = evaluate(learner, make_splits().test, batch_size=4)
    assert list(found.firing) == FIRING[network]
    batch = make_splits().test.batch(range(15))
    learner.run(batch)
    assert found.firing == pytest.approx(learner.engine.firing_rates)


def lines(augment: list[dict[str, Any]], steps: int = 5) -> SampleSet:
    """Recordings of two classes that are nothing but a column of pixels, left or right of a gap."""
    options = parse_options("digits", {"steps": steps, "augment": augment})
    assert isinstance(options, SpikeOptions)
    labels = np.arange(12) % 2

    def read(rows: Any) -> Events:
        parts = []
        for row in rows:
            t = np.arange(0, 1000, 10)
            x = np.full(100, 2 + 5 * labels[row], np.int16)
            y = (np.arange(100) % 10).astype(np.int16)
            parts.append(Events(x, y, t + 7 * int(row), np.ones(100, np.uint8), (2, 10, 10)))
        return Events.joined(parts)

    ids = [str(n) for n in range(12)]
    return EventSet(read, options, (2, 10, 10), labels, ids, classes=("left", "right"))


def reader(samples: SampleSet) -> LFP:
    torch.manual_seed(0)
    net = build("mlp", samples.feature_shape, 2, hidden=[8], scale=4.0)
    return LFP(net, Epsilon(0.1), RateCoded())


def test_copies_vote_by_their_mean_scores() -> None:
    """Each copy is the sample as it is drawn in an epoch of that number; the first, as it is."""
    samples = lines([{"name": "shift", "pixels": 3}, {"name": "drop_event", "ratio": 0.9}])
    learner = reader(samples)
    found = evaluate(learner, samples, batch_size=5, votes=4)
    counts, rates = [], []
    for draw in (None, Draw(0, 1), Draw(0, 2), Draw(0, 3)):
        counts.append(learner.counts(samples.batch(range(12), draw)))
        rates.append(learner.engine.firing_rates)
    assert not torch.equal(counts[0], counts[1]) and not torch.equal(counts[1], counts[2])
    read = torch.stack(counts).mean(0).argmax(-1)
    labels = torch.from_numpy(samples.labels)
    assert found.accuracy == pytest.approx(float((read == labels).double().mean()))
    expected = [[int(((labels == a) & (read == b)).sum()) for b in range(2)] for a in range(2)]
    assert found.confusion == expected
    for name, rate in found.firing.items():
        assert rate == pytest.approx(sum(each[name] for each in rates) / 4)


def test_one_vote_is_the_sample_as_it_is() -> None:
    samples, plain = lines([{"name": "shift", "pixels": 3}]), lines([])
    learner = reader(samples)
    assert evaluate(learner, samples, 5, votes=1) == evaluate(learner, plain, 5)


def test_copies_that_are_alike_are_refused() -> None:
    samples = lines([])
    with pytest.raises(ConfigError, match=r"4 copies of each sample.*nothing is drawn for them"):
        evaluate(reader(samples), samples, 5, votes=4)


def test_numbers_are_estimated_by_the_mean_of_copies() -> None:
    samples = lines([{"name": "shift", "pixels": 3}])
    targets = np.linspace(0, 1, 24, dtype=np.float32).reshape(12, 2)
    samples = samples.aiming_at(targets)
    samples._all_labels = np.full(12, -1)
    learner = reader(samples)
    found = evaluate(learner, samples, 5, votes=3)
    draws = (None, Draw(0, 1), Draw(0, 2))
    estimates = [learner.estimate(samples.batch(range(12), draw)) for draw in draws]
    squared = (torch.stack(estimates).mean(0) - torch.from_numpy(targets)).square().mean()
    assert found.error == pytest.approx(float(squared.sqrt()), rel=1e-5)
