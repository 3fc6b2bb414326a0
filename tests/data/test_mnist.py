"""MNIST: IDX files that the tests write, the three codes, and damaged files."""

import gzip
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lfp_snn import data
from lfp_snn.data.encoders import Constant, Latency, Rate
from lfp_snn.data.mnist import read_idx
from lfp_snn.errors import DataError
from lfp_snn.spikes import Spikes

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 5, 4), dtype=np.uint8)
LABELS = np.arange(40, dtype=np.uint8) % 10


def idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim])
    return header + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for part, count in (("train", 40), ("t10k", 10)):
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx(IMAGES[:count]))
        labels = gzip.compress(idx(LABELS[:count]))
        (tmp_path / f"{part}-labels-idx1-ubyte.gz").write_bytes(labels)
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


@pytest.mark.parametrize("encoding", ["constant", "rate", "latency"])
def test_a_sample_does_not_depend_on_its_batch(root: Path, encoding: str) -> None:
    train = data.load("mnist", root=root, validation=0.25, encoding=encoding).train
    together = train.batch([5, 2, 9]).x
    alone = train.subset([2]).batch([0]).x
    if isinstance(together, Spikes):
        assert isinstance(alone, Spikes)
        assert together[[1]] == alone
    else:
        torch.testing.assert_close(together[[1]], alone)


def test_constant_current_is_brightness() -> None:
    x = Constant(3)(np.array([[0, 51, 255]], dtype=np.uint8), np.zeros(1, np.int64))
    torch.testing.assert_close(x, torch.tensor([[0, 0.2, 1]]))


def test_rate_is_brightness() -> None:
    levels = np.array([[0, 1, 64, 128, 254, 255]], dtype=np.uint8)
    steps = 20_000
    spikes = Rate(steps, seed=0)(levels, np.array([7])).dense()[:, 0]
    p = levels[0] / 255
    bound = 4 * np.sqrt(p * (1 - p) / steps)  # four standard deviations
    assert np.all(np.abs(spikes.mean(0).numpy() - p) <= bound)
    # No memory from step to step, and none from pixel to pixel.
    bright = spikes[:, 2:5] - spikes[:, 2:5].mean(0)
    following = (bright[1:] * bright[:-1]).mean(0)
    assert following.abs().max() < 4 * 0.25 / math.sqrt(steps)
    beside = (bright[:, 1:] * bright[:, :-1]).mean(0)
    assert beside.abs().max() < 4 * 0.25 / math.sqrt(steps)


def test_rate_depends_on_seed_and_row() -> None:
    grey = np.full((1, 50), 128, dtype=np.uint8)
    draws = [Rate(5, seed)(grey, np.array([row])) for seed in (0, 1) for row in (0, 1)]
    assert len({tuple(draw.indices.tolist()) for draw in draws}) == 4


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 255), min_size=1, max_size=30),
    st.integers(1, 20),
    st.sampled_from([0.0, 0.2, 0.9]),
)
def test_latency_follows_its_equation(pixels: list[int], steps: int, threshold: float) -> None:
    image = np.array([pixels, pixels[::-1]], dtype=np.uint8)
    spikes = Latency(steps, threshold)(image, np.arange(2)).dense()
    expected = torch.zeros_like(spikes)
    for b, row in enumerate(image):
        for i, pixel in enumerate(row):
            x = int(pixel) / 255
            if x >= threshold:
                expected[round((steps - 1) * ((1 - x) / (1 - threshold))), b, i] = 1
    torch.testing.assert_close(spikes, expected)


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
