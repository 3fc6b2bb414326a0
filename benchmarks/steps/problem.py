"""Problems to measure on: a network with calibrated weights, and one batch of spike trains."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from lfp_snn.data import Batch, Loader, load
from lfp_snn.engine import TemporalLFP
from lfp_snn.models import build
from lfp_snn.rules import Epsilon
from lfp_snn.spikes import Spikes
from lfp_snn.training import calibrate

__all__ = [
    "NETWORKS",
    "RULE",
    "Network",
    "NetworkProblem",
    "Problem",
    "pose",
    "recorded",
    "synthetic",
]

SENSOR = (2, 34, 34)  # of N-MNIST and DVS-digits
CLASSES = 10
RULE = Epsilon(eps=0.1)
FIRING = 0.05  # of each population, unless told
DENSITY = 0.04  # of synthetic input, unless told: about that of N-MNIST in 25 steps
MOST_FIRING = 0.45  # calibration reaches no higher
CALIBRATION_SAMPLES = 10


@dataclass(frozen=True)
class Network:
    """A named architecture, its options, and the batch it is measured with."""

    model: str
    options: Mapping[str, Any]
    batch: int


NETWORKS = {
    "mlp": Network("mlp", {"hidden": [1000]}, 100),
    "csnn": Network("csnn", {}, 50),
}


@dataclass(frozen=True, eq=False)
class Problem(ABC):
    """A problem that every contender gets: a network, its weights, and one batch.

    Args:
        x: the input, ``[T, B, ...]``.
        labels: the classes, int64 ``[B]``.
        source: a phrase that says what the input is.
    """

    x: Spikes
    labels: Tensor
    source: str

    @abstractmethod
    def build(self) -> nn.Sequential:
        """Build a new network for a contender, with the same weights every time."""

    def facts(self) -> dict[str, Any]:
        """The facts about the problem, for the record."""
        return {
            "batch": self.x.batch,
            "steps": self.x.steps,
            "input_activity": self.x.density,
            "input": self.source,
        }


@dataclass(frozen=True, eq=False)
class NetworkProblem(Problem):
    """A problem on a named architecture.

    Args:
        network: the architecture.
        weights: the calibrated parameters of the network.
    """

    network: Network
    weights: Mapping[str, Tensor]

    @override
    def build(self) -> nn.Sequential:
        net = build(self.network.model, self.x.feature_shape, CLASSES, **self.network.options)
        net.load_state_dict(dict(self.weights))
        return net

    @override
    def facts(self) -> dict[str, Any]:
        return {"model": self.network.model, **self.network.options} | super().facts()


def pose(network: Network, batch: Batch, source: str, firing: float = FIRING) -> NetworkProblem:
    """Make a problem whose network fires at a given rate on this batch.

    Args:
        network: the architecture; the same weights every time.
        batch: the spike trains; a part of them serves to calibrate.
        source: a phrase that says what they are.
        firing: the mean spikes per neuron and step that each population is brought to, (0, 0.5).
    """
    assert isinstance(batch.x, Spikes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = build(network.model, batch.x.feature_shape, CLASSES, **network.options)
    part = Batch(batch.x[:CALIBRATION_SAMPLES], batch.labels[:CALIBRATION_SAMPLES])
    with warnings.catch_warnings():
        # Few samples leave a rate coarse; what was reached is printed with the results.
        warnings.simplefilter("ignore", RuntimeWarning)
        calibrate(TemporalLFP(net, RULE), part, firing, tolerance=0.1)
    return NetworkProblem(batch.x, batch.labels, source, network, net.state_dict())


def recorded(root: Path, size: int, steps: int = 25) -> tuple[Batch, str]:
    """A batch of N-MNIST recordings if ``root/NMNIST`` is there, of DVS-digits if not.

    Returns:
        The batch, and a phrase that says what it is.
    """
    folder = root / "NMNIST"
    if folder.is_dir():
        splits = load("nmnist", folder, steps=steps)
    else:
        splits = load("digits", steps=steps)
    loader = Loader(splits.train, size, "shuffle", seed=0)
    return next(loader.epoch(1)), splits.info["source"]


def synthetic(
    network: Network,
    *,
    batch: int,
    steps: int = 25,
    density: float = DENSITY,
    firing: float = FIRING,
) -> NetworkProblem:
    """A problem with independent random spikes (Bernoulli), the same every time.

    Args:
        network: the architecture.
        batch: B, the number of samples.
        steps: T, the number of time steps.
        density: the chance of an input to be active in a step.
        firing: the mean spikes per neuron and step (:func:`pose`), but no more than can be
            calibrated.
    """
    draw = torch.Generator().manual_seed(1)
    active = torch.rand(steps, batch, *SENSOR, generator=draw) < density
    labels = torch.randint(CLASSES, (batch,), generator=draw)
    inputs = Batch(Spikes.from_dense(active), labels)
    source = f"synthetic, independent spikes with probability {density:g}"
    return pose(network, inputs, source, min(firing, MOST_FIRING))
