"""Tiny datasets in their official layouts: slices of real data where it is, else made up.

They lie where a config looks for them by default, ``datasets/<name>`` in the folder that a command
is started in.
"""

from __future__ import annotations

import gzip
import io
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.io import wavfile

from lfp_snn.data import braille
from tests.data.helpers import idx, write_nmnist
from tests.data.published.test_by_hand import touches, write_touches
from tests.data.test_braille import samples as braille_samples
from tests.data.test_sounds import spoken
from tests.data.test_tree import write_zip

__all__ = ["lay_out"]

TRAIN, TEST = 4, 1  # recordings or images of a class
FIRST = 300  # images of a part, among which those are
TWO = ("jackson", "theo")  # who speak
SPOKEN = 2  # training recordings of a digit by each of them
REPETITIONS = range(5)  # of a Braille letter


def lay_out(root: Path, real: Path) -> None:
    """Write every dataset that a shipped config asks for into a folder.

    Args:
        root: the folder, ``datasets``.
        real: where real data may be.
    """
    from tests.data.published.test_layouts import cifar, gesture, shd  # asks for tonic

    root.mkdir(parents=True)
    _nmnist(root / "NMNIST", real / "NMNIST")
    for name in ("MNIST", "FashionMNIST"):
        _mnist(root / name, real / name)
    _cifar10(root / "CIFAR10", real / "CIFAR10_jpeg.zip")
    _braille(root / "braille", real / "braille")
    _images(root / "images")
    _sounds(root / "sounds")
    _touches(root / "EvTouch", real / "EvTouch")
    _pips(root / "POKERDVS", real / "POKERDVS")
    _digits(root / "FSDD.zip", real / "FSDD.zip")
    gesture(root / "DVSGesture")
    cifar(root / "CIFAR10DVS")
    shd(root / "SHD")


def _nmnist(root: Path, real: Path) -> None:
    if not real.is_dir():
        digits = [str(digit) for digit in range(10)]
        write_nmnist(root, dict.fromkeys(digits, TRAIN), dict.fromkeys(digits, TEST))
        return
    for part, count in (("Train", TRAIN), ("Test", TEST)):
        for label in sorted((real / part).iterdir()):
            (root / part / label.name).mkdir(parents=True)
            for file in sorted(label.iterdir())[:count]:
                shutil.copy(file, root / part / label.name)


def _mnist(root: Path, real: Path) -> None:
    root.mkdir()
    for part, count in (("train", 10 * TRAIN), ("t10k", 10 * TEST)):
        images = np.random.default_rng(0).integers(0, 256, (count, 28, 28)).astype(np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        if real.is_dir():
            every = _idx(real / f"{part}-labels-idx1-ubyte.gz", 8, FIRST)
            chosen = np.concatenate([np.flatnonzero(every == n)[: count // 10] for n in range(10)])
            pixels = _idx(real / f"{part}-images-idx3-ubyte.gz", 16, FIRST * 784)
            images, labels = pixels.reshape(-1, 28, 28)[chosen], every[chosen]
        (root / f"{part}-images-idx3-ubyte").write_bytes(idx(images))
        (root / f"{part}-labels-idx1-ubyte").write_bytes(idx(labels))


def _idx(path: Path, header: int, count: int) -> npt.NDArray[np.uint8]:
    with gzip.open(path) as file:
        return np.frombuffer(file.read(header + count), np.uint8, offset=header)


def _images(root: Path) -> None:
    random = np.random.default_rng(0)
    for label in ("round", "square"):
        (root / label).mkdir(parents=True)
        for number in range(10):
            picture = Image.fromarray(random.integers(0, 256, (8, 8), np.uint8))
            picture.save(root / label / f"{number}.png")


def _sounds(root: Path) -> None:
    times = np.arange(2000) / 8000
    for label, pitch in (("high", 2000), ("low", 300)):
        (root / label).mkdir(parents=True)
        for number in range(10):
            tone = 8000 * np.sin(2 * np.pi * (pitch + 10 * number) * times)
            wavfile.write(root / label / f"{number}.wav", 8000, tone.astype(np.int16))


def _cifar10(root: Path, real: Path) -> None:
    folder = root / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    for name, part, count in (("data_batch_1", "train", TRAIN), ("test_batch", "test", TEST)):
        photographs = _photographs(real, part, count)
        rows = [bytes([n // count]) + each for n, each in enumerate(photographs)]
        (folder / f"{name}.bin").write_bytes(b"".join(rows))


def _photographs(real: Path, part: str, count: int) -> list[bytes]:
    """So many of each class, of each all red values first, then the green and the blue ones."""
    if not real.is_file():
        random = np.random.default_rng(0).integers(0, 256, (10 * count, 3072)).astype(np.uint8)
        return [each.tobytes() for each in random]
    with zipfile.ZipFile(real) as archive:
        by_class: dict[str, list[str]] = {}
        for name in archive.namelist():
            if f"{part}/" in name and name.endswith(".jpg"):
                by_class.setdefault(name.split("/")[-2], []).append(name)
        chosen = [name for label in sorted(by_class) for name in by_class[label][:count]]
        pictures = [np.asarray(Image.open(io.BytesIO(archive.read(name)))) for name in chosen]
    return [picture.transpose(2, 0, 1).tobytes() for picture in pictures]


def _touches(root: Path, real: Path) -> None:
    if real.is_dir():
        shutil.copytree(real, root)
    else:
        write_touches(root / "Ev-Containers.zip", touches())


def _pips(root: Path, real: Path) -> None:
    from tests.data.published.test_layouts import poker  # asks for tonic

    if real.is_dir():
        shutil.copytree(real, root)
    else:
        poker(root)


def _digits(path: Path, real: Path) -> None:
    if not real.is_file():
        write_zip(path, spoken())
        return
    indices = [*range(TEST), *range(5, 5 + SPOKEN)]
    names = [f"recordings/{d}_{who}_{n}.wav" for d in range(10) for who in TWO for n in indices]
    with zipfile.ZipFile(real) as archive:
        write_zip(path, {name: archive.read(name) for name in names})


def _braille(root: Path, real: Path) -> None:
    readings = braille_samples()
    if real.is_dir():
        with gzip.open(real / braille.FILE) as file:
            readings = [each for each in pickle.load(file) if each["repetition"] in REPETITIONS]
    root.mkdir()
    (root / braille.FILE).write_bytes(gzip.compress(pickle.dumps(readings)))
