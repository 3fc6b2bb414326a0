"""Sets: labelled samples held in memory (or in files) that are put together to batches."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt

from lfp_snn.data.ahead import ahead
from lfp_snn.data.augment import PlaceStep, on_spikes
from lfp_snn.data.batch import Batch, nothing
from lfp_snn.data.binning import Binned, Stored
from lfp_snn.data.column import StoredColumn
from lfp_snn.data.encoders import Encoder
from lfp_snn.errors import ConfigError, DataError
from lfp_snn.later import torch
from lfp_snn.spikes import Spikes
from lfp_snn.wording import setting

IntArray = npt.NDArray[np.int64]
Positions = Sequence[int] | IntArray


class Draw(NamedTuple):
    """The draw of a training batch, from which its random numbers follow."""

    seed: int
    epoch: int

    def keys(self, rows: IntArray) -> IntArray:
        """The numbers that the random numbers of each row follow from, int64 ``[N, 3]``."""
        return np.stack([np.full(len(rows), self.seed), np.full(len(rows), self.epoch), rows], 1)


class Encoded(NamedTuple):
    """The input of a batch, with lengths [B] if samples have them, and labels [B] if drawn."""

    x: Spikes | torch.Tensor
    lengths: IntArray | None = None
    labels: IntArray | None = None


class Batching(Protocol):
    """The interface by which a set itself says how it is cut into batches to train on."""

    def __len__(self) -> int:
        """The number of batches in an epoch."""

    def draw(self, draw: Draw) -> Sequence[IntArray]:
        """The positions of the samples of each batch of an epoch; follows from the draw."""


class SampleSet(ABC):
    """The base of sets of labelled samples, all of one shape.

    A subset is a selection of rows of one store; the store is shared, never copied.

    Args:
        labels: the class of each row of the store, int64; -1 where unknown.
        ids: the name of each row of the store.
        classes: the name of each class.
        feature_shape: the shape of one sample at one time step.
        steps: T; the largest, where samples have lengths of their own.
        rows: the rows that make up this set (None: all).
    """

    #: How it is cut into batches to train on; None: as the loader is told.
    batching: Batching | None = None

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
        self._all_targets: npt.NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({len(self)} samples, {len(self.classes)} classes, "
            f"T={self.steps}, feature_shape={self.feature_shape})"
        )

    @property
    def labels(self) -> IntArray:
        """The class of each sample, int64 [N]; -1 where unknown."""
        return self._all_labels[self._rows]

    def stated_labels(self) -> IntArray | None:
        """The labels as they are known without reading samples; None if they are not."""
        return self.labels

    @property
    def ids(self) -> tuple[str, ...]:
        """A name for each sample."""
        return tuple(self._all_ids[row] for row in self._rows)

    @property
    def targets(self) -> npt.NDArray[np.float32] | None:
        """The numbers to learn of each sample, float32 [N, D]; None if there are none."""
        return None if self._all_targets is None else self._all_targets[self._rows]

    @property
    def is_regression(self) -> bool:
        """Whether samples have targets and no classes: outputs are numbers, and none is right."""
        return self._all_targets is not None and bool((self._all_labels < 0).all())

    def aiming_at(self, targets: npt.NDArray[np.float32]) -> Self:
        """A set of these samples with targets.

        Args:
            targets: the targets of each row of the store, float32 [N, D].
        """
        aiming = copy.copy(self)
        aiming._all_targets = targets
        return aiming

    def batch(self, indices: Positions, draw: Draw | None = None) -> Batch:
        """The batch of the samples at these positions of the set, in this order.

        Args:
            indices: the positions.
            draw: the draw from which random numbers follow, for training; None if nothing is drawn.
        """
        rows = self._rows[np.asarray(indices, dtype=np.int64)]
        x, lengths, labels = self._encode(rows, draw)
        targets = None if self._all_targets is None else self._all_targets[rows]
        return Batch(
            x,
            torch.from_numpy(self._all_labels[rows] if labels is None else labels),
            lengths=None if lengths is None else torch.from_numpy(lengths),
            ids=tuple(self._all_ids[row] for row in rows),
            steps=None if isinstance(x, Spikes) else self.steps,
            targets=None if targets is None else torch.from_numpy(targets),
        )

    def batches(self, each: Sequence[IntArray], draw: Draw | None, workers: int) -> Iterator[Batch]:
        """The batches of the samples at these positions, in order; of no positions an empty one.

        Args:
            each: the positions of the samples of each batch.
            draw: the draw from which random numbers follow, as for `batch`.
            workers: the number of threads that put batches together ahead of time; 0 for none.
        """

        def make(indices: IntArray) -> Batch:
            return self.batch(indices, draw) if len(indices) else nothing()

        return ahead(make, each, workers)

    def subset(self, indices: Positions) -> SampleSet:
        """The set of the samples at these positions of this set."""
        chosen = self._select(self._rows[np.asarray(indices, dtype=np.int64)])
        chosen._all_targets = self._all_targets
        return chosen

    def keep(self, names: Sequence[int | str]) -> Self:
        """The set of the samples of some classes, numbered in the order of their names.

        Samples whose class is not known (-1) stay.

        Raises:
            ConfigError: a name is not one of the classes, or stands there twice.
        """
        if self.is_regression:
            raise ConfigError(
                f"{setting('data.classes')} is set, but the samples have targets and no classes."
            )
        wanted = [str(name) for name in names]
        for name in wanted:
            if name not in self.classes:
                raise ConfigError(
                    f"{setting('data.classes')} has {name!r}, but the classes are "
                    f"{', '.join(self.classes)}."
                )
            if wanted.count(name) > 1:
                raise ConfigError(f"{setting('data.classes')} has {name!r} more than once.")
        unknown = len(self.classes)
        number = np.full(unknown + 1, unknown, dtype=np.int64)  # what is left over
        number[-1] = -1
        number[[self.classes.index(name) for name in wanted]] = np.arange(len(wanted))
        kept = copy.copy(self)
        kept._all_labels = number[self._all_labels]
        kept._rows = self._rows[kept._all_labels[self._rows] < unknown]
        kept.classes = tuple(wanted)
        return kept

    @abstractmethod
    def _encode(self, rows: IntArray, draw: Draw | None) -> Encoded:
        """The input that these rows of the store make."""

    @abstractmethod
    def _select(self, rows: IntArray) -> SampleSet:
        """The set of these rows of the store."""


class SpikeSet(SampleSet):
    """A set of spike trains, kept as CSR over the frames of all recordings (frame n*T + t).

    Args:
        trains: the spike trains of the store, in memory or in files.
        labels, ids, classes, feature_shape, steps, rows: the arguments of `SampleSet`.
        augment: the steps of augmentation, which take part only in a batch that has a draw.
    """

    def __init__(
        self,
        trains: Binned | Stored,
        labels: IntArray,
        ids: Sequence[str],
        *,
        classes: tuple[str, ...],
        feature_shape: tuple[int, ...],
        steps: int,
        rows: IntArray | None = None,
        augment: Sequence[PlaceStep] = (),
    ) -> None:
        super().__init__(
            labels, ids, classes=classes, feature_shape=feature_shape, steps=steps, rows=rows
        )
        self.augment = tuple(augment)
        if len(trains.indptr) != len(self._all_labels) * steps + 1:
            raise DataError(
                f"{len(self._all_labels)} labels with T={steps} need "
                f"{len(self._all_labels) * steps} frames, got {len(trains.indptr) - 1}"
            )
        self.trains = Stored.of(trains) if isinstance(trains, Binned) else trains

    def _encode(self, rows: IntArray, draw: Draw | None) -> Encoded:
        encoded = gather(self.trains, rows, self.steps, self.feature_shape)
        return self.augmented(encoded, rows, draw)

    def augmented(self, encoded: Encoded, rows: IntArray, draw: Draw | None) -> Encoded:
        """The spikes of these rows after augmentation, if they are a training batch."""
        assert isinstance(encoded.x, Spikes)
        if draw is None or not self.augment:
            return encoded
        return encoded._replace(x=on_spikes(encoded.x, self.augment, draw.keys(rows)))

    def _select(self, rows: IntArray) -> SpikeSet:
        return SpikeSet(
            self.trains,
            self._all_labels,
            self._all_ids,
            classes=self.classes,
            feature_shape=self.feature_shape,
            steps=self.steps,
            rows=rows,
            augment=self.augment,
        )


class ImageSet(SampleSet):
    """A set of images in memory, encoded when a batch is put together.

    Args:
        images: the images, uint8 [N, *shape of an image].
        encoder: the encoder that turns images into the input of a network.
        labels, ids, classes, rows: the arguments of `SampleSet`.
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
        self.images = images
        self.encoder = encoder

    def _encode(self, rows: IntArray, draw: Draw | None) -> Encoded:
        epoch = 0 if draw is None else draw.epoch
        return Encoded(self.encoder(self.images[rows], rows, epoch))

    def _select(self, rows: IntArray) -> ImageSet:
        return ImageSet(
            self.images,
            self.encoder,
            self._all_labels,
            self._all_ids,
            classes=self.classes,
            rows=rows,
        )


def gather(
    trains: Binned | Stored, rows: IntArray, steps: int, feature_shape: tuple[int, ...]
) -> Encoded:
    """A batch of the recordings `rows` of spike trains of `steps` frames each.

    Where recordings have lengths of their own, the batch has as many steps as its longest.
    """
    lengths = None if trains.lengths is None else trains.lengths[rows]
    longest = steps if lengths is None else int(lengths.max(initial=1))
    frames = trains.indptr[rows[:, None] * steps + np.arange(longest + 1)]
    indptr = np.zeros(len(rows) * longest + 1, dtype=np.int64)
    np.cumsum(np.diff(frames, axis=1), out=indptr[1:])
    pieces = [slice(*ends) for ends in frames[:, [0, -1]].tolist()]
    values = trains.values
    x = Spikes(
        torch.from_numpy(indptr),
        torch.from_numpy(_pieces(trains.indices, pieces)),
        (longest, len(rows), *feature_shape),
        None if values is None else torch.from_numpy(_pieces(values, pieces)),
    )
    return Encoded(x, lengths)


def _pieces(column: npt.NDArray[Any] | StoredColumn, pieces: list[slice]) -> npt.NDArray[Any]:
    if isinstance(column, StoredColumn):
        return column.pieces(pieces)
    return np.concatenate([column[piece] for piece in pieces]) if pieces else column[:0].copy()


@dataclass(frozen=True)
class Splits:
    """The three parts of a dataset, and what it is.

    `val` may be empty: then the weights of the last epoch are tested.

    `info` has `name`, `source` (one phrase: what it is and from whom, for reports) and `sizes`
    (samples in each part). `loaded` has the name and the options with which `load` gives them
    again; None where it does not.
    """

    train: SampleSet
    val: SampleSet
    test: SampleSet
    info: dict[str, Any]
    loaded: Mapping[str, Any] | None = None

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
    ) -> Splits:
        """Cut one set into three."""
        rows = {"train": train, "val": val, "test": test}
        parts = {part: samples.subset(each) for part, each in rows.items()}
        return cls.joined(parts, name=name, source=source)

    @classmethod
    def joined(cls, parts: Mapping[str, SampleSet], *, name: str, source: str) -> Splits:
        """Join three sets of one kind, by the names of their parts."""
        sizes = {part: len(each) for part, each in parts.items()}
        info = {"name": name, "source": source, "sizes": sizes}
        return cls(parts["train"], parts["val"], parts["test"], info)

    def keep(self, names: Sequence[int | str]) -> Splits:
        """The samples of some classes, numbered in the order of their names.

        Raises:
            ConfigError: a name is no class, or stands there twice.
            DataError: a part has no sample of these classes.
        """
        parts = {name: getattr(self, name).keep(names) for name in ("train", "val", "test")}
        for name, part in parts.items():
            if not len(part) and len(getattr(self, name)):
                raise DataError(f"{setting('data.classes')} leaves nothing of the {name} part.")
        sizes = {name: len(part) for name, part in parts.items()}
        return Splits(**parts, info={**self.info, "sizes": sizes})
