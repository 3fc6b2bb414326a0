"""A ReLU network as a spiking one: rates stand for activations."""

from __future__ import annotations

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from lfp_snn import TemporalLFP
from lfp_snn.data import Batch
from lfp_snn.errors import NetworkError
from lfp_snn.training.conversion import balance

STEPS = 2000


def neuron(threshold: float = 1.0, beta: float = 1.0) -> snn.Leaky:
    return snn.Leaky(
        beta=beta,
        threshold=threshold,
        reset_mechanism="subtract",
        reset_delay=False,
        init_hidden=True,
    )


def relu_net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(36, 20), nn.ReLU(),
        nn.Linear(20, 5), nn.ReLU(),
    ).double()  # fmt: skip


def spiking(
    source: nn.Sequential, thresholds: tuple[float, ...] = (1.0, 0.5, 2.0)
) -> nn.Sequential:
    values = iter(thresholds)
    layers = [neuron(next(values)) if isinstance(m, nn.ReLU) else m for m in source]
    return nn.Sequential(*layers).double()


def activations(net: nn.Sequential, x: Tensor) -> list[Tensor]:
    found = []
    for module in net:
        x = module(x)
        if isinstance(module, nn.ReLU):
            found.append(x.detach())
    return found


def test_rates_are_the_activations_in_units_of_the_largest() -> None:
    images = torch.rand(40, 1, 8, 8, dtype=torch.float64)
    source = relu_net()
    expected = activations(source, images)
    net = spiking(source)
    lfp = TemporalLFP(net)
    x = images.expand(STEPS, *images.shape)
    scales = balance(lfp, Batch(x, torch.zeros(40, dtype=torch.int64)), quantile=1.0)
    assert list(scales.values()) == pytest.approx([float(a.max()) for a in expected], rel=1e-12)
    rates = lfp.forward(x, record=False).mean(0)
    # One spike in so many steps is what a rate is rounded to, and every layer hands that on.
    torch.testing.assert_close(rates, expected[-1] / expected[-1].max(), rtol=0, atol=12 / STEPS)
    sure = expected[-1].topk(2).values.diff().abs().squeeze(1) > 0.02 * expected[-1].max()
    assert sure.float().mean() > 0.5
    assert rates.argmax(1)[sure].equal(expected[-1].argmax(1)[sure])


def test_a_quantile_saturates_the_largest() -> None:
    images = torch.rand(40, 1, 8, 8, dtype=torch.float64)
    source = relu_net()
    largest = activations(source, images)[0]
    lfp = TemporalLFP(spiking(source))
    batch = Batch(images[None], torch.zeros(40, dtype=torch.int64))
    scale = balance(lfp, batch, quantile=0.9)["1"]
    assert scale == pytest.approx(float(largest.quantile(0.9)), rel=0.01)


def test_layers_behind_a_fresh_one_are_left_alone() -> None:
    net = spiking(relu_net())
    before = {name: tensor.clone() for name, tensor in net.named_parameters()}
    batch = Batch(torch.rand(1, 6, 1, 8, 8).double(), torch.zeros(6, dtype=torch.int64))
    scales = balance(TemporalLFP(net), batch, only=[net[0], net[4]])
    assert list(scales) == ["1", "5"]
    after = net.state_dict()
    assert after["6.weight"].equal(before["6.weight"])
    assert not after["4.weight"].equal(before["4.weight"])


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)
        self.na, self.nb, self.nc = neuron(), neuron(), neuron()

    def forward(self, x: Tensor) -> Tensor:
        h = self.na(self.a(x))
        out: Tensor = self.nc(self.c(h + self.nb(self.b(h))))
        return out


def test_what_has_no_one_scale_is_refused_and_unchanged() -> None:
    torch.manual_seed(0)
    batch = Batch(torch.rand(1, 5, 6), torch.zeros(5, dtype=torch.int64))
    normed = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), neuron())
    inhibiting = nn.Linear(6, 4)
    nn.init.constant_(inhibiting.weight, -1.0)
    nn.init.zeros_(inhibiting.bias)
    silent = nn.Sequential(inhibiting, neuron())
    for net, message in [
        (Residual(), "branches of different scale merge"),
        (normed, "needs one synapse and no normalisation"),
        (silent, "its activations are zero"),
    ]:
        before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
        with pytest.raises(NetworkError, match=message):
            balance(TemporalLFP(net), batch)
        assert all(t.equal(before[n]) for n, t in net.state_dict().items()), message
