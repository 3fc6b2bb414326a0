"""The loader: a set, cut into batches in an order that can be taken up again anywhere."""

from collections.abc import Iterator, Sequence
from typing import Literal, get_args

import numpy as np

from lfp_snn.data.batch import Batch
from lfp_snn.data.sets import Draw, IntArray, SampleSet
from lfp_snn.errors import ConfigError, DataError

#: How the samples of an epoch are chosen; see `Loader`.
Sampling = Literal["in_order", "copies", "shuffle", "balanced"]


class Loader:
    """A loader that yields a set in batches.

    The order, and whatever is drawn for the samples, is a pure function of (seed, epoch): a run
    that was killed goes on in mid-epoch with `start` = the batches it has done, and sees what it
    would have seen, whatever the number of workers.

    Args:
        samples: the set. A set with batches of its own (from a torch `DataLoader`) is cut as it
            says, except where it is taken in order.
        batch_size: B, the number of samples of a batch; the last batch of an epoch may be smaller.
        sampling: the order of samples: `in_order`, the set as it is, without augmentation;
            `copies`, in that order, each as it is drawn for the epoch, to vote by; or for training
            `shuffle` (all samples in a new order in each epoch) or `balanced` (every class equally
            often, with the same number of samples in all: rare classes several times, and a part of
            frequent ones).
        seed: the seed of the orders and the augmentation.
        workers: the number of threads that put batches together ahead of time; with 0 they are put
            together when they are asked for.
        shard: the number of the share of every batch that this loader yields, and the number of
            shares. Together the shares are the batches that a single loader would yield; they
            differ by one sample at most, and a share may be empty.

    Raises:
        ConfigError: the batch size is below 1, workers below 0, there is no such sampling, or
            `balanced` is asked of a set with batches of its own.
        DataError: the set is empty.
    """

    def __init__(
        self,
        samples: SampleSet,
        batch_size: int,
        sampling: Sampling,
        seed: int,
        workers: int = 0,
        shard: tuple[int, int] = (0, 1),
    ) -> None:
        if batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size}, expected at least 1")
        if workers < 0:
            raise ConfigError(f"workers is {workers}, expected at least 0")
        if sampling not in get_args(Sampling):
            known = ", ".join(map(repr, get_args(Sampling)))
            raise ConfigError(f"sampling is {sampling!r}, expected one of {known}")
        if len(samples) == 0:
            raise DataError("the set has no samples, so there is nothing to load")
        self._own = None if sampling in ("in_order", "copies") else samples.batching
        if self._own is not None and sampling == "balanced":
            raise ConfigError(
                "sampling is 'balanced', but the training set is a DataLoader, which draws its own "
                "batches; leave sampling out, or give the dataset itself"
            )
        self.samples = samples
        self.batch_size = batch_size
        self.sampling = sampling
        self.seed = seed
        self.workers = workers
        self.shard = shard

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        if self._own is not None:
            return len(self._own)
        return -(-len(self.samples) // self.batch_size)

    def epoch(self, epoch: int, start: int = 0, every: int = 1) -> Iterator[Batch]:
        """Yield the batches of an epoch: batch number `start`, and each that is `every` further on.

        Raises:
            DataError: a sample cannot be read.
        """
        draw = None if self.sampling == "in_order" else Draw(self.seed, epoch)
        batches = self._batches(Draw(self.seed, epoch))[start::every]
        own = [np.array_split(whole, self.shard[1])[self.shard[0]] for whole in batches]
        yield from self.samples.batches(own, draw, self.workers)

    def _batches(self, draw: Draw) -> Sequence[IntArray]:
        """The positions of the samples of each batch of an epoch."""
        if self._own is not None:
            return self._own.draw(draw)
        order = self._order(draw.epoch)
        return [order[n : n + self.batch_size] for n in range(0, len(order), self.batch_size)]

    def _order(self, epoch: int) -> IntArray:
        count = len(self.samples)
        if self.sampling in ("in_order", "copies"):
            return np.arange(count)
        rng = np.random.default_rng([self.seed, epoch])
        if self.sampling == "shuffle":
            return rng.permutation(count)
        return _balanced(self.samples.labels, rng)


def _balanced(labels: IntArray, rng: np.random.Generator) -> IntArray:
    """Draw as many positions as there are labels, every class equally often (give or take one)."""
    classes = rng.permutation(np.unique(labels))
    shares = np.full(len(classes), len(labels) // len(classes))
    shares[: len(labels) % len(classes)] += 1
    chosen = []
    for label, share in zip(classes, shares, strict=True):
        members = np.flatnonzero(labels == label)
        rounds = -(-int(share) // len(members))  # all of them once before any of them twice
        line = np.concatenate([rng.permutation(members) for _ in range(max(rounds, 1))])
        chosen.append(line[:share])
    return rng.permutation(np.concatenate(chosen))
