"""The loader: a set, cut into batches in an order that can be taken up again anywhere."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal

import numpy as np
import torch

from lfp_snn.data.batch import Batch
from lfp_snn.data.sets import Draw, IntArray, SampleSet
from lfp_snn.errors import ConfigError, DataError

#: How the samples of an epoch are chosen; see `Loader`.
Sampling = Literal["in_order", "shuffle", "balanced"]

_AHEAD = 2  # batches that each worker may be ahead


class Loader:
    """Yields a set in batches.

    The order, and whatever is drawn for the samples, is a pure function of (seed, epoch): a run
    that was killed goes on in mid-epoch with `start` = the batches it has done, and sees what it
    would have seen, whatever the number of workers.

    Args:
        samples: the set.
        batch_size: B; the last batch of an epoch may be smaller.
        sampling: `in_order`, the set as it is, without augmentation; or for training `shuffle`, all
            samples in a new order in each epoch, or `balanced`, every class equally often: as many
            samples in all, those of rare classes several times, and of frequent ones a part.
        seed: draws the orders and the augmentation.
        workers: threads that put batches together ahead of time; 0: none, when they are asked for.
        shard: which share of every batch this loader yields, and of how many. Together they yield
            the batches that a single one would; shares differ by one sample at most, and one may
            have none.

    Raises:
        ConfigError: the batch size is below 1, workers below 0, or there is no such sampling.
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
        if sampling not in ("in_order", "shuffle", "balanced"):
            raise ConfigError(
                f"sampling is {sampling!r}, expected 'in_order', 'shuffle' or 'balanced'"
            )
        if len(samples) == 0:
            raise DataError("the set has no samples, so there is nothing to load")
        self.samples = samples
        self.batch_size = batch_size
        self.sampling = sampling
        self.seed = seed
        self.workers = workers
        self.shard = shard

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        return -(-len(self.samples) // self.batch_size)

    def epoch(self, epoch: int, start: int = 0, every: int = 1) -> Iterator[Batch]:
        """The batches of an epoch: batch number `start`, and each that is `every` further on.

        Raises:
            DataError: a sample cannot be read.
        """
        order = self._order(epoch)
        draw = None if self.sampling == "in_order" else Draw(self.seed, epoch)

        def make(number: int) -> Batch:
            whole = order[number * self.batch_size : (number + 1) * self.batch_size]
            own = np.array_split(whole, self.shard[1])[self.shard[0]]
            return self.samples.batch(own, draw) if len(own) else _nothing()

        numbers = range(start, len(self), every)
        if self.workers == 0:
            yield from map(make, numbers)
            return
        # Threads: the kernels that read and bin release Python's lock, and nothing is copied
        # between processes or left behind by them.
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="loader")
        waiting: deque[Future[Batch]] = deque()
        try:
            for number in numbers:
                waiting.append(pool.submit(make, number))
                if len(waiting) > _AHEAD * self.workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _order(self, epoch: int) -> IntArray:
        count = len(self.samples)
        if self.sampling == "in_order":
            return np.arange(count)
        rng = np.random.default_rng([self.seed, epoch])
        if self.sampling == "shuffle":
            return rng.permutation(count)
        return _balanced(self.samples.labels, rng)


def _nothing() -> Batch:
    """The share of a batch that has fewer samples than there are shares."""
    return Batch(torch.empty(0), torch.empty(0, dtype=torch.int64))


def _balanced(labels: IntArray, rng: np.random.Generator) -> IntArray:
    """Positions with every class equally often (give or take one), as many as there are labels."""
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
