"""MNIST shown to a simulated event camera that makes three saccades, as N-MNIST was recorded.

The images are those of MNIST, the events are simulated (`lfp_snn.data.camera`). What is learnt here
says something of N-MNIST, of which it is a model, but is no result on N-MNIST.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import Field

from lfp_snn.data.mnist import CLASSES, read_part
from lfp_snn.data.sets import Splits
from lfp_snn.data.simulated import SimulatedOptions, simulated_set
from lfp_snn.data.splits import split_train, stratified
from lfp_snn.errors import DataError

SOURCE = "MNIST images (LeCun, Cortes, Burges; CC BY-SA 3.0) seen by a simulated event camera"


class MNISTCameraOptions(SimulatedOptions):
    """Options of the dataset `mnist_camera`. Its events are simulated."""

    root: Path = Field(
        default=Path("datasets/MNIST"),
        description="folder that holds the four IDX files, gzip or not",
    )
    shown: int = Field(
        default=10_000, ge=2, description="images of the training part that are shown"
    )
    test: int = Field(default=2_000, ge=1, description="images of the test part that are shown")


def load(options: MNISTCameraOptions) -> Splits:
    """Train and validation out of MNIST's training part, test out of its test part; stratified.

    Raises:
        DataError: the images are missing or damaged, or more are asked for than there are.
    """
    images, labels = _some(options.root, "train", options.shown)
    test_images, test_labels = _some(options.root, "t10k", options.test)
    whole = np.concatenate([images, test_images])
    recordings = simulated_set(
        "mnist_camera",
        whole / 255,
        np.concatenate([labels, test_labels]),
        [f"image/{number}" for number in range(len(whole))],
        options,
        classes=CLASSES,
    )
    train, val = split_train(labels, options.validation, options.train, options.seed)
    test = np.arange(len(images), len(whole))
    return Splits.of(recordings, train, val, test, name="mnist_camera", source=SOURCE)


def _some(
    root: Path, part: str, number: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """So many images [N, rows, columns] of a part, of all classes alike, and their labels."""
    images, labels = read_part(root, part)
    if number > len(images):
        raise DataError(f"{number} images of {part} are asked for, but {root} has {len(images)}")
    (rows,) = stratified(labels, [number], seed=0)
    return images[rows, 0], labels[rows]
