"""The datasets by name."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lfp_snn.data import (
    braille,
    cifar10,
    digits,
    fashion_mnist,
    image_camera,
    image_files,
    mnist,
    mnist_camera,
    nmnist,
    recordings,
    sounds,
)
from lfp_snn.data.options import Options
from lfp_snn.data.published import DESCRIPTIONS, Description, folders, rows
from lfp_snn.data.published.folders import LAYOUTS
from lfp_snn.data.published.parts import FolderOptions, PublishedOptions, options_of
from lfp_snn.data.sets import SampleSet, Splits
from lfp_snn.errors import ConfigError
from lfp_snn.options import nearest
from lfp_snn.wording import setting, speaks_of_config


@dataclass(frozen=True)
class Dataset:
    """A dataset that `load` knows.

    `options` is the model of its options (the fields describe themselves), `build` makes its
    splits, `source` says what it is and from whom, and `read`, where there is one, encodes a
    single recording from a file as the recordings of the dataset are.
    """

    options: type[Options]
    build: Callable[[Any], Splits]
    source: str
    read: Callable[[Path, Any], SampleSet] | None = None


DATASETS: dict[str, Dataset] = {
    "digits": Dataset(digits.DigitsOptions, digits.load, digits.SOURCE, nmnist.load_file),
    "nmnist": Dataset(nmnist.NMNISTOptions, nmnist.load, nmnist.SOURCE, nmnist.load_file),
    "mnist": Dataset(mnist.MNISTOptions, mnist.load, mnist.SOURCE),
    "fashion_mnist": Dataset(
        fashion_mnist.FashionMNISTOptions, fashion_mnist.load, fashion_mnist.SOURCE
    ),
    "cifar10": Dataset(cifar10.CIFAR10Options, cifar10.load, cifar10.SOURCE),
    "images": Dataset(image_files.ImageFilesOptions, image_files.load, image_files.SOURCE),
    "image_camera": Dataset(
        image_camera.ImageCameraOptions, image_camera.load, image_camera.SOURCE
    ),
    "mnist_camera": Dataset(
        mnist_camera.MNISTCameraOptions, mnist_camera.load, mnist_camera.SOURCE, nmnist.load_file
    ),
    "recordings": Dataset(
        recordings.RecordingsOptions, recordings.load, recordings.SOURCE, recordings.load_file
    ),
    "fsdd": Dataset(sounds.FSDDOptions, sounds.load_fsdd, sounds.FSDD, sounds.load_fsdd_file),
    "sounds": Dataset(sounds.SoundFilesOptions, sounds.load, sounds.SOURCE),
    "braille": Dataset(braille.BrailleOptions, braille.load, braille.SOURCE),
}


def _published(name: str, description: Description) -> Dataset:
    if name not in LAYOUTS:
        options = options_of(description, PublishedOptions)
        return Dataset(options, partial(rows.load, name, description), description.source)
    return Dataset(
        options_of(description, FolderOptions),
        partial(folders.load, name, description),
        description.source,
        partial(folders.load_file, name, description),
    )


DATASETS |= {
    name: _published(name, description)
    for name, description in DESCRIPTIONS.items()
    if name not in DATASETS
}


def load(name: str, root: Path | str | None = None, **options: Any) -> Splits:
    """Load a dataset by name.

    Args:
        name: the name of the dataset, a key of `DATASETS`.
        root: the folder that holds it, if not `datasets/<name>` under the current directory.
        options: the fields of the model of its options, by name.

    Raises:
        ConfigError: the name or an option is unknown, or an option is out of range.
        DataError: the data is missing or damaged.
    """
    if root is not None:
        options["root"] = root
    parsed = parse_options(name, options)
    splits = _dataset(name).build(parsed)
    if parsed.classes is not None:
        splits = splits.keep(parsed.classes)
    return replace(splits, loaded={"name": name, **parsed.model_dump(mode="json")})


def load_file(name: str, path: Path | str, **options: Any) -> SampleSet:
    """Load a set of one recording, read from a file and encoded as dataset `name` is.

    Raises:
        ConfigError: the name or an option is unknown, as in `load`, or the dataset is not made of
            recordings.
        DataError: the file is missing or damaged.
    """
    dataset = _dataset(name)
    if dataset.read is None:
        its = "lfp-snn explain RUN --sample 0 reads" if speaks_of_config() else "load() gives"
        raise ConfigError(
            f"dataset {name!r} has no recordings in files of their own; {its} its samples"
        )
    parsed = parse_options(name, options)
    recording = dataset.read(Path(path), parsed)
    return recording if parsed.classes is None else recording.keep(parsed.classes)


def parse_options(name: str, options: dict[str, Any]) -> Options:
    """Check the options of a dataset.

    Raises:
        ConfigError: an option is unknown or out of range; the message names the first one.
    """
    model = _dataset(name).options
    try:
        return model(**options)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        if first["type"] == "unknown_key":
            key = first["ctx"]["unknown"][0]
            raise ConfigError(
                f"dataset {name!r} has no option {key!r}{_known(key, model.model_fields)}"
            ) from None
        raise ConfigError(
            f"{setting(f'data.{key}')}: {first['msg']} (found {first['input']!r})"
        ) from None


def _dataset(name: str) -> Dataset:
    if name not in DATASETS:
        raise ConfigError(f"there is no dataset {name!r}{_known(name, DATASETS)}")
    return DATASETS[name]


def _known(word: str, known: Iterable[str]) -> str:
    close = nearest(word, known)
    return (f"; did you mean {close!r}?" if close else ";") + f" Known: {', '.join(known)}"
