"""The time of an epoch of MNIST: the loader, the learner and the optimizer together."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from benchmarks.steps.contenders import Ours
from benchmarks.steps.problem import RULE
from lfp_snn.data import Batch, Loader, load
from lfp_snn.engine.options import EngineOptions
from lfp_snn.learners.lfp import LFP
from lfp_snn.models import build
from lfp_snn.rewards import RateCoded

__all__ = ["Epoch", "mnist_epoch"]

HIDDEN = 1000
STEPS = 15
BATCH = 100
LEARNING_RATE = 1e-3
WARMUP = 3  # batches, on another network


@dataclass(frozen=True)
class Epoch:
    """A measured epoch.

    Args:
        seconds: the seconds for all images, from the loader to the optimizer.
        images: the number of images.
        accuracy: the share of images that were read right while learning.
        steps: T, the number of time steps.
        batch: B, the number of samples of a batch.
    """

    seconds: float
    images: int
    accuracy: float
    steps: int
    batch: int

    def record(self) -> dict[str, Any]:
        """The measurement as JSON takes it."""
        return asdict(self)


def mnist_epoch(root: Path, most: int | None = None) -> Epoch:
    """Train 784-1000-10 on all 60 000 images once, T=15, constant current.

    Args:
        root: the folder that holds ``MNIST``.
        most: the number of batches after which to stop.

    Raises:
        DataError: MNIST is not there.
    """
    splits = load("mnist", root / "MNIST", steps=STEPS, encoding="constant")
    parts = [Loader(each, BATCH, "shuffle", seed=0) for each in (splits.train, splits.val)]
    _train(parts, WARMUP)
    return _train(parts, most)


def _train(parts: list[Loader], most: int | None) -> Epoch:
    """Train for one pass over all parts with a new network."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = build("mlp", parts[0].samples.feature_shape, 10, hidden=[HIDDEN])
    learner = LFP(net, RULE, RateCoded(), EngineOptions(Ours.backend))
    optimizer = torch.optim.Adam(net.parameters(), lr=LEARNING_RATE, fused=True)
    images, right = 0, 0
    start = perf_counter()
    for number, batch in enumerate(chain.from_iterable(part.epoch(1) for part in parts)):
        if number == most:
            break
        right += _learn(learner, optimizer, batch)
        images += len(batch)
    seconds = perf_counter() - start
    return Epoch(seconds, images, right / images, STEPS, BATCH)


def _learn(learner: LFP, optimizer: torch.optim.Optimizer, batch: Batch) -> int:
    """Make a step; gives the number of samples of the batch that were read right."""
    result = learner.feedback(batch)
    optimizer.step()
    return int((result.classes == batch.labels).sum())
