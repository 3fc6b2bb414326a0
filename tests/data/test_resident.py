"""Sets that lie on a device give the batches that the same set on the host gives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from lfp_snn.data import Batch, ImageSet, Loader, SampleSet, SpikeSet, Splits
from lfp_snn.data import resident as module
from lfp_snn.data.binning import Binned
from lfp_snn.data.encoders import Constant, Encoder, Rate
from lfp_snn.data.resident import held_on
from lfp_snn.errors import ConfigError
from lfp_snn.spikes import Spikes

CPU = torch.device("cpu")
T, SHAPE, SAMPLES = 6, (2, 3, 3), 23


def spiking(*, counts: bool = False, lengths: bool = False) -> SpikeSet:
    draw = np.random.default_rng(0)
    active = draw.random((SAMPLES, T, 18)) < 0.2
    own = draw.integers(1, T + 1, SAMPLES) if lengths else None
    if own is not None:
        active &= np.arange(T)[None, :, None] < own[:, None, None]
    rows, columns = active.reshape(-1, 18).nonzero()
    indptr = np.searchsorted(rows, np.arange(SAMPLES * T + 1)).astype(np.int64)
    values = draw.integers(1, 5, len(rows)).astype(np.float32) if counts else None
    trains = Binned(indptr, columns.astype(np.int32), values, lengths=own)
    labels, ids = draw.integers(0, 3, SAMPLES), [f"sample {n}" for n in range(SAMPLES)]
    classes = ("a", "b", "c")
    return SpikeSet(trains, labels, ids, classes=classes, feature_shape=SHAPE, steps=T)


def images(code: Any) -> ImageSet:
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (SAMPLES, 1, 4, 4)).astype(np.uint8)
    labels, ids = draw.integers(0, 3, SAMPLES), [str(n) for n in range(SAMPLES)]
    return ImageSet(pixels, Encoder(code, T), labels, ids, classes=("a", "b", "c"))


def parts(samples: SampleSet) -> Splits:
    order = np.random.default_rng(1).permutation(SAMPLES)
    named = {"name": "drawn", "source": "drawn"}
    return Splits.of(samples, order[:12], order[12:17], order[17:], **named)


def assert_same(a: Batch, b: Batch) -> None:
    if isinstance(a.x, Spikes):
        assert a.x == b.x
        assert (a.x.values is None) == (isinstance(b.x, Spikes) and b.x.values is None)
    else:
        assert isinstance(b.x, torch.Tensor)
        assert torch.equal(a.x, b.x)
    assert torch.equal(a.labels, b.labels)
    assert a.ids == b.ids
    assert a.steps == b.steps
    for one, other in ((a.lengths, b.lengths), (a.targets, b.targets)):
        assert (one is None) == (other is None)
        assert one is None or other is None or torch.equal(one, other)


@pytest.mark.parametrize(
    "samples",
    [
        spiking(),
        spiking(counts=True),
        spiking(lengths=True),
        spiking().aiming_at(np.ones((SAMPLES, 2), np.float32)),
        images(Constant()),
    ],
    ids=["binary", "counts", "lengths", "targets", "images"],
)
def test_batches_are_those_of_the_loader(samples: SampleSet) -> None:
    splits = parts(samples)
    held = held_on(splits, CPU, asked=True)
    assert type(held.train) is not type(splits.train)
    assert held.info == splits.info
    for name in ("train", "val", "test"):
        loaders = [
            Loader(getattr(each, name), 5, "shuffle", seed=3, workers=2) for each in (splits, held)
        ]
        for epoch in (1, 2):
            pairs = list(zip(*(each.epoch(epoch, start=1) for each in loaders), strict=True))
            assert len(pairs) == len(loaders[0]) - 1
            for theirs, ours in pairs:
                assert_same(theirs, ours)
        assert_same(
            getattr(splits, name).subset([1, 0]).batch([0]),
            getattr(held, name).subset([1, 0]).batch([0]),
        )
    kept = [each.train.keep(["c", "a"]) for each in (splits, held)]
    assert_same(*(each.batch(range(len(each))) for each in kept))


def test_parts_of_one_store_share_it() -> None:
    held = held_on(parts(spiking()), CPU, asked=True)
    stores = [part._columns[1].data_ptr() for part in (held.train, held.val, held.test)]  # type: ignore[attr-defined]
    assert len(set(stores)) == 1


def test_a_part_without_samples_stays_as_it_is() -> None:
    splits = parts(spiking())
    empty = splits.val.subset([])
    held = held_on(replace(splits, val=empty), CPU, asked=True)
    assert held.val is empty


def test_on_the_cpu_nothing_is_held_unless_asked() -> None:
    splits = parts(spiking())
    assert held_on(splits, CPU, asked=False) is splits


def test_what_is_made_on_the_cpu_is_refused_if_asked() -> None:
    with pytest.raises(ConfigError, match="the train part, a ImageSet, are made on the CPU"):
        held_on(parts(images(Rate())), CPU, asked=True)


def test_a_device_takes_what_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device is a double: what is sent there stays on the CPU."""
    splits, device = parts(spiking()), torch.device("cuda")
    trains = spiking().trains
    needed = trains.indptr.nbytes + trains.indices.nbytes
    sent = []

    def send(column: Any, where: torch.device) -> Any:
        sent.append(where)
        return None if column is None else torch.tensor(column)

    monkeypatch.setattr(module, "_sent", send)
    for free, asked, fits in (
        (4 * needed, False, True),
        (4 * needed - 1, False, False),
        (needed, True, True),
    ):
        monkeypatch.setattr(module, "_free", lambda _, free=free: free)
        held = held_on(splits, device, asked=asked)
        assert (held is not splits) == fits
    assert sent == [device] * 6  # row pointers, indices and no values, twice
    monkeypatch.setattr(module, "_free", lambda _: needed - 1)
    with pytest.raises(ConfigError, match="the data takes 0 MiB, and of cuda 0 MiB are free"):
        held_on(splits, device, asked=True)
    assert held_on(parts(images(Rate())), device, asked=False).train is not None
