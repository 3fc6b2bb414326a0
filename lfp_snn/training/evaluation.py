"""Accuracy, ties, confusion and firing rates of a network on a set."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from lfp_snn.data import Loader, SampleSet
from lfp_snn.learners import Learner

__all__ = ["Evaluation", "evaluate"]


@dataclass(frozen=True)
class Evaluation:
    """What a network does on a set.

    Attributes:
        accuracy: share of samples read correctly.
        ties: share of samples whose best score was shared (read as the lowest class).
        confusion: counts ``[true class][predicted class]``.
        firing: mean spikes per neuron and step of every neuron module.
    """

    accuracy: float
    ties: float
    confusion: list[list[int]]
    firing: dict[str, float]


def evaluate(learner: Learner, samples: SampleSet, batch_size: int) -> Evaluation:
    """Predict every sample of a set, with the network in evaluation mode.

    Args:
        learner: says how a prediction is read.
        samples: the set.
        batch_size: samples at a time.
    """
    learner.net.eval()
    classes = len(samples.classes)
    confusion = torch.zeros(classes, classes, dtype=torch.int64)
    ties = 0
    firing: dict[str, float] = {}
    for cpu_batch in Loader(samples, batch_size, "in_order", seed=0).epoch(0):
        batch = cpu_batch.to(learner.device)
        prediction = learner.predict(batch)
        pairs = batch.labels * classes + prediction.classes
        confusion += torch.bincount(pairs.cpu(), minlength=classes**2).view(classes, classes)
        ties += int(prediction.ties.sum())
        for name, rate in learner.firing.items():
            firing[name] = firing.get(name, 0.0) + rate * len(batch)
    total = len(samples)
    return Evaluation(
        accuracy=int(confusion.diagonal().sum()) / total,
        ties=ties / total,
        confusion=confusion.tolist(),
        firing={name: rate / total for name, rate in firing.items()},
    )
