"""Sets: labelled samples held in memory (or mapped from disk) that are put together to batches."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lfp_snn.data.batch import Batch
from lfp_snn.data.binning import Binned
from lfp_snn.data.encoders import Encoder
from lfp_snn.errors import DataError
from lfp_snn.spikes import Spikes

IntArray = npt.NDArray[np.int64]
Positions = Sequence[int] | IntArray


class SampleSet(ABC):
    """Labelled samples, all of one shape.

    A subset is a selection of rows of one store; the store is shared, never copied.

    Args:
        labels: class of each row of the store, int64; -1 where unknown.
        ids: name of each row of the store.
        classes: name of each class.
        feature_shape: shape of one sample at one time step.
        steps: T.
        rows: the rows that make up this set (None: all).
    """

    def __init__(
        self,
        labels: IntArray,
        ids: Sequence[str],
        *,
        classes: tuple[str, ...],
        feature_shape: tuple[int, ...],
        steps: int,
        rows: IntArray | None = None,
    ) -> None:
        self._all_labels = np.asarray(labels, dtype=np.int64)
        self._all_ids = ids
        self._rows = np.arange(len(self._all_labels)) if rows is None else rows
        self.classes = classes
        self.feature_shape = feature_shape
        self.steps = steps

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({len(self)} samples, {len(self.classes)} classes, "
            f"T={self.steps}, feature_shape={self.feature_shape})"
        )

    @property
    def labels(self) -> IntArray:
        """Class of each sample, int64 [N]; -1 where unknown."""
        return self._all_labels[self._rows]

    @property
    def ids(self) -> tuple[str, ...]:
        """A name for each sample."""
        return tuple(self._all_ids[row] for row in self._rows)

    def batch(self, indices: Positions) -> Batch:
        """The samples at these positions of the set, in this order."""
        rows = self._rows[np.asarray(indices, dtype=np.int64)]
        x = self._encode(rows)
        return Batch(
            x,
            torch.from_numpy(self._all_labels[rows]),
            ids=tuple(self._all_ids[row] for row in rows),
            steps=None if isinstance(x, Spikes) else self.steps,
        )

    def subset(self, indices: Positions) -> "SampleSet":
        """The set of the samples at these positions of this set."""
        return self._select(self._rows[np.asarray(indices, dtype=np.int64)])

    @abstractmethod
    def _encode(self, rows: IntArray) -> Spikes | torch.Tensor:
        """The input that these rows of the store make."""

    @abstractmethod
    def _select(self, rows: IntArray) -> "SampleSet":
        """The set of these rows of the store."""


class SpikeSet(SampleSet):
    """Spike trains, kept as CSR over the frames of all recordings (frame n*T + t).

    Args:
        trains: the spike trains of the store, in memory or mapped from a file.
        labels, ids, classes, feature_shape, steps, rows: see `SampleSet`.
    """

    def __init__(
        self,
        trains: Binned,
        labels: IntArray,
        ids: Sequence[str],
        *,
        classes: tuple[str, ...],
        feature_shape: tuple[int, ...],
        steps: int,
        rows: IntArray | None = None,
    ) -> None:
        super().__init__(
            labels, ids, classes=classes, feature_shape=feature_shape, steps=steps, rows=rows
        )
        if len(trains.indptr) != len(self._all_labels) * steps + 1:
            raise DataError(
                f"{len(self._all_labels)} labels with T={steps} need "
                f"{len(self._all_labels) * steps} frames, got {len(trains.indptr) - 1}"
            )
        # Plain views: slicing a np.memmap costs ten times as much as slicing an array.
        self._indptr = np.asarray(trains.indptr)
        self._indices = np.asarray(trains.indices)
        self._values = None if trains.values is None else np.asarray(trains.values)

    @property
    def trains(self) -> Binned:
        """The spike trains of the whole store."""
        return Binned(self._indptr, self._indices, self._values)

    def _encode(self, rows: IntArray) -> Spikes:
        frames = self._indptr[rows[:, None] * self.steps + np.arange(self.steps + 1)]
        indptr = np.zeros(len(rows) * self.steps + 1, dtype=np.int64)
        np.cumsum(np.diff(frames, axis=1), out=indptr[1:])
        pieces = [slice(*ends) for ends in frames[:, [0, -1]].tolist()]
        values = self._values
        return Spikes(
            torch.from_numpy(indptr),
            torch.from_numpy(_gather(self._indices, pieces)),
            (self.steps, len(rows), *self.feature_shape),
            None if values is None else torch.from_numpy(_gather(values, pieces)),
        )

    def _select(self, rows: IntArray) -> "SpikeSet":
        return SpikeSet(
            self.trains,
            self._all_labels,
            self._all_ids,
            classes=self.classes,
            feature_shape=self.feature_shape,
            steps=self.steps,
            rows=rows,
        )


class ImageSet(SampleSet):
    """Images in memory, encoded when a batch is put together.

    Args:
        images: uint8 [N, *shape of an image].
        encoder: turns images into the input of a network.
        labels, ids, classes, rows: see `SampleSet`.
    """

    def __init__(
        self,
        images: npt.NDArray[np.uint8],
        encoder: Encoder,
        labels: IntArray,
        ids: Sequence[str],
        *,
        classes: tuple[str, ...],
        rows: IntArray | None = None,
    ) -> None:
        super().__init__(
            labels,
            ids,
            classes=classes,
            feature_shape=encoder.code.feature(images.shape[1:]),
            steps=encoder.steps,
            rows=rows,
        )
        self._images = images
        self._encoder = encoder

    def _encode(self, rows: IntArray) -> Spikes | torch.Tensor:
        return self._encoder(self._images[rows], rows)

    def _select(self, rows: IntArray) -> "ImageSet":
        return ImageSet(
            self._images,
            self._encoder,
            self._all_labels,
            self._all_ids,
            classes=self.classes,
            rows=rows,
        )


def _gather(column: npt.NDArray[Any], pieces: list[slice]) -> npt.NDArray[Any]:
    return np.concatenate([column[piece] for piece in pieces]) if pieces else column[:0].copy()


@dataclass(frozen=True)
class Splits:
    """The three parts of a dataset, and what it is.

    `info` has `name`, `source` (one phrase: what it is and from whom, for reports) and `sizes`
    (samples in each part).
    """

    train: SampleSet
    val: SampleSet
    test: SampleSet
    info: dict[str, Any]

    @classmethod
    def of(
        cls,
        samples: SampleSet,
        train: Positions,
        val: Positions,
        test: Positions,
        *,
        name: str,
        source: str,
    ) -> "Splits":
        """Cuts one set into three."""
        sizes = {"train": len(train), "val": len(val), "test": len(test)}
        return cls(
            train=samples.subset(train),
            val=samples.subset(val),
            test=samples.subset(test),
            info={"name": name, "source": source, "sizes": sizes},
        )
