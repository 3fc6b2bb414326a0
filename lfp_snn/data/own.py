"""The data of a user as sets and splits: from torch, from arrays, or sets as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lfp_snn.data.binning import Binned, Binning, join
from lfp_snn.data.layout import Layout, OutputsOf, batch_axis_by, find_axes
from lfp_snn.data.sets import SampleSet, SpikeSet, Splits
from lfp_snn.data.torch_items import Sensor, dense, labels_of
from lfp_snn.data.torch_sets import Listed, TorchSet, set_of_loader
from lfp_snn.errors import DataError
from lfp_snn.later import torch
from lfp_snn.spikes import Spikes

if TYPE_CHECKING:
    pass

_AT_ONCE = 256  # samples of an array that are made into lists at a time


def from_torch(
    data: Any,
    *,
    layout: Layout | None = None,
    steps: int | None = None,
    sensor: Sensor | None = None,
    binning: Binning | None = None,
    classes: Sequence[str] | int | None = None,
    outputs_of: OutputsOf | None = None,
) -> SampleSet:
    """Make a set of what torch trains on.

        train = from_torch(dataset)                      # frames [T, *frame], label
        train = from_torch(DataLoader(dataset, batch_size=50, shuffle=True))
        train = from_torch(tonic.datasets.NMNIST(root), steps=25)        # recordings of events
        train = from_torch((x, labels), steps=25)        # x [N, *frame], shown for 25 steps

    Args:
        data: one of

            - a torch `Dataset` that gives pairs (input, label). An input is a tensor or array
              `[T, *frame]`, or `[*frame]` with `steps`; a structured array of events with `steps`;
              or `Spikes` of one sample. One without a length is read once and kept.
            - a `DataLoader`, with whatever collate function: inputs `[T, B, *frame]`,
              `[B, T, *frame]`, `[B, *frame]` with `steps`, `Spikes`, or a list of single inputs.
              It trains in its own batches and order; workers of its own stay processes.
            - a pair (inputs, labels) of tensors or arrays, or of `Spikes` and labels. Labels of a
              floating type, `[N]` or `[N, D]`, are targets to learn.
            - a set as it is.
        layout: the layout of the axes of a batch: `TB`, `BT` or `B` (no time). It is needed where
            nothing else tells it: `T` equal to `N` in arrays, or frames of one step or channel.
        steps: T of inputs without time and of recordings.
        sensor: the sensor (polarities, height, width) of recordings; those of tonic know theirs.
        binning: how recordings become steps, if not as `Binning(steps)`.
        classes: the names of the classes, or their number; by default as the dataset says, or as
            there are labels.
        outputs_of: a function that gives the number of outputs of the network for a frame of some
            shape, and raises `ShapeError` for a shape that it does not take. With it, a time axis
            in the wrong place is found; `fit` gives it.

    Returns:
        A set. Recordings and frames become lists of spikes; where samples have different numbers
        of steps they keep them, also behind a collate function that pads.

    Raises:
        DataError: the data does not fit; the message says what does not, and what to change.
    """
    said: dict[str, Any] = {
        "layout": layout, "steps": steps, "sensor": sensor, "binning": binning,
        "classes": classes, "outputs_of": outputs_of,
    }  # fmt: skip
    if isinstance(data, SampleSet):
        return data
    if isinstance(data, torch.utils.data.DataLoader):
        return set_of_loader(data, **said)
    if isinstance(data, torch.utils.data.IterableDataset):
        return TorchSet(Listed(data), **said)
    if isinstance(data, tuple) and len(data) == 2 and _is_array(data[0]):
        return _set_of_arrays(data[0], data[1], said)
    if isinstance(data, list | tuple):
        _refuse_batches(data)
    by_number = hasattr(data, "__getitem__") and hasattr(data, "__len__")
    if by_number and not _is_array(data) and not isinstance(data, Mapping | str):
        return TorchSet(data, **said)
    cure = ": inputs and labels stand together, as in fit(net, (x, labels))" * _is_array(data)
    raise DataError(
        f"The data is a {type(data).__name__}; expected a torch Dataset or DataLoader, a pair "
        f"(inputs, labels) of arrays, or Splits{cure}."
    )


def own_splits(train: Any, val: Any = None, test: Any = None, **said: Any) -> Splits:
    """Make splits of three parts, each as `from_torch` takes it.

    Args:
        train: the data to learn from.
        val: the data to validate; None if nothing does.
        test: the data to test; None if nothing does.
        said: the arguments of `from_torch`.

    Raises:
        DataError: a part does not fit, as in `from_torch` (the message names it), or parts differ.
    """
    parts: dict[str, SampleSet] = {}
    for name, data in (("train", train), ("val", val), ("test", test)):
        if data is None and parts:
            parts[name] = parts["train"].subset([])
            continue
        try:
            parts[name] = from_torch(data, **said)
        except DataError as error:
            raise DataError(f"The {name} part: {error}") from error
        first, other = parts["train"], parts[name]
        if other.feature_shape != first.feature_shape:
            raise DataError(
                f"The {name} part has frames of the shape {other.feature_shape}, and those of the "
                f"train part have {first.feature_shape}; expected one shape."
            )
        said = {**said, "classes": first.classes}
    return Splits.joined(parts, name="own", source=f"one's own: {_named(train)}")


def _named(data: Any) -> str:
    """A word or two that say what a part is."""
    inner = data.dataset if isinstance(data, torch.utils.data.DataLoader) else data
    return "arrays" if isinstance(inner, tuple) else type(inner).__name__


def _is_array(value: Any) -> bool:
    return isinstance(value, torch.Tensor | np.ndarray | Spikes)


def _refuse_batches(listed: Sequence[Any]) -> None:
    """Refuse a list of batches, and arrays in a list.

    Raises:
        DataError: the list is one; the message says what to give.
    """
    first = listed[0] if listed else None
    if len(listed) == 2 and all(_is_array(each) for each in listed):
        raise DataError(
            "The data is a list of two arrays; inputs and labels stand together in a tuple, as in "
            "fit(net, (x, labels))."
        )
    if not (isinstance(first, tuple | list) and len(first) == 2 and _is_array(first[1])):
        return
    inputs, labels = first
    if isinstance(labels, Spikes) or len(labels.shape) != 1 or labels.shape[0] < 2:
        return
    # What has one number for each class has no axis of the inputs.
    if labels.shape[0] in getattr(inputs, "shape", ())[:2]:
        raise DataError(
            f"The data is a {type(listed).__name__} of batches, each of {labels.shape[0]} "
            "samples; expected single samples: give the DataLoader that makes them, or all in "
            "arrays, (torch.cat([x for x, _ in batches]), torch.cat([y for _, y in batches]))."
        )


def _set_of_arrays(inputs: Any, given: Any, said: dict[str, Any]) -> SampleSet:
    """The set of all inputs and labels in two arrays."""
    labels = np.asarray(given.cpu() if isinstance(given, torch.Tensor) else given)
    if not labels.size:
        raise DataError("There are no labels, and so no samples: give at least one of each.")
    targets = None
    if labels.dtype.kind == "f":
        targets = labels.reshape(len(labels), -1).astype(np.float32)
        said = {**said, "classes": said["classes"] or targets.shape[1]}
        labels = np.full(len(labels), -1)
    samples = _set_of_labelled(inputs, labels_of(labels, len(labels)), said)
    return samples if targets is None else samples.aiming_at(targets)


def _set_of_labelled(inputs: Any, labels: Any, said: dict[str, Any]) -> SampleSet:
    if isinstance(inputs, Spikes):
        if inputs.batch != len(labels):
            raise DataError(f"There are {len(labels)} labels for Spikes of {inputs.batch} samples.")
        return _kept([inputs], labels, said)
    x = dense(inputs)
    layout, steps, outputs_of = said["layout"], said["steps"], said["outputs_of"]
    batch = batch_axis_by(len(labels), tuple(x.shape), layout)
    axes = find_axes(tuple(x.shape), batch, layout=layout, steps=steps, outputs_of=outputs_of)
    if not axes.timed:
        return TorchSet(
            torch.utils.data.TensorDataset(x, torch.from_numpy(labels)), **{**said, "layout": "B"}
        )
    x = x if batch == 1 else x.transpose(0, 1)
    return _kept([Spikes.from_dense(part) for part in torch.split(x, _AT_ONCE, 1)], labels, said)


def _kept(chunks: Sequence[Spikes], labels: Any, said: dict[str, Any]) -> SpikeSet:
    """Spike trains in memory, from chunks that have these samples one after the other."""
    frame, classes, outputs_of = chunks[0].feature_shape, said["classes"], said["outputs_of"]
    if classes is None:
        classes = int(labels.max()) + 1 if outputs_of is None else outputs_of(frame)
    # Of chunks some have ones alone, and say so by having no values.
    ones = all(chunk.values is None for chunk in chunks)
    trains = join(
        Binned(
            chunk.indptr.numpy(),
            chunk.indices.numpy(),
            None if ones else _values(chunk),
        )
        for chunk in chunks
    )
    return SpikeSet(
        trains,
        labels,
        [str(number) for number in range(len(labels))],
        classes=tuple(map(str, range(classes) if isinstance(classes, int) else classes)),
        feature_shape=frame,
        steps=chunks[0].steps,
    )


def _values(spikes: Spikes) -> Any:
    values = torch.ones(spikes.nnz) if spikes.values is None else spikes.values
    return values.float().numpy()
