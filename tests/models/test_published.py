"""The published architectures: their sizes, and that they run and learn on both backends."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from lfp_snn import TemporalLFP
from lfp_snn.data import Batch
from lfp_snn.errors import ShapeError
from lfp_snn.models import build
from lfp_snn.models.merge import Merge
from lfp_snn.rewards import RateCoded
from lfp_snn.rules import Epsilon
from lfp_snn.training import calibrate
from tests.engine.compare import (
    assert_equal_to_oracle,
    assert_near,
    assert_same_feedback,
    feedback_of,
    step_by_step,
)

NAMES = ("lifcnn", "deepersnn", "lif_resnet", "lif_vgg")
every_name = pytest.mark.parametrize("name", NAMES)


def weights(net: nn.Module) -> list[tuple[int, ...]]:
    return [
        tuple(module.weight.shape)
        for module in net.modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]


def trains(*shape: int, density: float = 0.2) -> Tensor:
    draw = torch.Generator().manual_seed(1)
    return (torch.rand(6, 3, *shape, generator=draw) < density).double()


def small(name: str, shape: tuple[int, ...] = (2, 16, 16), **options: Any) -> nn.Sequential:
    """A twentieth of the width, at which all neurons fire; float64."""
    torch.manual_seed(0)
    net = build(name, shape, 4, **{"width": 0.05, "bias": True, **options}).double()
    batch = Batch(trains(*shape), torch.zeros(3, dtype=torch.int64))
    with warnings.catch_warnings():  # a handful of neurons cannot fire at any rate
        warnings.simplefilter("ignore", RuntimeWarning)
        calibrate(TemporalLFP(net), batch, 0.3)
    return net


def test_sizes_are_the_published_ones() -> None:
    """At the inputs for which the published code fixes the number of inputs of its last layer."""
    assert weights(build("lifcnn", (3, 32, 32), 10)) == [(12, 3, 5, 5), (64, 12, 5, 5), (10, 1600)]
    assert weights(build("lifcnn", (1, 28, 28), 10))[-1] == (10, 64 * 4 * 4)
    convolutions = [(30, 2, 3, 3), (150, 30, 3, 3), (250, 150, 3, 3), (200, 250, 3, 3)]
    assert weights(build("deepersnn", (2, 34, 34), 10)) == [
        *convolutions,
        (100, 200, 3, 3),
        (10, 2500),
    ]
    residual = [(250, 150, 3, 3), (250, 150, 1, 1)]
    assert weights(build("lif_resnet", (2, 34, 34), 10)) == [
        (30, 2, 5, 5),
        (150, 30, 3, 3),
        *residual,
        (200, 250, 4, 4),
        (10, 1800),
    ]
    linear = [(1024, 256 * 4 * 4), (512, 1024), (10, 512)]
    assert weights(build("lif_vgg", (3, 32, 32), 10))[-3:] == linear
    assert weights(build("lif_vgg", (1, 28, 28), 10))[-3] == (1024, 256 * 3 * 3)


@every_name
@pytest.mark.parametrize("shape", [(2, 34, 34), (2, 128, 128), (1, 28, 28), (2, 20, 31)])
def test_inputs_of_any_size(name: str, shape: tuple[int, ...]) -> None:
    net = build(name, shape, 5, width=0.05)
    spikes, membranes = net(torch.rand(2, *shape))
    assert spikes.shape == membranes.shape == (2, 5)


@every_name
def test_too_small_an_input_is_told_the_least_size(name: str) -> None:
    least = {"lifcnn": 16, "deepersnn": 6, "lif_resnet": 12, "lif_vgg": 8}[name]
    build(name, (2, least, least), 3, width=0.05)
    message = rf"{name} needs maps of at least {least} x {least}, but the input is 34 x {least - 1}"
    with pytest.raises(ShapeError, match=message):
        build(name, (2, 34, least - 1), 3)
    with pytest.raises(ShapeError, match=rf"{name} takes maps .* \(700,\); use mlp"):
        build(name, (700,), 3)


@every_name
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_a_pass_is_that_of_the_module_stepped_one_by_one(name: str, norm: str) -> None:
    net = small(name, norm=norm).float().eval()  # spikes of a stepped snntorch neuron are float32
    x = trains(2, 16, 16).float()
    lfp = TemporalLFP(net)
    spikes = lfp.forward(x, record=False)
    stepped = step_by_step(net, x)
    assert spikes.any()
    assert torch.equal(spikes, stepped.spikes)
    assert_near(lfp.membranes, stepped.membranes, 1e-5)


@every_name
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_every_parameter_gets_feedback_and_both_backends_agree(name: str, norm: str) -> None:
    net = small(name, norm=norm)
    found = []
    for backend in ("torch", "events"):
        lfp = TemporalLFP(net, Epsilon(0.1), backend)
        spikes = lfp.forward(trains(2, 16, 16))
        lfp.backward(RateCoded()(spikes, torch.tensor([0, 1, 3])))
        found.append(feedback_of(net))
    assert_same_feedback(found[0], found[1])
    learning = {key: p for key, p in net.named_parameters() if p.requires_grad}
    assert found[0].keys() == learning.keys()
    silent = [key for key, feedback in found[0].items() if not feedback.any()]
    assert silent == []


@every_name
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_the_calibrated_start(name: str, norm: str) -> None:
    torch.manual_seed(0)
    net = build(name, (2, 20, 20), 10, width=0.2, norm=norm)
    x = trains(2, 20, 20).float()
    lfp = TemporalLFP(net)
    with warnings.catch_warnings():  # ten outputs over a few steps fire at few rates
        warnings.simplefilter("ignore", RuntimeWarning)
        calibrate(lfp, Batch(x, torch.zeros(3, dtype=torch.int64)), 0.1, tolerance=0.05)
    lfp.forward(x, record=False)
    *hidden, output = lfp.firing_rates.values()
    assert hidden == pytest.approx([0.1] * len(hidden), rel=0.1)
    assert output == pytest.approx(0.1, rel=0.5)


def test_options() -> None:
    net: Any = build("lif_vgg", (2, 16, 16), 3, width=0.1, norm="batch", dropout=0.3, beta=0.7)
    kinds = [type(stage) for stage in net]
    assert kinds.count(nn.BatchNorm2d) == 6
    assert kinds.count(nn.Dropout) == 2
    assert weights(net)[0] == (3, 2, 3, 3)
    assert all(conv.bias is None for conv in net if isinstance(conv, nn.Conv2d))
    assert all(linear.bias is not None for linear in net if isinstance(linear, nn.Linear))
    assert all(
        leaky.beta.item() == pytest.approx(0.7) for leaky in net if isinstance(leaky, snn.Leaky)
    )
    assert all(norm.bias.all() for norm in net if isinstance(norm, nn.BatchNorm2d))
    assert not any(p.isnan().any() for p in net.parameters())
    assert build("lif_resnet", (2, 16, 16), 3, width=0.1, bias=True)[0].bias is not None


def test_the_residual_merge_is_the_elementwise_maximum() -> None:
    merge = next(stage for stage in small("lif_resnet") if isinstance(stage, Merge))
    x = trains(merge.residual[0].in_channels, 4, 4)[0]  # type: ignore[union-attr, index]
    a, b = merge.residual(x), merge.shortcut(x)  # type: ignore[operator]
    for neuron in merge.modules():
        if isinstance(neuron, snn.Leaky):
            neuron.mem = torch.zeros(0)
    assert not torch.equal(a, b)
    assert torch.equal(merge(x), torch.maximum(a, b))


def test_the_residual_network_equals_the_oracle() -> None:
    net = small("lif_resnet", (1, 12, 12), width=0.02)
    draw = torch.Generator().manual_seed(3)
    x = (torch.rand(4, 2, 1, 12, 12, generator=draw) < 0.4).double()
    assert_equal_to_oracle(net, x)
