"""The loader: every sample once, in an order that can be taken up again."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lfp_snn.data import Batch, ImageSet, Loader
from lfp_snn.data.encoders import Constant, Encoder
from lfp_snn.errors import ConfigError, DataError


def samples(count: int) -> ImageSet:
    images = np.arange(count, dtype=np.uint8)[:, None]
    labels = np.arange(count, dtype=np.int64) % 2
    return ImageSet(
        images, Encoder(Constant(), 3), labels, [str(n) for n in range(count)], classes=("a", "b")
    )


def names(batches: list[Batch]) -> list[str]:
    return [name for batch in batches for name in batch.ids]


@settings(deadline=None)
@given(st.integers(1, 50), st.integers(1, 60), st.booleans(), st.integers(0, 5))
def test_an_epoch_has_every_sample_once(
    count: int, batch_size: int, shuffle: bool, epoch: int
) -> None:
    loader = Loader(samples(count), batch_size, shuffle, seed=0)
    batches = list(loader.epoch(epoch))
    assert len(batches) == len(loader)
    assert all(len(batch) == batch_size for batch in batches[:-1])
    assert sorted(names(batches), key=int) == [str(n) for n in range(count)]
    for batch in batches:
        assert isinstance(batch.x, torch.Tensor)
        assert (batch.x[:, 0] * 255).round().int().tolist() == [int(name) for name in batch.ids]


def test_the_order_follows_from_seed_and_epoch() -> None:
    def order(seed: int, epoch: int, shuffle: bool = True) -> list[str]:
        return names(list(Loader(samples(30), 7, shuffle, seed).epoch(epoch)))

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 2)
    assert order(0, 1) != order(1, 1)
    assert order(0, 1, shuffle=False) == [str(n) for n in range(30)]


@pytest.mark.parametrize("done", [0, 1, 4, 5])
def test_goes_on_in_mid_epoch(done: int) -> None:
    whole = list(Loader(samples(30), 7, True, seed=3).epoch(2))
    rest = list(Loader(samples(30), 7, True, seed=3).epoch(2, start=done))
    assert names(rest) == names(whole[done:])


def test_refuses_what_cannot_be_loaded() -> None:
    with pytest.raises(ConfigError, match="batch_size is 0"):
        Loader(samples(3), 0, True, seed=0)
    with pytest.raises(DataError, match="no samples"):
        Loader(samples(3).subset([]), 2, True, seed=0)
