"""MNIST: handwritten digits as still images, from IDX files.

Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits", 1998. CC BY-SA 3.0.
"""

import gzip
import math
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from lfp_snn.data.encoders import Constant, Encoder, Latency, Rate
from lfp_snn.data.options import Options
from lfp_snn.data.sets import ImageSet, Splits
from lfp_snn.data.splits import split_train
from lfp_snn.errors import DataError

CLASSES = tuple(str(digit) for digit in range(10))
SOURCE = "MNIST, images of handwritten digits (LeCun, Cortes, Burges; CC BY-SA 3.0)"

_UINT8 = 0x08  # IDX type code, the third byte of the magic number; the fourth is the rank
_URL = "https://ossci-datasets.s3.amazonaws.com/mnist"


class MNISTOptions(Options):
    """Options of the dataset `mnist`."""

    root: Path = Field(
        default=Path("datasets/MNIST"),
        description="folder that holds the four IDX files, gzip or not",
    )
    steps: int = Field(default=15, ge=1, description="T, how many time steps an image is shown for")
    encoding: Literal["constant", "rate", "latency"] = Field(
        default="constant",
        description="a constant current, spikes at a rate, or one spike that is early where bright",
    )
    threshold: float = Field(
        default=0.2, ge=0, lt=1, description="latency code: pixels darker than this never spike"
    )
    validation: float = Field(
        default=1 / 6,
        gt=0,
        lt=1,
        description="share of the training part that is held out to validate",
    )

    def encoder(self) -> Encoder:
        """The code that these options name."""
        if self.encoding == "constant":
            return Constant(self.steps)
        if self.encoding == "rate":
            return Rate(self.steps, self.seed)
        return Latency(self.steps, self.threshold)


def read_idx(path: Path) -> npt.NDArray[np.uint8]:
    """Reads an IDX file of bytes, compressed with gzip or not.

    Layout: 0, 0, type (8 = unsigned byte), rank; then `rank` big-endian 32-bit lengths; then the
    content, last dimension fastest.

    Raises:
        DataError: the file is missing, is no IDX file of bytes, or is shorter or longer than its
            header says.
    """
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}); fetch it again") from error
    if len(content) < 4 or content[:3] != bytes([0, 0, _UINT8]) or content[3] == 0:
        raise DataError(
            f"{path} starts with the magic number 0x{content[:4].hex()}, which is not that of an "
            "IDX file of bytes (0x000008 and the rank)"
        )
    rank = content[3]
    start = 4 + 4 * rank
    if len(content) < start:
        raise DataError(f"{path} is truncated within its header; fetch it again")
    shape = tuple(np.frombuffer(content, ">u4", count=rank, offset=4).tolist())
    if len(content) - start != math.prod(shape):
        raise DataError(
            f"{path} holds {len(content) - start} bytes, but its header says "
            f"{' x '.join(map(str, shape))}; it is truncated or damaged, fetch it again"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def read_part(root: Path, part: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Images, uint8 [N, 1, rows, columns], and labels, int64 [N], of `train` or `t10k`.

    Raises:
        DataError: a file is missing or damaged (see `read_idx`), the files do not hold images and
            labels, hold different numbers of them, or a label is no digit.
    """
    image_file = _find(root, f"{part}-images-idx3-ubyte")
    label_file = _find(root, f"{part}-labels-idx1-ubyte")
    images, labels = read_idx(image_file), read_idx(label_file)
    for path, array, rank in ((image_file, images, 3), (label_file, labels, 1)):
        if array.ndim != rank:
            raise DataError(f"{path} has rank {array.ndim}, expected rank {rank}")
    if len(images) != len(labels):
        raise DataError(
            f"{image_file} holds {len(images)} images, but {label_file} holds {len(labels)} labels"
        )
    if len(labels) and labels.max() >= len(CLASSES):
        raise DataError(f"{label_file} holds the label {labels.max()}, expected 0 to 9")
    return images[:, np.newaxis], labels.astype(np.int64)


def _find(root: Path, stem: str) -> Path:
    for path in (root / f"{stem}.gz", root / stem):
        if path.is_file():
            return path
    raise DataError(
        f"{root / stem}[.gz] is missing: put MNIST's four IDX files there (from {_URL}), or name "
        "another folder with data.root"
    )


def load(options: MNISTOptions) -> Splits:
    """Train and validation out of `train` (stratified), test is `t10k`.

    Raises:
        DataError: see `read_part`.
    """
    images, labels = read_part(options.root, "train")
    test_images, test_labels = read_part(options.root, "t10k")
    if images.shape[1:] != test_images.shape[1:]:
        raise DataError(
            f"{options.root} holds training images of {images.shape[2]} x {images.shape[3]} and "
            f"test images of {test_images.shape[2]} x {test_images.shape[3]} pixels"
        )
    samples = ImageSet(
        np.concatenate((images, test_images)),
        options.encoder(),
        np.concatenate((labels, test_labels)),
        [f"train/{n}" for n in range(len(labels))] + [f"t10k/{n}" for n in range(len(test_labels))],
        classes=CLASSES,
    )
    train, val = split_train(labels, options.validation, options.train, options.seed)
    test = np.arange(len(labels), len(samples))
    return Splits.of(samples, train, val, test, name="mnist", source=SOURCE)
