"""The base of datasets of still images: their options, and how images become a set."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator

from lfp_snn.data.encoders import CODES, Encoder
from lfp_snn.data.options import Options
from lfp_snn.data.sets import ImageSet, Splits
from lfp_snn.data.splits import split_train
from lfp_snn.errors import DataError
from lfp_snn.options import AS_MAPPING, Choice, choice_of, choose

ImageArray = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


@cache
def _codes() -> dict[str, type[Choice]]:
    """The sections of codes of images, which are made when one is read."""
    return {name: choice_of(name, code) for name, code in CODES.items()}


class ImageOptions(Options):
    """The options of every dataset of still images."""

    root: Path
    steps: int = Field(default=15, ge=1, description="T, how many time steps an image is shown for")
    encoding: Annotated[Choice, choose("code of images", _codes), AS_MAPPING] = Field(
        default_factory=lambda: _codes()["constant"](name="constant"),
        description="how an image becomes input: constant (a current), rate (spikes at random), "
        "latency (one spike, early where bright), delta (spikes where the moving image changes); "
        "a name, or a mapping with its options",
    )

    @field_validator("encoding", mode="before")
    @classmethod
    def _name_alone(cls, given: Any) -> Any:
        return {"name": given} if isinstance(given, str) else given

    def encoder(self) -> Encoder:
        """The code that these options describe.

        Raises:
            ConfigError: the code does not fit into the number of steps.
        """
        return Encoder(self.encoding.make(), self.steps, self.seed)


@dataclass(frozen=True)
class Images:
    """The images of a dataset, in the parts in which it is published.

    Args:
        train, test: the images, uint8 [N, channels, rows, columns]; 1 channel (grey) or 3 (red,
            green, blue).
        train_labels, test_labels: the labels, int64 [N], positions in `classes`.
        classes: the names of the classes.
        parts: the names of the two parts, which go into the names of the samples.

    Raises:
        DataError: the images of the two parts have different shapes.
    """

    train: ImageArray
    train_labels: Labels
    test: ImageArray
    test_labels: Labels
    classes: tuple[str, ...]
    parts: tuple[str, str] = ("train", "test")

    def __post_init__(self) -> None:
        if self.train.shape[1:] != self.test.shape[1:]:
            raise DataError(
                f"the training images are {_size(self.train)} pixels and the test images "
                f"{_size(self.test)}; expected one size"
            )


def _size(images: ImageArray) -> str:
    return " x ".join(map(str, images.shape[1:]))


def image_splits(images: Images, options: ImageOptions, *, name: str, source: str) -> Splits:
    """Make train and validation out of the training part (stratified); the test part tests.

    Raises:
        ConfigError: the code does not fit the steps.
        DataError: a part is left empty, or more training images are asked for than there are.
    """
    labels = images.train_labels
    first, second = images.parts
    samples = ImageSet(
        np.concatenate((images.train, images.test)),
        options.encoder(),
        np.concatenate((labels, images.test_labels)),
        [f"{first}/{n}" for n in range(len(labels))]
        + [f"{second}/{n}" for n in range(len(images.test_labels))],
        classes=images.classes,
    )
    train, val = split_train(labels, options.validation, options.train, options.seed)
    test = np.arange(len(labels), len(samples))
    return Splits.of(samples, train, val, test, name=name, source=source)


def luminance(images: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """The brightness in [0, 1] of grey or colour images.

        Y = 0.299 R + 0.587 G + 0.114 B        (ITU-R BT.601, on the values as they are stored)

    Args:
        images: the images, uint8 [N, 1 or 3, rows, columns].

    Returns:
        The brightness, float64 [N, rows, columns].
    """
    if images.shape[1] == 1:
        return images[:, 0] / 255
    weights = np.array([0.299, 0.587, 0.114])
    return np.minimum(np.tensordot(images / 255, weights, axes=(1, 0)), 1.0)
