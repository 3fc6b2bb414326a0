"""MNIST: IDX files that the tests write, and damaged ones."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lfp_snn import data
from lfp_snn.data.mnist import read_idx
from lfp_snn.errors import ConfigError, DataError
from lfp_snn.spikes import Spikes
from tests.data.helpers import idx, write_mnist

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 5, 4), dtype=np.uint8)
LABELS = np.arange(40, dtype=np.uint8) % 10


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_mnist(tmp_path, IMAGES, LABELS)
    return tmp_path


def test_loads_plain_and_compressed_files(root: Path) -> None:
    splits = data.load("mnist", root=root, validation=0.25, steps=7)
    assert splits.info["sizes"] == {"train": 30, "val": 10, "test": 10}
    assert np.bincount(splits.val.labels).tolist() == [1] * 10
    batch = splits.test.batch([3, 1])
    assert batch.steps == 7
    assert batch.labels.tolist() == [3, 1]
    assert batch.ids == ("t10k/3", "t10k/1")
    expected = torch.from_numpy(IMAGES[[3, 1]])[:, None] / 255
    torch.testing.assert_close(batch.x, expected)


def test_training_part_can_be_smaller_with_the_same_validation(root: Path) -> None:
    whole = data.load("mnist", root=root, validation=0.25)
    part = data.load("mnist", root=root, validation=0.25, train=20)
    assert np.bincount(part.train.labels).tolist() == [2] * 10
    assert set(part.train.ids) < set(whole.train.ids)
    assert part.val.ids == whole.val.ids


@pytest.mark.parametrize(
    "encoding",
    [
        "constant",
        "rate",
        {"name": "latency", "normalize": True, "clip": True},
        {"name": "delta", "off_spike": True},
    ],
)
def test_a_sample_does_not_depend_on_its_batch(root: Path, encoding: str | dict[str, Any]) -> None:
    train = data.load("mnist", root=root, validation=0.25, encoding=encoding).train
    together = train.batch([5, 2, 9]).x
    alone = train.subset([2]).batch([0]).x
    if isinstance(together, Spikes):
        assert isinstance(alone, Spikes)
        assert together.shape == (15, 3, *train.feature_shape)
        assert together[[1]] == alone and alone.indices.numel()
    else:
        torch.testing.assert_close(together[[1]], alone)


def test_a_code_that_does_not_fit_is_an_error(root: Path) -> None:
    with pytest.raises(ConfigError, match="step 12, but the last of T=5 steps is 4"):
        data.load("mnist", root=root, steps=5, encoding="latency")
    with pytest.raises(ConfigError, match=r"encoding: .*threshold is 2"):
        data.load("mnist", root=root, encoding={"name": "latency", "threshold": 2})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "magic number 0x,"),
        (b"\x00\x00\x0d\x01\x00\x00\x00\x00", "magic number 0x00000d01"),
        (b"PNG and so on", "magic number 0x504e4720"),
        (b"\x00\x00\x08\x03\x00", "truncated within its header"),
        (idx(IMAGES)[:-1], "holds 799 bytes, but its header says 40 x 5 x 4"),
        (idx(IMAGES) + b"x", "holds 801 bytes"),
        (gzip.compress(idx(IMAGES))[:-20], "cannot be read"),
    ],
)
def test_names_what_is_wrong_with_an_idx_file(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "images"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"images.*{message}"):
        read_idx(path)


def test_names_files_that_do_not_fit(root: Path) -> None:
    labels = root / "train-labels-idx1-ubyte.gz"
    labels.write_bytes(idx(LABELS[:39]))
    with pytest.raises(DataError, match=r"40 images, but .*labels.* holds 39 labels"):
        data.load("mnist", root=root)
    labels.write_bytes(idx(LABELS + 1))
    with pytest.raises(DataError, match="holds the label 10, expected 0 to 9"):
        data.load("mnist", root=root)
    labels.write_bytes(idx(IMAGES))
    with pytest.raises(DataError, match="has rank 3, expected rank 1"):
        data.load("mnist", root=root)
    labels.unlink()
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte\[.gz\] is missing"):
        data.load("mnist", root=root)


def test_real_mnist(real_data: Callable[[str], Path]) -> None:
    splits = data.load("mnist", root=real_data("MNIST"))
    assert splits.info["sizes"] == {"train": 50_000, "val": 10_000, "test": 10_000}
    assert splits.train.feature_shape == (1, 28, 28)
    assert np.bincount(splits.test.labels).tolist() == [
        980,
        1135,
        1032,
        1010,
        982,
        892,
        958,
        1028,
        974,
        1009,
    ]
    train, val = (np.bincount(part.labels) / len(part) for part in (splits.train, splits.val))
    np.testing.assert_allclose(train, val, atol=2e-4)
