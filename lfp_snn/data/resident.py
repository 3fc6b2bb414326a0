"""Sets that lie on a device: their batches are put together there, and nothing travels but rows.

Spike trains lie there as the lists that they are (:class:`~lfp_snn.Spikes`, one sample each), and
images as bytes. A batch holds what the loader of the set on the host makes, already in its place.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from lfp_snn.data.batch import Batch
from lfp_snn.data.column import StoredColumn
from lfp_snn.data.encoders import Constant
from lfp_snn.data.sets import Draw, Encoded, ImageSet, IntArray, SampleSet, SpikeSet, Splits
from lfp_snn.errors import ConfigError
from lfp_snn.later import torch
from lfp_snn.spikes import Spikes
from lfp_snn.wording import setting

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SHARE", "held_on"]

#: Of the free memory of a device, what sets may take that were not asked to lie there.
SHARE = 0.25

_Columns = tuple[npt.NDArray[Any] | StoredColumn | None, ...]


def held_on(splits: Splits, device: torch.device, *, asked: bool) -> Splits:
    """Put data on a device, if it fits there; parts of one store share it.

    Args:
        splits: the data.
        device: the device of the network.
        asked: whether the user asked for it. If not, data lies on CUDA devices as long as it takes
            no more than :data:`SHARE` of what is free.

    Raises:
        ConfigError: the user asked for it, and it cannot be: the data is put together from
            recordings or drawn on the CPU, or it does not fit.
    """
    if not asked and device.type != "cuda":
        return splits
    parts = {name: part for name in ("train", "val", "test") if len(part := getattr(splits, name))}
    columns = {name: _columns(part) for name, part in parts.items()}
    for name, own in columns.items():
        if own is None:
            if not asked:
                return splits
            raise ConfigError(
                f"{setting('data.storage')} is device, but batches of the {name} part, a "
                f"{type(parts[name]).__name__}, are made on the CPU: leave "
                f"{setting('data.storage')} out."
            )
    stores = {id(own[0]): own for own in columns.values() if own is not None}
    needed = sum(each.nbytes for own in stores.values() for each in own if each is not None)
    free = _free(device)
    if needed > (free if asked else SHARE * free):
        if not asked:
            return splits
        raise ConfigError(
            f"{setting('data.storage')} is device, but the data takes {needed / 2**20:.0f} MiB, "
            f"and of {device} "
            f"{free / 2**20:.0f} MiB are free: leave {setting('data.storage')} out."
        )
    sent = {key: tuple(_sent(each, device) for each in own) for key, own in stores.items()}
    held: dict[str, Any] = {
        name: _resident(part, sent[id(own[0])])
        for (name, part), own in zip(parts.items(), columns.values(), strict=True)
        if own is not None
    }
    return replace(splits, **held)


def _free(device: torch.device) -> float:
    """Bytes that are free on a device; on the CPU, where data lies already, they do not matter."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else math.inf


def _columns(samples: SampleSet) -> _Columns | None:
    """The arrays of a store, if batches of it can be put together on a device."""
    if type(samples) is SpikeSet:
        trains = samples.trains
        return trains.indptr, trains.indices, trains.values
    if type(samples) is ImageSet and isinstance(samples.encoder.code, Constant):
        return (samples.images,)
    return None


def _sent(column: npt.NDArray[Any] | StoredColumn | None, device: torch.device) -> Tensor | None:
    return None if column is None else torch.tensor(np.asarray(column)).to(device)


def _resident(samples: SampleSet, columns: tuple[Tensor | None, ...]) -> SampleSet:
    if isinstance(samples, SpikeSet):
        return _ResidentSpikes(samples, columns)
    assert isinstance(samples, ImageSet)
    return _ResidentImages(samples, columns)


class _Resident(SampleSet):
    """A set whose store lies on a device."""

    def __init__(self, samples: Any, columns: tuple[Any, ...]) -> None:
        super().__init__(
            samples._all_labels,
            samples._all_ids,
            classes=samples.classes,
            feature_shape=samples.feature_shape,
            steps=samples.steps,
            rows=samples._rows,
        )
        self._all_targets = samples._all_targets
        self._samples = samples
        self._columns = columns

    @override
    def batches(self, each: Sequence[IntArray], draw: Draw | None, workers: int) -> Iterator[Batch]:
        """The batches of a set, without threads: there is nothing to do ahead of time."""
        return super().batches(each, draw, 0)

    @override
    def _select(self, rows: IntArray) -> SampleSet:
        chosen = copy.copy(self)
        chosen._rows = rows
        return chosen

    def _on_device(self, rows: IntArray) -> Tensor:
        """The rows on the device of the store, sent without waiting for it."""
        device: torch.device = self._columns[0].device
        sent = torch.from_numpy(np.ascontiguousarray(rows))
        return sent.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else sent


class _ResidentSpikes(_Resident):
    """A set of spike trains: all of them are one list, of which a batch selects samples."""

    def __init__(self, samples: SpikeSet, columns: tuple[Any, ...]) -> None:
        super().__init__(samples, columns)
        indptr, indices, values = columns
        shape = (self.steps, (len(indptr) - 1) // self.steps, *self.feature_shape)
        self._store = Spikes(indptr, indices, shape, values)
        self._trains = samples.trains
        self._augmented = samples.augmented

    @override
    def _encode(self, rows: IntArray, draw: Draw | None) -> Encoded:
        trains, first = self._trains, rows * self.steps
        lengths = None if trains.lengths is None else trains.lengths[rows]
        longest = self.steps if lengths is None else int(lengths.max(initial=1))
        entries = int((trains.indptr[first + longest] - trains.indptr[first]).sum())
        spikes = self._store.select(self._on_device(rows), longest, entries)
        return self._augmented(Encoded(spikes, lengths), rows, draw)


class _ResidentImages(_Resident):
    """A set of images that are shown as a constant current."""

    @override
    def _encode(self, rows: IntArray, draw: Draw | None) -> Encoded:
        return Encoded(Constant.current(self._columns[0][self._on_device(rows)]))
