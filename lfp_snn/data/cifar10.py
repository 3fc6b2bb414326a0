"""CIFAR-10: small colour photographs of ten kinds of things, as still images.

A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009. Both published forms
are read: the pickles (`cifar-10-batches-py`, without executing anything from them) and the binary
records (`cifar-10-batches-bin`).
"""

from pathlib import Path

import numpy as np
from pydantic import Field

from lfp_snn.data.images import ImageArray, ImageOptions, Images, Labels, image_splits
from lfp_snn.data.pickles import read_pickle
from lfp_snn.data.sets import Splits
from lfp_snn.errors import DataError
from lfp_snn.unpacking import DAMAGE
from lfp_snn.wording import setting

CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
SOURCE = "CIFAR-10, small colour photographs (Krizhevsky 2009)"
SHAPE = (3, 32, 32)
PICKLES, RECORDS = "cifar-10-batches-py", "cifar-10-batches-bin"

_VALUES = 3 * 32 * 32
_URL = "https://www.cs.toronto.edu/~kriz/cifar.html"


class CIFAR10Options(ImageOptions):
    """The options of the dataset `cifar10`."""

    root: Path = Field(
        default=Path("datasets/CIFAR10"),
        description=f"folder that holds {PICKLES} or {RECORDS}, or one of these itself",
    )
    validation: float = Field(
        default=1 / 10,
        gt=0,
        lt=1,
        description="share of the training part that is held out to validate",
    )


def read(root: Path) -> Images:
    """Read all images and labels; for the training part, of the batches that are there.

    Raises:
        DataError: the test batch or every training batch is missing, or a file is damaged.
    """
    for name, suffix, read_one in ((PICKLES, "", _pickle), (RECORDS, ".bin", _records)):
        folder = root if (root / f"test_batch{suffix}").is_file() else root / name
        test = folder / f"test_batch{suffix}"
        batches = [folder / f"data_batch_{number}{suffix}" for number in range(1, 6)]
        batches = [path for path in batches if path.is_file()]
        if test.is_file() and batches:
            parts = [read_one(path) for path in batches]
            train, labels = (np.concatenate(column) for column in zip(*parts, strict=True))
            return Images(train, labels, *read_one(test), CLASSES)
    raise DataError(
        f"{root} has neither {PICKLES} nor {RECORDS} with a test_batch and a data_batch_1 to 5: "
        f"unpack CIFAR-10's python or binary archive there (from {_URL}), or name another folder "
        f"with {setting('data.root')}"
    )


def _pickle(path: Path) -> tuple[ImageArray, Labels]:
    """The images, uint8 [N, 3, 32, 32], and labels, int64 [N], of a pickle."""
    batch = read_pickle(path, text="bytes")
    try:
        images, labels = np.asarray(batch[b"data"]), np.asarray(batch[b"labels"])
    except DAMAGE as error:
        raise DataError(f"{path} is no batch of CIFAR-10: it has no data and labels") from error
    shape = (len(labels), _VALUES) if labels.ndim == 1 else None
    if images.dtype != np.uint8 or images.shape != shape or labels.dtype.kind not in "iu":
        raise DataError(
            f"{path} holds data {images.dtype} {list(images.shape)} and labels {labels.dtype} "
            f"{list(labels.shape)}, expected uint8 [N, {_VALUES}] and whole numbers [N]"
        )
    return images.reshape(-1, *SHAPE), _known(path, labels.astype(np.int64))


def _records(path: Path) -> tuple[ImageArray, Labels]:
    """The images and labels of a file of records: a byte for the label, then the image's values."""
    try:
        content = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from error
    if len(content) % (1 + _VALUES):
        raise DataError(
            f"{path} holds {len(content)} bytes, which is no multiple of the {1 + _VALUES} of an "
            "image and its label; it is truncated or damaged, fetch it again"
        )
    records = content.reshape(-1, 1 + _VALUES)
    labels = _known(path, records[:, 0].astype(np.int64))
    return records[:, 1:].reshape(-1, *SHAPE), labels


def _known(path: Path, labels: Labels) -> Labels:
    if not len(labels):
        raise DataError(f"{path} holds no images; fetch it again")
    for wrong in labels[(labels < 0) | (labels >= len(CLASSES))]:
        raise DataError(f"{path} holds the label {wrong}, expected 0 to {len(CLASSES) - 1}")
    return labels


def load(options: CIFAR10Options) -> Splits:
    """Load train and validation out of the training batches (stratified); the test batch tests.

    Raises:
        ConfigError, DataError: the errors of `read` and `image_splits`.
    """
    return image_splits(read(options.root), options, name="cifar10", source=SOURCE)
