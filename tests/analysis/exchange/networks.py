"""Networks that exchange is tested on."""

from __future__ import annotations

from typing import Any

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from lfp_snn.models import build

INPUT = (2, 12, 12)


def leaky(output: bool = False, **options: Any) -> snn.Leaky:
    options = {"beta": 0.875, "threshold": 1.0} | options
    return snn.Leaky(**options, init_hidden=True, output=output)


class Residual(nn.Module):
    """Normalised convolutions whose spikes and currents are merged by sums, with dropout."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 4, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(4)
        self.lif1 = leaky(**options)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(4)
        self.lif2 = leaky(**options)
        self.pool = nn.AvgPool2d(2)
        self.drop = nn.Dropout(0.5)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(4 * 36, 10)
        self.out = leaky(output=True, **options)

    def forward(self, x: Tensor) -> Any:
        a = self.lif1(self.norm1(self.conv1(x)))
        b = self.lif2(self.norm2(self.conv2(a)) + 0.5 * a)
        merged = self.drop(self.pool(a + b))
        return self.out(self.fc(self.flatten(merged)))


def network(kind: str, **options: Any) -> nn.Module:
    """A network for :data:`INPUT` that fires, in evaluation mode, its weights multiples of 1/256.

    On such a grid sums of float32 are exact, whatever their order.
    """
    torch.manual_seed(0)
    net: nn.Module
    if kind == "mlp":
        net = build("mlp", INPUT, 10, hidden=[20], **options)
    elif kind == "csnn":
        net = build("csnn", (2, 16, 16), 10, pool="avg", **options)
    elif kind in ("recurrent", "one_to_one", "synaptic", "synaptic_recurrent"):
        reset = {"reset_mechanism": options.pop("reset", "subtract")} | options
        net = _with_memory(kind, {"beta": 0.875, "threshold": 1.0, "init_hidden": True} | reset)
    else:
        reset = {"reset_mechanism": options.pop("reset", "subtract")} | options
        net = Residual(**reset)
        for norm in (net.norm1, net.norm2):
            assert norm.running_mean is not None and norm.running_var is not None
            norm.running_mean.uniform_(-0.1, 0.1)
            norm.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.uniform_(norm.bias, -0.1, 0.1)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                module.weight.mul_(1024).round_().div_(256)
                if module.bias is not None:
                    module.bias.mul_(1024).round_().div_(256)
    return net.eval()


def _with_memory(kind: str, options: dict[str, Any]) -> nn.Module:
    """Maps, then a vector, then the output: each with neurons of that kind."""
    several = {"beta": torch.arange(1, 5).view(4, 1, 1) / 8}
    first: nn.Module
    if kind == "recurrent":
        first = snn.RLeaky(conv2d_channels=4, kernel_size=3, **options | several)
        second = snn.RLeaky(linear_features=20, **options)
        output = snn.RLeaky(linear_features=10, output=True, **options)
    elif kind == "one_to_one":
        factors = torch.arange(20) / 16 - 0.5
        first = snn.RLeaky(V=factors[:4].view(4, 1, 1), all_to_all=False, **options | several)
        second = snn.RLeaky(V=factors, all_to_all=False, **options)
        output = snn.RLeaky(V=-0.5, all_to_all=False, output=True, **options)
    elif kind == "synaptic_recurrent":
        alpha = several["beta"] - 0.125
        first = snn.RSynaptic(alpha, conv2d_channels=4, kernel_size=3, **options | several)
        second = snn.RSynaptic(torch.arange(20) / 32, linear_features=20, **options)
        output = snn.RSynaptic(0.5, V=-0.5, all_to_all=False, output=True, **options)
    else:
        first = snn.Synaptic(alpha=several["beta"] - 0.125, **options | several)
        second = snn.Synaptic(alpha=torch.arange(20) / 32, **options)
        output = snn.Synaptic(alpha=0.5, output=True, **options)
    maps = nn.Conv2d(2, 4, 3, stride=2, padding=1)
    return nn.Sequential(
        maps, first, nn.Flatten(), nn.Linear(4 * 36, 20), second, nn.Linear(20, 10), output
    )


def trains(net: nn.Module, steps: int = 12, batch: int = 6) -> Tensor:
    """Random spike trains ``[T, B, 2, H, W]`` for a network of :func:`network`."""
    size = (
        16
        if any(isinstance(m, nn.Conv2d) and m.kernel_size == (5, 5) for m in net.modules())
        else 12
    )
    generator = torch.Generator().manual_seed(1)
    return (torch.rand(steps, batch, 2, size, size, generator=generator) < 0.2).float()


def needs(package: str) -> None:
    """Skip the test where an optional package is absent."""
    pytest.importorskip(package, reason=f"the optional package {package} is not installed")
