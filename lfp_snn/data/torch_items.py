"""The items of torch datasets, read reproducibly and brought to the form of a batch."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lfp_snn.data.binning import Binning, bin_events
from lfp_snn.data.events import Events
from lfp_snn.data.layout import Axes
from lfp_snn.data.sets import Encoded, IntArray, gather
from lfp_snn.errors import DataError
from lfp_snn.exclusive import PROCESS_WIDE
from lfp_snn.later import torch
from lfp_snn.spikes import Spikes

if TYPE_CHECKING:
    from torch import Tensor

Sensor = tuple[int, int, int]


@contextmanager
def drawing(*key: int) -> Iterator[None]:
    """Let all draws from global random numbers follow from the key, in a ``with`` block.

    The random numbers are those of torch, numpy and Python, which are put back afterwards.
    """
    with PROCESS_WIDE, torch.random.fork_rng([]):
        before = random.getstate(), np.random.get_state()  # noqa: NPY002 - it is what others use
        seed_with(*key)
        try:
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])  # noqa: NPY002


def seed_with(*key: int) -> int:
    """Seed the global random numbers of torch, numpy and Python with a key; gives the seed."""
    seed = int(np.random.SeedSequence(key).generate_state(1)[0])
    torch.default_generator.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    random.seed(seed)
    return seed


def pair(item: Any) -> tuple[Any, Any]:
    """The input and the label in what a dataset or a collate function gives.

    Raises:
        DataError: the dataset or function gives something else than a pair.
    """
    if not isinstance(item, tuple | list) or len(item) != 2:
        found = f"{len(item)} values" if isinstance(item, tuple | list) else type(item).__name__
        raise DataError(
            f"The dataset gives {found}; expected pairs (input, label): choose the two with a "
            "transform or a collate function."
        )
    return item[0], item[1]


def is_events(value: Any) -> bool:
    """Whether a value is the events of one recording, as a structured array."""
    return isinstance(value, np.ndarray) and value.dtype.names is not None


def dense(value: Any) -> Tensor:
    """A value as a dense tensor of numbers.

    Raises:
        DataError: the value is something else.
    """
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        # Of unsigned types torch knows the shortest only.
        longer = value.dtype.kind == "u" and value.dtype.itemsize > 1
        return torch.from_numpy(np.ascontiguousarray(value.astype(np.int64) if longer else value))
    if isinstance(value, torch.Tensor) and not value.is_complex():
        return value.detach().cpu().to_dense()
    raise DataError(
        f"The dataset gives inputs of the type {type(value).__name__}; expected tensors, arrays of "
        "numbers, structured arrays of events, or Spikes: add a transform that makes one of them."
    )


def labels_of(given: Any, count: int) -> IntArray:
    """Labels as int64 [B].

    Raises:
        DataError: the labels are not one integer for each sample.
    """
    try:
        found = np.asarray(
            torch.as_tensor(given).cpu() if isinstance(given, torch.Tensor) else given
        )
    except (ValueError, TypeError) as error:
        raise DataError(f"The labels cannot be read: {error}.") from error
    if found.dtype.kind not in "iu" or found.size != count:
        raise DataError(
            f"The labels are of type {found.dtype} and shape {found.shape}; expected {count} "
            f"integers, one class for each sample{_cure(found, count)}."
        )
    return found.reshape(count).astype(np.int64)


def _cure(labels: npt.NDArray[Any], count: int) -> str:
    """What makes integers of labels that are words, one-hot rows or truth values."""
    if labels.dtype.kind in "US":
        return ": names, labels = numpy.unique(words, return_inverse=True) numbers them"
    if labels.dtype.kind not in "biuf":
        return ""
    if labels.ndim == 2 and len(labels) == count and bool((labels.sum(1) == 1).all()):
        return ": labels.argmax(1) makes them of one-hot rows"
    if labels.size == count:
        return ": labels.astype(int) makes them, labels.long() of a tensor"
    return ""


@dataclass(frozen=True)
class Form:
    """The form in which inputs come, and in which they become the input of a network.

    Args:
        axes: the axes of dense inputs; of recordings the shape of a frame.
        binning: how recordings become steps, where samples are recordings.
        recorded: the sensor (polarities, height, width) of recordings.
    """

    axes: Axes
    binning: Binning | None = None
    recorded: Sensor | None = None

    def encode(self, inputs: Any, own: IntArray | None = None) -> Encoded:
        """Encode the input of a batch.

        Args:
            inputs: the inputs of all samples in one tensor or `Spikes`, or a list with one for
                each.
            own: the steps of each sample, where the samples tell them.

        Raises:
            DataError: the inputs have another shape or type than the form says.
        """
        if isinstance(inputs, list | tuple):
            return self._from_each(inputs)
        if not isinstance(inputs, Spikes):
            inputs = self._turned(dense(inputs))
        if not self.axes.timed:
            return Encoded(inputs)
        if inputs.feature_shape != self.axes.frame:
            raise self._misfit(inputs.shape)
        if own is not None:
            own = np.minimum(own, inputs.steps)
            own = None if bool((own == inputs.steps).all()) else own
        return Encoded(inputs, own)

    def _turned(self, x: Tensor) -> Tensor | Spikes:
        """Dense inputs of a batch as spike trains, or as constant currents."""
        if not self.axes.timed:
            if x.shape[1:] != self.axes.frame:
                raise self._misfit(x.shape)
            return x if x.is_floating_point() else x.float()
        if x.dim() != 2 + len(self.axes.frame):
            raise self._misfit(x.shape)
        return Spikes.from_dense(x if self.axes.batch == 1 else x.transpose(0, 1))

    def _from_each(self, inputs: Sequence[Any]) -> Encoded:
        if self.recorded is not None:
            return self._binned(inputs)
        if isinstance(inputs[0], Spikes):
            inputs = [each.dense()[:, 0] for each in inputs]
        tensors = [dense(each) for each in inputs]
        wrong = next((x for x in tensors if x.shape[self.axes.timed :] != self.axes.frame), None)
        if wrong is not None:
            raise self._misfit(wrong.shape)
        if not self.axes.timed:
            return self.encode(torch.stack(tensors))
        own = np.array([len(x) for x in tensors], dtype=np.int64)
        x = torch.nn.utils.rnn.pad_sequence(tensors)  # [T, B, *frame], zero after each end
        return Encoded(Spikes.from_dense(x), None if bool((own == len(x)).all()) else own)

    def _binned(self, recordings: Sequence[Any]) -> Encoded:
        assert self.binning is not None and self.recorded is not None
        events = Events.joined([events_of(each, self.recorded) for each in recordings])
        trains = bin_events(events, self.binning)
        rows = np.arange(len(recordings))
        return gather(trains, rows, self.binning.steps, self.axes.frame)

    def _misfit(self, shape: Sequence[int]) -> DataError:
        frame, axes = self.axes.frame, "T, " if self.axes.timed else ""
        return DataError(
            f"An input has the shape {tuple(shape)}, but the first had frames of {frame}; expected "
            f"[{axes}{', '.join(map(str, frame))}] for each sample."
        )


def events_of(columns: npt.NDArray[Any], sensor: Sensor) -> Events:
    """Make one recording of a structured array with t, x, and p and y where the sensor has them.

    Raises:
        DataError: the array has other columns, no events, or events off the sensor.
    """
    names = columns.dtype.names if is_events(columns) else None
    if names is None or not {"t", "x"} <= set(names):
        found = f"an array with columns {', '.join(names)}" if names else type(columns).__name__
        raise DataError(
            f"A recording is {found}; expected a structured array with the columns x, y, t and p."
        )
    nothing = np.zeros(len(columns), dtype=np.int64)
    x, y, p = (columns[name] if name in names else nothing for name in ("x", "y", "p"))
    polarities, height, width = sensor
    if len(columns) == 0:
        raise DataError("A recording has no events; leave it out of the dataset.")
    p = p.astype(np.int64)
    if polarities == 1:
        p = nothing
    ends = [(int(each.min()), int(each.max())) for each in (p, y, x)]
    if any(low < 0 or high >= size for (low, high), size in zip(ends, sensor, strict=True)):
        raise DataError(
            f"A recording has x from {ends[2][0]} to {ends[2][1]}, y from {ends[1][0]} to "
            f"{ends[1][1]} and p from {ends[0][0]} to {ends[0][1]}, off the sensor of {polarities} "
            f"polarities, {height} rows and {width} columns: give its own with sensor=."
        )
    t = columns["t"].astype(np.int64)
    return Events(x.astype(np.int16), y.astype(np.int16), t, p.astype(np.uint8), sensor).in_order()
