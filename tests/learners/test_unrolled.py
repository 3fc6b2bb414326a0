"""Networks that a learner or a measure cannot call at every step are refused."""

from __future__ import annotations

from typing import Any

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from lfp_snn import TemporalLFP
from lfp_snn.analysis.exchange.quantise import quantise
from lfp_snn.analysis.explain.faithfulness import gradient_times_input
from lfp_snn.data import Batch
from lfp_snn.errors import NetworkError
from lfp_snn.learners import LEARNERS
from lfp_snn.learners.unrolled import refuse_other_steps
from lfp_snn.spikes import Spikes
from tests.learners.networks import ByHand, Loops

X = (torch.rand(4, 3, 5, generator=torch.Generator().manual_seed(0)) > 0.5).float()
BATCH = Batch(Spikes.from_dense(X), torch.tensor([0, 1, 0]))


class OnSelf(ByHand):
    """The membrane is kept on the module."""

    def __init__(self) -> None:
        super().__init__()
        self.mem: Any = None

    def forward(self, x: Tensor) -> Tensor:
        spk, self.mem = self.lif(self.fc(x), self.mem)
        out: Tensor = spk
        return out


NETS = {
    Loops: r"its forward \(of Loops\) loops over time",
    OnSelf: "its neuron 'lif' does not keep its own state",
}


@pytest.mark.parametrize("make", NETS)
@pytest.mark.parametrize("learner", ["dfa", "ottt", "rstdp"])
def test_a_learner_that_steps_modules_refuses_other_networks(
    learner: str, make: type[ByHand]
) -> None:
    cls = LEARNERS[learner]
    own = cls.from_options(make(), cls.Options(name=learner))
    with pytest.raises(NetworkError, match=rf"^The learner {learner} calls .*, but {NETS[make]}"):
        own.feedback(BATCH)


@pytest.mark.parametrize("make", NETS)
def test_a_measure_that_steps_modules_takes_a_step_of_other_networks(make: type[ByHand]) -> None:
    net = make()
    plain = nn.Sequential(net.fc, snn.Leaky(beta=0.9, init_hidden=True))
    expected = gradient_times_input(plain, BATCH, torch.ones(3, 2))
    assert torch.equal(gradient_times_input(net, BATCH, torch.ones(3, 2)), expected)
    assert len(quantise(net, (5,)).grids) == len(quantise(plain, (5,)).grids) == 1


def test_a_step_of_neurons_with_a_state_of_their_own_is_taken() -> None:
    net = nn.Sequential(nn.Linear(5, 2), snn.Leaky(beta=0.9, init_hidden=True))
    refuse_other_steps(TemporalLFP(net), "This test")
