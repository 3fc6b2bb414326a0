"""Numbers that a forward reads of parameters and buffers are those of the present pass."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from lfp_snn import TemporalLFP
from lfp_snn.rewards import RateCoded
from tests.engine.compare import strong, trains
from tests.engine.test_sequences import exact

X = trains(7, 4, 6)

#: A factor, as users read it of a network.
READ: dict[str, Callable[[Any], Any]] = {
    "float of a computed value": lambda net: 3 / float(net.fc1.weight.norm()),
    "item of a parameter": lambda net: net.scale.item(),
    "item of a buffer": lambda net: net.factor.item(),
    "int of a buffer": lambda net: int(net.factor * 2) / 2,
    "a list": lambda net: net.factors.tolist()[0],
    "numpy": lambda net: float(net.factors.detach().numpy().sum()) / 2,
    "a threshold": lambda net: float(net.lif1.threshold * 2),
    "a decision": lambda net: 1.0 if net.factor > 1.5 else 2.0,
    "torch.equal": lambda net: 1.0 if torch.equal(net.factors, torch.ones(2)) else 2.0,
}


class Reads(nn.Module):
    """Two layers with a factor that is a number."""

    factor: Tensor
    factors: Tensor

    def __init__(self, read: Callable[[Any], Any]) -> None:
        super().__init__()
        self.read = read
        self.scale = nn.Parameter(torch.tensor(1.0))
        self.register_buffer("factor", torch.tensor(1.0))
        self.register_buffer("factors", torch.ones(2))
        self.fc1, self.lif1 = nn.Linear(6, 8), snn.Leaky(0.9, threshold=0.5, init_hidden=True)
        self.fc2, self.lif2 = nn.Linear(8, 3), snn.Leaky(0.9, threshold=0.5, init_hidden=True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.lif2(self.fc2(self.lif1(self.fc1(x) * self.read(self))))
        return out


def by_itself(net: nn.Module) -> Tensor:
    """The spikes of a network that is called step by step."""
    other = copy.deepcopy(net)
    with torch.no_grad():
        return torch.stack([other(frame) for frame in X])


def change(net: Reads) -> None:
    """Change in place all that is read."""
    with torch.no_grad():
        net.fc1.weight.data.mul_(-0.4)  # torch does not count what is changed so
        for tensor in (net.scale, net.factor, net.factors, net.lif1.threshold):
            tensor.mul_(2.0)


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("read", READ)
def test_a_number_is_read_anew_where_it_changed(read: str, check: bool) -> None:
    net = exact(strong(Reads(READ[read]))).eval()
    lfp = TemporalLFP(net, check=check)
    first = lfp.forward(X)
    assert torch.equal(first, by_itself(net))
    known = lfp.structure.program
    assert torch.equal(lfp.forward(X), first) and lfp.structure.program is known
    change(net)
    assert torch.equal(lfp.forward(X), by_itself(net))
    assert lfp.structure.program is not known


def test_a_training_goes_by_the_present_norm_of_a_weight() -> None:
    net = exact(strong(Reads(READ["float of a computed value"]))).train()
    lfp = TemporalLFP(net)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
    seen = set()
    for _ in range(5):
        spikes = lfp.forward(X)
        assert torch.equal(spikes, by_itself(net))
        lfp.backward(RateCoded()(spikes, torch.tensor([0, 1, 2, 0])))
        optimizer.step()
        seen.add(float(net.fc1.weight.detach().norm()))
    assert len(seen) == 5
