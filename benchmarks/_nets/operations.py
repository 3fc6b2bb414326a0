"""Kinds of networks by what stands between their neurons; each is one step."""

from __future__ import annotations

from typing import Any

import snntorch as snn
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, prune
from typing_extensions import override

from benchmarks._nets.case import UserNetwork

__all__ = ["OPERATIONS"]


def leaky() -> Any:
    """Neurons that keep their state."""
    return snn.Leaky(beta=0.9, init_hidden=True)


class Between(nn.Module):
    """Two layers of neurons, and something in between."""

    width = 64

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(64, 64), leaky()
        self.fc2, self.lif2 = nn.Linear(self.width, 10), leaky()

    def between(self, spk: Tensor) -> Tensor:
        """What is made of the hidden spikes."""
        raise NotImplementedError

    @override
    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.lif2(self.fc2(self.between(self.lif1(self.fc1(x)))))
        return out


class Excited(nn.Module):
    """Squeeze and excitation: channels weighed by a gate that sees their means."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.lif1 = nn.Conv2d(1, 12, 3, padding=1), leaky()
        self.down, self.up = nn.Linear(12, 4), nn.Linear(4, 12)
        self.fc, self.lif2 = nn.Linear(12 * 16, 10), leaky()

    @override
    def forward(self, x: Tensor) -> Tensor:
        spk = F.avg_pool2d(self.lif1(self.conv(x)), 2)
        gate = torch.sigmoid(self.up(torch.relu(self.down(spk.mean((2, 3))))))
        out: Tensor = self.lif2(self.fc((spk * gate.view(-1, 12, 1, 1)).flatten(1)))
        return out


class Gated(Between):
    """Spikes times the sigmoid of a layer of them."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(64, 64)

    @override
    def between(self, spk: Tensor) -> Tensor:
        return spk * torch.sigmoid(self.gate(spk))


class Attention(Between):
    """Attention with a softmax among eight tokens of eight units."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(8, 24)

    @override
    def between(self, spk: Tensor) -> Tensor:
        q, k, v = self.qkv(spk.view(-1, 8, 8)).chunk(3, -1)
        return (F.scaled_dot_product_attention(q, k, v) + spk.view(-1, 8, 8)).flatten(1)


class SpikingAttention(Between):
    """Attention of spikes, without a softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(64, 64) for _ in range(3))
        self.lq, self.lk, self.lv = (leaky() for _ in range(3))

    @override
    def between(self, spk: Tensor) -> Tensor:
        q, k, v = (
            neuron(layer(spk)).view(-1, 8, 8)
            for layer, neuron in ((self.q, self.lq), (self.k, self.lk), (self.v, self.lv))
        )
        attended: Tensor = (q @ k.transpose(1, 2)) @ v
        return (0.125 * attended).flatten(1) + spk


class Mixed(Between):
    """A fixed matrix by einsum, slices, cat and a flip."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("matrix", torch.eye(32).roll(1, 0) / 2 + torch.eye(32) / 2)

    @override
    def between(self, spk: Tensor) -> Tensor:
        mixed = torch.einsum("bi,ij->bj", spk[:, :32], self.matrix)
        return torch.cat([mixed, spk[:, 32:].flip(1)], 1)


class SoftmaxBetween(Between):
    """A softmax of a layer, times its width."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(64, 64)

    @override
    def between(self, spk: Tensor) -> Tensor:
        return 16 * torch.softmax(self.inner(spk), 1) + spk


class Scaled(Between):
    """A parameter that scales and one that is added."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(1 + 0.1 * torch.randn(64))
        self.shift = nn.Parameter(0.1 * torch.randn(64))

    @override
    def between(self, spk: Tensor) -> Tensor:
        return spk * self.scale + self.shift


class InPlace(Between):
    """Changes in place, whose results are not looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(64, 64)

    @override
    def between(self, spk: Tensor) -> Tensor:
        y: Tensor = self.inner(spk)
        y.add_(spk)
        y[:, :32] *= 2
        return y


class Largest(Between):
    """The larger of two branches."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(64, 64), nn.Linear(64, 64)

    @override
    def between(self, spk: Tensor) -> Tensor:
        return torch.maximum(self.one(spk), self.two(spk))


class LayerNormed(Between):
    """Layer normalisation before further neurons, and what goes around them."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.norm, self.lif = nn.Linear(64, 64), nn.LayerNorm(64), leaky()
        nn.init.normal_(self.norm.bias, std=0.1)

    @override
    def between(self, spk: Tensor) -> Tensor:
        out: Tensor = self.lif(self.norm(self.inner(spk))) + spk
        return out


class Residual(nn.Module):
    """A block with batch norm, and what goes around it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.lif1 = nn.Conv2d(1, 12, 3, padding=1), leaky()
        self.conv, self.norm, self.lif2 = (
            nn.Conv2d(12, 12, 3, padding=1),
            nn.BatchNorm2d(12),
            leaky(),
        )
        self.fc, self.lif3 = nn.Linear(12 * 16, 10), leaky()
        nn.init.normal_(self.norm.bias, std=0.1)
        self.norm.momentum = 0.3

    @override
    def forward(self, x: Tensor) -> Tensor:
        spk = self.lif1(self.stem(x))
        spk = spk + self.lif2(self.norm(self.conv(spk)))
        out: Tensor = self.lif3(self.fc(F.max_pool2d(spk, 2).flatten(1)))
        return out


def around(*inner: nn.Module, features: int, first: int = 8) -> nn.Module:
    """A convolution, neurons, layers on their maps, neurons, and a linear layer."""
    return nn.Sequential(
        nn.Conv2d(1, first, 3, padding=1),
        leaky(),
        *inner,
        leaky(),
        nn.Flatten(),
        nn.Linear(features, 10),
        leaky(),
    )


class Volumes(nn.Module):
    """Convolutions of three dimensions on volumes that are two halves of the digit."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.lif1 = nn.Conv3d(1, 8, 3, padding=1), leaky()
        self.fc, self.lif2 = nn.Linear(8 * 64, 10), leaky()

    @override
    def forward(self, x: Tensor) -> Tensor:
        halves = torch.stack([x[..., :4], x[..., 4:]], 2)
        out: Tensor = self.lif2(self.fc(self.lif1(self.conv(halves)).flatten(1)))
        return out


class Resized(nn.Module):
    """Maps that are padded, made larger and smaller by functions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.lif1 = nn.Conv2d(1, 8, 3), leaky()
        self.fc, self.lif2 = nn.Linear(8 * 16, 10), leaky()

    @override
    def forward(self, x: Tensor) -> Tensor:
        spk = self.lif1(self.conv(F.pad(x, (1, 1, 1, 1))))
        spk = F.interpolate(spk, scale_factor=2, mode="bilinear")
        out: Tensor = self.lif2(self.fc(F.adaptive_avg_pool2d(spk, 4).flatten(1)))
        return out


def computed(how: Any) -> nn.Module:
    """Two layers whose weights something computes."""
    return nn.Sequential(how(nn.Linear(64, 100)), leaky(), how(nn.Linear(100, 10)), leaky())


def pruned() -> nn.Module:
    """Two layers of which half the weights are pruned."""
    return computed(lambda layer: prune.random_unstructured(layer, "weight", 0.5))  # type: ignore[no-untyped-call]


OPERATIONS = (
    UserNetwork("squeeze and excitation", Excited, "map"),
    UserNetwork("`x * sigmoid(fc(x))`", Gated),
    UserNetwork("attention with softmax", Attention),
    UserNetwork("attention of spikes", SpikingAttention),
    UserNetwork("einsum of a fixed matrix, slices, cat, flip", Mixed),
    UserNetwork("softmax between layers", SoftmaxBetween),
    UserNetwork("`x * parameter + parameter`", Scaled),
    UserNetwork("in place, also on slices", InPlace),
    UserNetwork("elementwise maximum", Largest),
    UserNetwork("LayerNorm, a way around", LayerNormed),
    UserNetwork("a residual block, BatchNorm2d", Residual, "map"),
    UserNetwork(
        "GroupNorm",
        lambda: around(nn.Conv2d(8, 8, 3, padding=1), nn.GroupNorm(2, 8), features=512),
        "map",
    ),
    UserNetwork(
        "ConvTranspose2d",
        lambda: around(nn.MaxPool2d(2), nn.ConvTranspose2d(8, 4, 2, stride=2), features=256),
        "map",
    ),
    UserNetwork(
        "Upsample, ZeroPad2d",
        lambda: around(
            nn.AvgPool2d(2),
            nn.Upsample(scale_factor=2),
            nn.ZeroPad2d(1),
            nn.Conv2d(8, 8, 3),
            features=512,
        ),
        "map",
    ),
    UserNetwork(
        "PixelShuffle",
        lambda: around(nn.PixelShuffle(2), nn.Conv2d(2, 8, 3, stride=2, padding=1), features=512),
        "map",
    ),
    UserNetwork(
        "depthwise and pointwise convolutions",
        lambda: around(nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.Conv2d(8, 16, 1), features=1024),
        "map",
    ),
    UserNetwork("Conv3d", Volumes, "map"),
    UserNetwork("pad, interpolate, adaptive pool as functions", Resized, "map"),
    UserNetwork("weight_norm", lambda: computed(parametrizations.weight_norm)),
    UserNetwork("spectral_norm", lambda: computed(parametrizations.spectral_norm)),
    UserNetwork("pruned weights", pruned),
    UserNetwork(
        "graded activations: ReLU between",
        lambda: nn.Sequential(
            nn.Linear(64, 80), nn.ReLU(), nn.Linear(80, 60), leaky(), nn.Linear(60, 10), leaky()
        ),
    ),
)
