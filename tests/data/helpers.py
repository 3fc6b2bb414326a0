"""Recordings and images that the tests write, and slow oracles."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lfp_snn.data import Batch, Events
from lfp_snn.spikes import Spikes

SENSOR = (2, 34, 34)
#: Images of :func:`few_digits`, and how many test: the documentation shows sample 60 of those.
DIGITS, TEST_DIGITS = 150, 70


@contextmanager
def few_digits() -> Iterator[None]:
    """Let DVS-digits have a few images, of which all are simulated at each new setting."""
    from sklearn import datasets
    from sklearn.utils import Bunch

    every = datasets.load_digits

    def few(**how: Any) -> Any:
        found = every(**how)
        if isinstance(found, tuple):
            return tuple(part[:DIGITS] for part in found)
        return Bunch(**found | {key: found[key][:DIGITS] for key in ("images", "target")})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets, "load_digits", few)
        patch.setattr("lfp_snn.data.digits.TEST_SIZE", TEST_DIGITS)
        yield


def random_events(rng: np.random.Generator, sizes: list[int], span: int = 300_000) -> Events:
    """Recordings with so many events each, at random over `span` microseconds, ascending."""
    total = sum(sizes)
    times = [np.sort(rng.integers(0, span, size)) for size in sizes]
    return Events(
        x=rng.integers(0, 34, total).astype(np.int16),
        y=rng.integers(0, 34, total).astype(np.int16),
        t=np.concatenate([np.empty(0, np.int64), *times]),
        p=rng.integers(0, 2, total).astype(np.uint8),
        sensor=SENSOR,
        offsets=np.concatenate(([0], np.cumsum(sizes))).astype(np.int64),
    )


def spikes(batch: Batch) -> Spikes:
    """The batch's input, which must be spike trains."""
    assert isinstance(batch.x, Spikes)
    return batch.x


def encode(events: Events) -> bytes:
    """One recording in N-MNIST's format, byte by byte."""
    out = bytearray()
    for x, y, t, p in zip(events.x, events.y, events.t, events.p, strict=True):
        out += bytes([int(x), int(y)]) + (int(p) << 23 | int(t)).to_bytes(3, "big")
    return bytes(out)


def write_nmnist(root: Path, train: dict[str, int], test: dict[str, int], events: int = 60) -> None:
    """A folder in N-MNIST's layout: so many random recordings for each label."""
    rng = np.random.default_rng(0)
    for part, counts in (("Train", train), ("Test", test)):
        for label, count in counts.items():
            folder = root / part / label
            folder.mkdir(parents=True)
            for number in range(count):
                content = encode(random_events(rng, [events]))
                (folder / f"{number:05d}.bin").write_bytes(content)


def idx(array: np.ndarray) -> bytes:
    """An IDX file of bytes."""
    header = bytes([0, 0, 8, array.ndim])
    return header + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


def write_mnist(root: Path, images: np.ndarray, labels: np.ndarray, test: int = 10) -> None:
    """A folder in MNIST's layout: all images to train, the first ones to test."""
    for part, count in (("train", len(images)), ("t10k", test)):
        (root / f"{part}-images-idx3-ubyte").write_bytes(idx(images[:count]))
        packed = gzip.compress(idx(labels[:count]))
        (root / f"{part}-labels-idx1-ubyte.gz").write_bytes(packed)
