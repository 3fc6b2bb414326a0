"""The evaluation of a network on a set: accuracy, ties, confusion and firing rates."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lfp_snn.data import Batch, Loader, SampleSet
from lfp_snn.errors import ConfigError
from lfp_snn.learners import Learner
from lfp_snn.rewards import ties
from lfp_snn.spikes import Spikes
from lfp_snn.training.distributed import ALONE, World
from lfp_snn.training.uploads import Uploads

__all__ = ["Evaluation", "evaluate", "mean", "voters"]

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
    learner: Learner,
    samples: SampleSet,
    batch_size: int,
    world: World = ALONE,
    votes: int = 1,
) -> Evaluation:
    """Predict every sample of a set, with the network in evaluation mode.

    Args:
        learner: the learner, which says how a prediction is read.
        samples: the set.
        batch_size: the number of samples at a time.
        world: the processes that share out the batches; all get the figures of the whole set.
        votes: the number of copies of each sample by which it is read (:func:`voters`), and over
            which its scores are averaged.

    Raises:
        ConfigError: several copies shall vote, and none differs from the sample.
    """
    learner.net.eval()
    if not len(samples):
        return Evaluation(math.nan, 0.0, [], {})
    if samples.is_regression:
        return _evaluate_numbers(learner, samples, batch_size, world, votes)
    classes = len(samples.classes)
    confusion = torch.zeros(classes, classes, dtype=torch.int64)
    shared = 0
    firing = _Firing(learner)
    for copies in voters(learner, samples, batch_size, world, votes):
        prediction = ties(_voted(learner.scores, copies, firing))
        pairs = copies[0].labels * classes + prediction.classes
        confusion += torch.bincount(pairs.cpu(), minlength=classes**2).view(classes, classes)
        shared += int(prediction.ties.sum())
    sums, confusion = world.sum(firing.sums), world.total(confusion)
    total = len(samples)
    return Evaluation(
        accuracy=int(confusion.diagonal().sum()) / total,
        ties=int(world.total(torch.tensor(shared))) / total,
        confusion=confusion.tolist(),
        firing={name: rate / total for name, rate in sums.items()},
    )


def voters(
    learner: Learner, samples: SampleSet, batch_size: int, world: World = ALONE, votes: int = 1
) -> Iterator[tuple[Batch, ...]]:
    """The batches of a set that this process reads, each with its copies, on the network's device.

    The first is the batch as it is. In the others every sample is changed as it would be to train
    on it, by augmentation (:mod:`lfp_snn.data.augment`) or by an encoder that draws spikes; what is
    drawn follows from the number of the copy and the sample.

    Args:
        learner: the learner with the network.
        samples: the set.
        batch_size: the number of samples at a time.
        world: the processes that share out the batches.
        votes: the number of copies, the batch as it is included.

    Raises:
        ConfigError: several shall vote, and no copy differs.
    """
    streams = []
    for vote in range(votes):
        loader = Loader(samples, batch_size, "copies" if vote else "in_order", seed=0)
        batches = loader.epoch(vote, start=world.rank, every=world.size)
        streams.append(Uploads(learner.device)(batches))
    for number, copies in enumerate(zip(*streams, strict=True)):
        if votes > 1 and not number and all(_equal(copies[0].x, each.x) for each in copies[1:]):
            raise ConfigError(
                f"{votes} copies of each sample shall vote, but they are all alike, since nothing "
                "is drawn for them: say what changes them, such as "
                "data.augment='[{name: shift}, {name: crop_time}]'."
            )
        yield copies


def _equal(one: Spikes | Tensor, other: Spikes | Tensor) -> bool:
    """Whether two inputs of one shape are the same."""
    if isinstance(one, Spikes) and isinstance(other, Spikes):
        return one.shape == other.shape and torch.equal(one.dense(), other.dense())
    return isinstance(one, Tensor) and isinstance(other, Tensor) and torch.equal(one, other)


class _Firing:
    """The firing rates of every population, summed over the samples of passes."""

    def __init__(self, learner: Learner) -> None:
        self.engine = learner.engine
        self.sums = dict.fromkeys(self.engine.populations, 0.0)

    def add(self, samples: float) -> None:
        """Add the rates of the last pass, which stand for so many samples."""
        for name, rate in self.engine.firing_rates.items():
            self.sums[name] += rate * samples


def _voted(read: Callable[[Batch], Tensor], copies: Sequence[Batch], firing: _Firing) -> Tensor:
    """The mean of what is read of each copy of a batch; the rates of the passes are added."""
    values = []
    for batch in copies:
        values.append(read(batch))
        firing.add(len(batch) / len(copies))
    return mean(values)


def _evaluate_numbers(
    learner: Learner, samples: SampleSet, batch_size: int, world: World, votes: int
) -> Evaluation:
    """The error of a network whose outputs are numbers."""
    squares = 0.0
    firing = _Firing(learner)
    for copies in voters(learner, samples, batch_size, world, votes):
        estimate = _voted(learner.estimate, copies, firing)
        targets = copies[0].targets
        assert targets is not None
        squares += float((estimate - targets).square().mean(-1).sum())
    told = world.sum({**firing.sums, _SQUARES: squares})
    squares, total = told.pop(_SQUARES), len(samples)
    rates = {name: rate / total for name, rate in told.items()}
    return Evaluation(math.nan, 0.0, [], rates, math.sqrt(squares / total))


def mean(votes: Sequence[Tensor]) -> Tensor:
    """The mean of what copies of a batch came to, each ``[B, C]``; of one, itself."""
    return votes[0] if len(votes) == 1 else torch.stack(list(votes)).mean(0)
