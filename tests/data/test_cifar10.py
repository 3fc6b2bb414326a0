"""CIFAR-10, in files that the tests write in both official layouts."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from lfp_snn import data
from lfp_snn.errors import DataError

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (60, 3 * 32 * 32), dtype=np.uint8)
LABELS = np.arange(60) % 10


class Python2(pickle._Pickler):
    """Writes as Python 2 did, which made the official files: all text is a string of bytes."""

    dispatch: ClassVar[dict[type, Any]] = dict(pickle._Pickler.dispatch)

    def save_string(self: Any, given: str | bytes) -> None:
        content = given.encode("latin1") if isinstance(given, str) else given
        self.write(pickle.BINSTRING + len(content).to_bytes(4, "little") + content)
        self.memoize(given)

    dispatch[str] = dispatch[bytes] = save_string


def python2(path: Path, value: Any) -> None:
    with path.open("wb") as file:
        Python2(file, protocol=2).dump(value)
    # NumPy of that time had its functions elsewhere.
    content = path.read_bytes().replace(b"numpy._core.", b"numpy.core.")
    path.write_bytes(content)


def write_pickles(root: Path, batches: int = 5) -> Path:
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    for number in range(batches + 1):
        part = slice(10 * number, 10 * number + 10)
        name = f"data_batch_{number}" if number else "test_batch"
        value = {
            b"batch_label": b"a batch",
            b"labels": LABELS[part].tolist(),
            b"data": IMAGES[part],
            b"filenames": [b"a.png"] * 10,
        }
        python2(folder / name, value)
    return folder


def write_records(root: Path) -> Path:
    folder = root / "cifar-10-batches-bin"
    folder.mkdir()
    for number in range(6):
        part = slice(10 * number, 10 * number + 10)
        name = f"data_batch_{number}.bin" if number else "test_batch.bin"
        columns = (LABELS[part, None].astype(np.uint8), IMAGES[part])
        (folder / name).write_bytes(np.concatenate(columns, 1).tobytes())
    return folder


@pytest.mark.parametrize("write", [write_pickles, write_records])
@pytest.mark.parametrize("above", [True, False])
def test_loads_both_layouts(tmp_path: Path, write: Any, above: bool) -> None:
    folder = write(tmp_path)
    splits = data.load("cifar10", root=tmp_path if above else folder, validation=0.2, steps=4)
    assert splits.info["sizes"] == {"train": 40, "val": 10, "test": 10}
    assert splits.train.feature_shape == (3, 32, 32)
    assert splits.train.classes[0] == "airplane" and splits.train.classes[9] == "truck"
    batch = splits.test.batch([7, 2])
    assert batch.labels.tolist() == [7, 2] and batch.ids == ("test/7", "test/2")
    # Red, then green, then blue, each row by row.
    expected = torch.from_numpy(IMAGES[[7, 2]].reshape(2, 3, 32, 32)) / 255
    torch.testing.assert_close(batch.x, expected)
    learnt = np.concatenate([splits.train.labels, splits.val.labels])
    assert np.bincount(learnt).tolist() == [5] * 10
    number = int(splits.train.ids[0].removeprefix("train/"))
    x = splits.train.batch([0]).x
    torch.testing.assert_close(x, torch.from_numpy(IMAGES[10 + number].reshape(1, 3, 32, 32)) / 255)


def test_colours_can_be_moved_for_delta_coding(tmp_path: Path) -> None:
    write_records(tmp_path)
    encoding = {"name": "delta", "off_spike": True, "padding": True}
    splits = data.load("cifar10", root=tmp_path, steps=6, encoding=encoding)
    assert splits.train.feature_shape == (6, 32, 32)
    dense = splits.train.batch([0, 1]).x.dense()  # type: ignore[union-attr]
    assert dense.shape == (6, 2, 6, 32, 32)
    assert not dense[0].any() and dense[1:, :, :3].any() and dense[1:, :, 3:].any()


def test_some_batches_will_do(tmp_path: Path) -> None:
    write_pickles(tmp_path, batches=2)
    splits = data.load("cifar10", root=tmp_path, validation=0.2)
    assert splits.info["sizes"] == {"train": 16, "val": 4, "test": 10}


def test_says_what_to_put_where(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"neither cifar-10-batches-py nor .* archive there \(from"):
        data.load("cifar10", root=tmp_path)
    write_pickles(tmp_path, batches=0)
    with pytest.raises(DataError, match="a test_batch and a data_batch_1"):
        data.load("cifar10", root=tmp_path)


class Evil:
    def __reduce__(self) -> Any:
        return print, ("executed",)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1, 2], "no batch of CIFAR-10"),
        ({b"data": IMAGES[:3]}, "no batch of CIFAR-10"),
        ({b"data": IMAGES[:3], b"labels": [1, 2]}, r"uint8 \[3, 3072\] and labels int64 \[2\]"),
        ({b"data": IMAGES[:2] / 2, b"labels": [1, 2]}, r"float64 \[2, 3072\]"),
        ({b"data": IMAGES[:2, :7], b"labels": [1, 2]}, r"uint8 \[2, 7\]"),
        ({b"data": IMAGES[:2], b"labels": 3}, r"labels int64 \[\]"),
        ({b"data": IMAGES[:2], b"labels": [[1], [2, 3]]}, "no batch of CIFAR-10"),
        ({b"data": IMAGES[:2], b"labels": [b"a", b"b"]}, "expected uint8"),
        ({b"data": IMAGES[:2], b"labels": [1, 10]}, "label 10, expected 0 to 9"),
        ({b"data": IMAGES[:2], b"labels": [1, -1]}, "label -1, expected 0 to 9"),
        ({b"data": IMAGES[:0], b"labels": []}, "expected uint8|holds no images"),
        (Evil(), "wants to call"),
    ],
)
def test_pickles_that_are_no_batch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], value: Any, message: str
) -> None:
    folder = write_pickles(tmp_path)
    (folder / "data_batch_3").write_bytes(pickle.dumps(value))
    with pytest.raises(DataError, match=f"data_batch_3.*({message})"):
        data.load("cifar10", root=tmp_path)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (bytes(3072), "3072 bytes, which is no multiple of the 3073"),
        (b"", "holds no images"),
        (bytes([11]) + bytes(3072), "holds the label 11"),
    ],
)
def test_damaged_records(tmp_path: Path, content: bytes, message: str) -> None:
    folder = write_records(tmp_path)
    (folder / "test_batch.bin").write_bytes(content)
    with pytest.raises(DataError, match=f"test_batch.bin .*{message}"):
        data.load("cifar10", root=tmp_path)
