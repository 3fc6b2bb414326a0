"""Sets out of what torch trains on: a `Dataset`, a `DataLoader`, or arrays.

A dataset stays where it is: its samples are read when a batch asks for them, with its transforms.
What these draw at random follows from (seed, epoch, sample) alone, as everywhere here, so that a
run that was killed goes on with the same samples. A `DataLoader` keeps its batches, its order, its
collate function and its worker processes; the order follows from (seed, epoch).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from lfp_snn.data.batch import Batch, nothing
from lfp_snn.data.binning import Binning
from lfp_snn.data.layout import Axes, Layout, OutputsOf, Shape, batch_axis_of, find_axes
from lfp_snn.data.sets import Draw, Encoded, IntArray, SampleSet
from lfp_snn.data.torch_items import (
    Form,
    Sensor,
    dense,
    drawing,
    is_events,
    labels_of,
    pair,
    seed_with,
)
from lfp_snn.data.torch_labels import attribute, stated_labels
from lfp_snn.errors import DataError
from lfp_snn.later import torch
from lfp_snn.spikes import Spikes

if TYPE_CHECKING:
    from torch.utils.data import DataLoader, IterableDataset

_Collate = Callable[[list[Any]], Any]
_AT_ONCE = 256  # samples whose labels are read at a time


class TorchSet(SampleSet):
    """A set of the samples of a torch dataset with a length, read when a batch asks for them.

    Args:
        dataset: the dataset, which gives pairs (input, label) by number.
        loader: the loader that the dataset came in, if any.
        layout, steps, sensor, binning, outputs_of: the arguments of `from_torch`.
        classes: the names of the classes, or their number; None: as the dataset says, the network
            has outputs, or as there are labels.
    """

    def __init__(
        self,
        dataset: Any,
        loader: DataLoader[Any] | None = None,
        *,
        layout: Layout | None = None,
        steps: int | None = None,
        sensor: Sensor | None = None,
        binning: Binning | None = None,
        classes: Sequence[str] | int | None = None,
        outputs_of: OutputsOf | None = None,
    ) -> None:
        size = len(dataset)
        if not size:
            raise DataError(f"The dataset {type(dataset).__name__} has no samples.")
        self._dataset = dataset
        self._loader = loader
        self._labels: IntArray | None = None
        first = self._items(np.array([0]), None)[0]
        self._collate = _collate_of(loader, pair(first)[0])
        said = _Said(layout, steps, sensor or _sensor_of(dataset), binning, outputs_of)
        self._form = _form(first, self._collate, said)
        axes = self._form.axes
        super().__init__(
            np.full(size, -1),  # known once they are read
            [str(number) for number in range(size)],
            classes=(),
            feature_shape=axes.frame,
            steps=axes.steps or steps or 1,
            rows=None if loader is None else _rows(loader, size),
        )
        if loader is not None:
            self.batching = _Batching(loader, self._rows)
        outputs = None if outputs_of is None else outputs_of(axes.frame)
        self.classes = self._names(classes, outputs)

    @property
    @override
    def labels(self) -> IntArray:
        """The class of each sample, int64 [N]; read once, where the dataset does not tell them."""
        if self._labels is None:
            self._labels = self._read_labels()
        return self._labels[self._rows]

    @override
    def stated_labels(self) -> IntArray | None:
        stated = stated_labels(self._dataset) if self._labels is None else self._labels
        return None if stated is None else stated[self._rows]

    @override
    def batches(self, each: Sequence[IntArray], draw: Draw | None, workers: int) -> Iterator[Batch]:
        loader = self._loader
        if loader is None or not loader.num_workers:
            return super().batches(each, draw, workers)
        kept = ("num_workers", "worker_init_fn", "multiprocessing_context", "timeout")
        return iter(
            torch.utils.data.DataLoader(
                _WholeBatches(self, draw),  # type: ignore[arg-type]  # only __getitems__ is called
                batch_sampler=[rows.tolist() for rows in each],
                collate_fn=_only,
                prefetch_factor=loader.prefetch_factor,
                generator=torch.Generator(),  # else it draws from the global one
                **{name: getattr(loader, name) for name in kept},
            )
        )

    @override
    def _encode(self, rows: IntArray, draw: Draw | None) -> Encoded:
        items = self._items(rows, draw)
        own = self._own_steps(items)
        if self._collate is None:
            pairs = [pair(item) for item in items]
            inputs: Any = [each for each, _ in pairs]
            given: Any = [label for _, label in pairs]
        else:
            with drawing(*_key(draw), *rows[:1].tolist()):
                inputs, given = pair(self._collate(items))
        labels = labels_of(given, len(rows))
        known = 0 if self.is_regression else len(self.classes)
        if known and not bool(((labels >= 0) & (labels < known)).all()):
            raise DataError(
                f"Labels run from {labels.min()} to {labels.max()}, but there are {known} classes; "
                f"expected 0 to {known - 1}: count classes from 0, and give the network one output "
                "per class."
            )
        return self._form.encode(inputs, own)._replace(labels=labels)

    @override
    def _select(self, rows: IntArray) -> TorchSet:
        chosen = copy.copy(self)
        chosen._rows, chosen.batching = rows, None
        return chosen

    def _items(self, rows: IntArray, draw: Draw | None) -> list[Any]:
        """The samples as the dataset gives them; what it draws follows from draw and row."""
        items = []
        with drawing(0):
            for row in rows.tolist():
                seed_with(*_key(draw), row)
                items.append(self._dataset[row])
        return items

    def _own_steps(self, items: Sequence[Any]) -> IntArray | None:
        """The steps of each sample before a collate function makes them alike, if they tell."""
        axes = self._form.axes
        shapes = [np.shape(pair(item)[0]) for item in items] if axes.batch is not None else []
        if not axes.timed or not shapes or any(shape[1:] != axes.frame for shape in shapes):
            return None
        return np.array([shape[0] for shape in shapes], dtype=np.int64)

    def _read_labels(self) -> IntArray:
        """Labels of all rows: as the dataset states them, if the samples agree, or one by one."""
        stated = stated_labels(self._dataset)
        size = len(self._all_labels)
        some = np.unique(np.linspace(0, size - 1, 8).astype(np.int64))
        if stated is not None and bool((self._labels_at(some) == stated[some]).all()):
            return stated
        parts = np.array_split(np.arange(size), -(-size // _AT_ONCE))
        return np.concatenate([self._labels_at(rows) for rows in parts])

    def _labels_at(self, rows: IntArray) -> IntArray:
        labels = self._encode(rows, None).labels
        assert labels is not None
        return labels

    def _names(self, classes: Sequence[str] | int | None, outputs: int | None) -> tuple[str, ...]:
        """The names of the classes."""
        if isinstance(classes, int):
            return tuple(map(str, range(classes)))
        if classes is not None:
            return tuple(map(str, classes))
        named = attribute(self._dataset, "classes")
        if isinstance(named, Sequence) and (outputs is None or len(named) == outputs):
            return tuple(map(str, named))
        return tuple(map(str, range(outputs or int(self.labels.max()) + 1)))


class _Said:
    """What the user says of a dataset, and of the network that is to take it."""

    def __init__(
        self,
        layout: Layout | None,
        steps: int | None,
        sensor: Sensor | None,
        binning: Binning | None,
        outputs_of: OutputsOf | None,
    ) -> None:
        self.sensor = sensor
        self.outputs_of = outputs_of
        self.binning = binning or (None if steps is None else Binning(steps))
        self._layout, self._steps = layout, steps

    def axes(self, shape: Shape, batch: int | None) -> Axes:
        """The axes of inputs of a shape."""
        return find_axes(
            shape, batch, layout=self._layout, steps=self._steps, outputs_of=self.outputs_of
        )


def _form(first: Any, collate: _Collate | None, said: _Said) -> Form:
    """Form in which the inputs of a dataset become those of a network, from its first sample."""
    value = pair(first)[0]
    if collate is not None:
        with drawing(0):
            two, three = (pair(collate([first] * count))[0] for count in (2, 3))
        if isinstance(two, Spikes):
            return Form(Axes(1, True, two.feature_shape, two.steps))
        if not isinstance(two, list | tuple):
            shapes = tuple(dense(two).shape), tuple(dense(three).shape)
            return Form(said.axes(shapes[0], batch_axis_of(*shapes)))
        value = two[0]
    if is_events(value):
        return _form_of_events(said)
    if isinstance(value, Spikes):
        return Form(Axes(None, True, value.feature_shape, value.steps))
    return Form(said.axes(tuple(dense(value).shape), None))


def _form_of_events(said: _Said) -> Form:
    for name, given, example in (
        ("sensor", said.sensor, "sensor=(2, 34, 34), polarities, rows and columns"),
        ("steps", said.binning, "steps=25"),
    ):
        if given is None:
            raise DataError(
                f"The dataset gives recordings of events, and nothing tells the {name}: use "
                f"lfp_snn.data.from_torch(dataset, {example}), or a transform that makes frames."
            )
    assert said.binning is not None and said.sensor is not None
    axes = Axes(None, True, said.sensor, said.binning.steps)
    return Form(axes, said.binning, said.sensor)


def _sensor_of(dataset: Any) -> Sensor | None:
    """The sensor (polarities, height, width), from tonic's `sensor_size`, which is reversed."""
    size = attribute(dataset, "sensor_size")
    if not isinstance(size, tuple) or len(size) != 3 or not all(isinstance(n, int) for n in size):
        return None
    return size[2], size[1], size[0]


def _collate_of(loader: DataLoader[Any] | None, value: Any) -> _Collate | None:
    """The collate function of a loader; None for torch's own where that knows no such inputs."""
    if loader is None:
        return None
    own = loader.collate_fn is torch.utils.data.default_collate
    return None if own and (is_events(value) or isinstance(value, Spikes)) else loader.collate_fn


def _key(draw: Draw | None) -> tuple[int, int]:
    return (0, 0) if draw is None else (draw.seed, draw.epoch)


def _drawn(loader: DataLoader[Any], draw: Draw) -> list[list[int]]:
    """The rows of each batch of an epoch, as the loader's sampler draws them."""
    generators = [
        each
        for each in (loader.generator, getattr(loader.sampler, "generator", None))
        if each is not None
    ]
    before = [each.get_state() for each in generators]
    with drawing(draw.seed, draw.epoch):
        for each in generators:
            each.manual_seed(seed_with(draw.seed, draw.epoch))
        batches = [list(rows) for rows in loader.batch_sampler or ()]
    for each, state in zip(generators, before, strict=True):
        each.set_state(state)
    return batches


def _rows(loader: DataLoader[Any], size: int) -> IntArray:
    """The rows of the dataset that a loader ever gives."""
    rows = list(chain.from_iterable(_drawn(loader, Draw(0, 0))))
    found = np.unique(np.array(rows, dtype=np.int64))
    # One that draws with replacement, or drops the last batch, gives others in other epochs.
    drawn_anew = len(found) != len(rows) or (loader.drop_last and len(found) < size)
    return np.arange(size) if drawn_anew or not len(found) else found


class _Batching:
    """The batches of a `DataLoader`."""

    def __init__(self, loader: DataLoader[Any], rows: IntArray) -> None:
        self._loader = loader
        self._rows = rows

    def __len__(self) -> int:
        return len(self._loader)

    def draw(self, draw: Draw) -> list[IntArray]:
        """The positions in the set of the samples of each batch."""
        batches = _drawn(self._loader, draw)
        return [np.searchsorted(self._rows, np.array(rows, dtype=np.int64)) for rows in batches]


class _WholeBatches:
    """A dataset of whole batches in place of samples, which worker processes put together."""

    def __init__(self, samples: TorchSet, draw: Draw | None) -> None:
        self._samples = samples
        self._draw = draw

    def __getitems__(self, indices: Sequence[int]) -> list[Batch]:
        if not len(indices):
            return [nothing()]
        return [self._samples.batch(np.asarray(indices), self._draw)]


def _only(batches: list[Batch]) -> Batch:
    return batches[0]


class Listed:
    """A dataset that was given without numbers, read once into a list."""

    def __init__(self, dataset: IterableDataset[Any]) -> None:
        self._dataset = dataset
        self._items = list(dataset)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._dataset, name)

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, number: int) -> Any:
        return self._items[number]


def set_of_loader(loader: DataLoader[Any], **said: Any) -> TorchSet:
    """Make the set of a `DataLoader`, as `from_torch` does.

    Raises:
        DataError: the loader has no batches, or shares them out among processes.
    """
    if loader.batch_size is None and loader.batch_sampler is None:
        raise DataError(
            "The DataLoader has batch_size=None and makes no batches; give it batch_size=50, or "
            "give its dataset."
        )
    if hasattr(loader.sampler, "num_replicas"):
        raise DataError(
            "The DataLoader has a sampler that shares out its samples among processes, which fit "
            "does itself, batch by batch; leave the sampler out."
        )
    if isinstance(loader.dataset, torch.utils.data.IterableDataset):
        listed = Listed(loader.dataset)
        again: DataLoader[Any] = torch.utils.data.DataLoader(
            listed,  # type: ignore[arg-type]
            loader.batch_size,
            collate_fn=loader.collate_fn,
            drop_last=loader.drop_last,
        )
        return TorchSet(listed, again, **said)
    return TorchSet(loader.dataset, loader, **said)
