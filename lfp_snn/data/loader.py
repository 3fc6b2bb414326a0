"""The loader: a set, cut into batches in an order that can be taken up again anywhere."""

from collections.abc import Iterator

import numpy as np

from lfp_snn.data.batch import Batch
from lfp_snn.data.sets import SampleSet
from lfp_snn.errors import ConfigError, DataError


class Loader:
    """Yields a set in batches.

    The order is a pure function of (seed, epoch): a run that was killed goes on in mid-epoch with
    `start` = the batches it has done, and sees what it would have seen.

    Args:
        samples: the set.
        batch_size: B; the last batch of an epoch may be smaller.
        shuffle: a new order in each epoch, or always that of the set.
        seed: draws the orders.

    Raises:
        ConfigError: the batch size is below 1.
        DataError: the set is empty.
    """

    def __init__(self, samples: SampleSet, batch_size: int, shuffle: bool, seed: int) -> None:
        if batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size}, expected at least 1")
        if len(samples) == 0:
            raise DataError("the set has no samples, so there is nothing to load")
        self.samples = samples
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        return -(-len(self.samples) // self.batch_size)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, from batch number `start` on."""
        order = np.arange(len(self.samples))
        if self.shuffle:
            order = np.random.default_rng([self.seed, epoch]).permutation(len(self.samples))
        for number in range(start, len(self)):
            yield self.samples.batch(
                order[number * self.batch_size : (number + 1) * self.batch_size]
            )
