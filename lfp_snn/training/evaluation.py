"""The evaluation of a network on a set: accuracy, ties, confusion and firing rates."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from lfp_snn.data import Batch, Loader, SampleSet
from lfp_snn.learners import Learner
from lfp_snn.training.distributed import ALONE, World
from lfp_snn.training.uploads import Uploads

__all__ = ["Evaluation", "evaluate"]

_SQUARES = "squared differences"  # among the names of populations, which have no spaces


@dataclass(frozen=True)
class Evaluation:
    """The evaluation of a network on a set.

    Attributes:
        accuracy: the share of samples read correctly; NaN where samples have targets and no
            classes, or there are no samples.
        ties: the share of samples whose best score was shared (read as the lowest class).
        confusion: the counts ``[true class][predicted class]``.
        firing: the mean spikes per neuron and step of every population, by name; for activations,
            the share of active units. A readout, which cannot spike, is not among them.
        error: the root of the mean squared difference of outputs and targets, where there are no
            classes.
    """

    accuracy: float
    ties: float
    confusion: list[list[int]]
    firing: dict[str, float]
    error: float | None = None


def evaluate(
    learner: Learner, samples: SampleSet, batch_size: int, world: World = ALONE
) -> Evaluation:
    """Predict every sample of a set, with the network in evaluation mode.

    Args:
        learner: the learner, which says how a prediction is read.
        samples: the set.
        batch_size: the number of samples at a time.
        world: the processes that share out the batches; all get the figures of the whole set.
    """
    learner.net.eval()
    if not len(samples):
        return Evaluation(math.nan, 0.0, [], {})
    if samples.is_regression:
        return _evaluate_numbers(learner, samples, batch_size, world)
    classes = len(samples.classes)
    confusion = torch.zeros(classes, classes, dtype=torch.int64)
    ties = 0
    firing = dict.fromkeys(learner.engine.populations, 0.0)
    for batch in _batches(learner, samples, batch_size, world):
        prediction = learner.predict(batch)
        pairs = batch.labels * classes + prediction.classes
        confusion += torch.bincount(pairs.cpu(), minlength=classes**2).view(classes, classes)
        ties += int(prediction.ties.sum())
        for name, rate in learner.engine.firing_rates.items():
            firing[name] += rate * len(batch)
    firing, confusion = world.sum(firing), world.total(confusion)
    total = len(samples)
    return Evaluation(
        accuracy=int(confusion.diagonal().sum()) / total,
        ties=int(world.total(torch.tensor(ties))) / total,
        confusion=confusion.tolist(),
        firing={name: rate / total for name, rate in firing.items()},
    )


def _batches(
    learner: Learner, samples: SampleSet, batch_size: int, world: World
) -> Iterator[Batch]:
    """The batches that this process evaluates, on the device of the network."""
    loader = Loader(samples, batch_size, "in_order", seed=0)
    yield from Uploads(learner.device)(loader.epoch(0, start=world.rank, every=world.size))


def _evaluate_numbers(
    learner: Learner, samples: SampleSet, batch_size: int, world: World
) -> Evaluation:
    """The error of a network whose outputs are numbers."""
    squares = 0.0
    firing = dict.fromkeys(learner.engine.populations, 0.0)
    for batch in _batches(learner, samples, batch_size, world):
        estimate = learner.estimate(batch)
        assert batch.targets is not None
        squares += float((estimate - batch.targets).square().mean(-1).sum())
        for name, rate in learner.engine.firing_rates.items():
            firing[name] += rate * len(batch)
    told = world.sum({**firing, _SQUARES: squares})
    squares, total = told.pop(_SQUARES), len(samples)
    firing = {name: rate / total for name, rate in told.items()}
    return Evaluation(math.nan, 0.0, [], firing, math.sqrt(squares / total))
