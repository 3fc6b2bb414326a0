"""What every learner tells of a step, whatever the network that it trains."""

from __future__ import annotations

import pytest
import snntorch as snn
import torch

from lfp_snn.data import Batch
from lfp_snn.errors import ConfigError, NetworkError
from lfp_snn.learners import LEARNERS
from lfp_snn.training.guard import Guard
from tests.learners.networks import CLASSES, HIDDEN, NETWORKS, UNITS, bind

#: Networks that a learner is not made for; it says so as soon as it meets them.
REFUSED = {
    "dfa": [name for name in NETWORKS if "values" in name or "activation" in name],
    "ottt": [name for name in NETWORKS if "values" in name or "activation" in name],
    "rstdp": [name for name in NETWORKS if name != "in spikes"],
    "online_lfp": [name for name in NETWORKS if name != "in spikes"],
}
PAIRS = [(learner, network) for learner in LEARNERS for network in NETWORKS]


@pytest.mark.parametrize(
    ("name", "network"),
    [(learner, network) for learner, network in PAIRS if network in REFUSED.get(learner, ())],
)
def test_a_network_that_a_learner_is_not_made_for_is_refused(name: str, network: str) -> None:
    with pytest.raises((ConfigError, NetworkError)):
        bind(name, network)


@pytest.mark.parametrize(
    ("name", "network"),
    [(learner, network) for learner, network in PAIRS if network not in REFUSED.get(learner, ())],
)
def test_a_step_tells_firing_and_membranes_of_what_it_ran(name: str, network: str) -> None:
    """So that the loop can note firing and find NaN, whoever it is that ran the network."""
    learner = bind(name, network)
    x = (torch.rand(5, 6, UNITS, generator=torch.Generator().manual_seed(1)) < 0.6).float()
    result = Guard(learner, undo=True).feedback(Batch(x, torch.arange(6) % CLASSES))
    assert result is not None
    assert tuple(result.firing) == learner.populations  # which a process without samples tells
    modules = list(learner.net.named_modules())
    neurons = {name: name == modules[-1][0] for name, m in modules if isinstance(m, snn.Leaky)}
    assert set(result.membranes) == set(neurons)
    for neuron, is_output in neurons.items():
        assert result.membranes[neuron].shape == (6, CLASSES if is_output else HIDDEN)
        assert result.membranes[neuron].any()
