"""The loader: every sample once, in an order that can be taken up again."""

import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lfp_snn.data import Batch, ImageSet, Loader
from lfp_snn.data.encoders import Constant, Encoder
from lfp_snn.data.loader import Sampling
from lfp_snn.data.sets import Draw, Positions
from lfp_snn.errors import ConfigError, DataError

ORDERS: tuple[Sampling, ...] = ("in_order", "shuffle")


def samples(count: int) -> ImageSet:
    images = np.arange(count, dtype=np.uint8)[:, None]
    labels = np.arange(count, dtype=np.int64) % 2
    return ImageSet(
        images, Encoder(Constant(), 3), labels, [str(n) for n in range(count)], classes=("a", "b")
    )


def names(batches: list[Batch]) -> list[str]:
    return [name for batch in batches for name in batch.ids]


@settings(deadline=None)
@given(st.integers(1, 50), st.integers(1, 60), st.sampled_from(ORDERS), st.integers(0, 5))
def test_an_epoch_has_every_sample_once(
    count: int, batch_size: int, sampling: Sampling, epoch: int
) -> None:
    loader = Loader(samples(count), batch_size, sampling, seed=0)
    batches = list(loader.epoch(epoch))
    assert len(batches) == len(loader)
    assert all(len(batch) == batch_size for batch in batches[:-1])
    assert sorted(names(batches), key=int) == [str(n) for n in range(count)]
    for batch in batches:
        assert isinstance(batch.x, torch.Tensor)
        assert (batch.x[:, 0] * 255).round().int().tolist() == [int(name) for name in batch.ids]


def test_the_order_follows_from_seed_and_epoch() -> None:
    def order(seed: int, epoch: int, sampling: Sampling = "shuffle") -> list[str]:
        return names(list(Loader(samples(30), 7, sampling, seed).epoch(epoch)))

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 2)
    assert order(0, 1) != order(1, 1)
    assert order(0, 1, "in_order") == [str(n) for n in range(30)]


@pytest.mark.parametrize("done", [0, 1, 4, 5])
def test_goes_on_in_mid_epoch(done: int) -> None:
    whole = list(Loader(samples(30), 7, "shuffle", seed=3).epoch(2))
    rest = list(Loader(samples(30), 7, "shuffle", seed=3).epoch(2, start=done))
    assert names(rest) == names(whole[done:])


def test_refuses_what_cannot_be_loaded() -> None:
    with pytest.raises(ConfigError, match="batch_size is 0"):
        Loader(samples(3), 0, "shuffle", seed=0)
    with pytest.raises(ConfigError, match="workers is -1"):
        Loader(samples(3), 1, "shuffle", seed=0, workers=-1)
    with pytest.raises(ConfigError, match="sampling is 'random'"):
        Loader(samples(3), 1, "random", seed=0)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="no samples"):
        Loader(samples(3).subset([]), 2, "shuffle", seed=0)


def test_balanced_has_every_class_equally_often() -> None:
    labels = np.array([0] * 40 + [1] * 3 + [2] * 17)
    images = np.arange(60, dtype=np.uint8)[:, None]
    ids = list(map(str, range(60)))
    rare = ImageSet(images, Encoder(Constant(), 3), labels, ids, classes=("a", "b", "c"))
    batches = list(Loader(rare, 7, "balanced", seed=0).epoch(1))
    chosen = [int(name) for name in names(batches)]
    assert np.bincount(labels[chosen]).tolist() == [20, 20, 20]
    often = np.bincount(chosen, minlength=60)
    assert often[:40].max() == 1  # a part of the frequent class
    assert set(often[40:43]) <= {6, 7}  # the rare class several times, evenly
    again = names(list(Loader(rare, 7, "balanced", seed=0).epoch(1)))
    assert [int(name) for name in again] == chosen
    other = names(list(Loader(rare, 7, "balanced", seed=0).epoch(2)))
    assert [int(name) for name in other] != chosen


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_change_nothing(workers: int) -> None:
    alone = list(Loader(samples(30), 4, "shuffle", seed=1).epoch(2, start=2))
    helped = list(Loader(samples(30), 4, "shuffle", seed=1, workers=workers).epoch(2, start=2))
    assert names(helped) == names(alone)
    for one, other in zip(alone, helped, strict=True):
        assert isinstance(one.x, torch.Tensor) and isinstance(other.x, torch.Tensor)
        assert torch.equal(one.x, other.x)


class Bad(ImageSet):
    """Cannot read its tenth sample."""

    def batch(self, indices: Positions, draw: Draw | None = None) -> Batch:
        if 10 in indices:
            raise DataError("sample 10 is damaged")
        return super().batch(indices, draw)


@pytest.mark.parametrize("workers", [0, 2])
def test_what_fails_in_a_worker_fails_here_and_leaves_none_behind(workers: int) -> None:
    bad = samples(30)
    bad.__class__ = Bad
    batches = Loader(bad, 5, "in_order", seed=0, workers=workers).epoch(0)
    assert len(next(batches)) == len(next(batches)) == 5
    with pytest.raises(DataError, match="sample 10"):
        next(batches)
    assert not [t for t in threading.enumerate() if t.name.startswith("loader")]


def test_stopping_early_leaves_no_worker_behind() -> None:
    batches = Loader(samples(30), 5, "in_order", seed=0, workers=2).epoch(0)
    next(batches)
    assert [t for t in threading.enumerate() if t.name.startswith("loader")]
    del batches
    assert not [t for t in threading.enumerate() if t.name.startswith("loader")]


@pytest.mark.parametrize("shares", [2, 3, 8])
def test_shares_make_up_the_batches(shares: int) -> None:
    whole = list(Loader(samples(23), 6, "shuffle", 5).epoch(2))
    parts = [
        list(Loader(samples(23), 6, "shuffle", 5, shard=(n, shares)).epoch(2))
        for n in range(shares)
    ]
    for number, batch in enumerate(whole):
        own = [part[number] for part in parts]
        assert [name for each in own for name in each.ids] == list(batch.ids)
        sizes = [len(each) for each in own]
        assert max(sizes) - min(sizes) <= 1  # with eight, some have none


def test_every_second_batch() -> None:
    loader = Loader(samples(23), 6, "in_order", 0)
    assert [names([b]) for b in loader.epoch(0, start=1, every=2)] == [
        names([b]) for n, b in enumerate(loader.epoch(0)) if n in (1, 3)
    ]
