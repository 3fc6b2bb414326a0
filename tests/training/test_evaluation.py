"""What an evaluation tells of networks of every kind."""

from __future__ import annotations

import pytest

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
