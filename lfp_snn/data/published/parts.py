"""The options and parts that the published datasets have in common."""

from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, create_model

from lfp_snn.data.files import FileOptions
from lfp_snn.data.options import SpikeOptions
from lfp_snn.data.published.catalogue import Description
from lfp_snn.data.sets import SampleSet, Splits
from lfp_snn.data.splits import split_parts


class PublishedOptions(SpikeOptions):
    """The options of a published dataset."""

    root: Path = Path("datasets")


class FolderOptions(PublishedOptions, FileOptions):
    """The options of a published dataset that is a folder of recordings."""


def options_of(description: Description, base: type[PublishedOptions]) -> type[PublishedOptions]:
    """Make the options of a dataset: its own folder, and the recommended binning as defaults."""
    fields: dict[str, Any] = {}
    for name, value in description.binning.items():
        field = copy(base.model_fields[name])
        field.default, field.default_factory, field.validate_default = value, None, True
        fields[name] = (field.annotation, field)
    fields["root"] = (
        Path,
        Field(
            default=Path("datasets", description.folder),
            description=f"folder that holds {description.layout}",
        ),
    )
    name = f"{description.tonic or description.folder}Options"
    return create_model(name, __base__=base, **fields)


def how_to_get(description: Description) -> str:
    """The advice where a dataset is missing, as the end of a sentence."""
    if description.tonic:
        return "fetch it with lfp-snn data fetch"
    return f"get it from {description.address}"


def cut_parts(
    samples: SampleSet,
    parts: npt.NDArray[np.str_],
    options: PublishedOptions,
    name: str,
    description: Description,
) -> Splits:
    """Cut a set into train, validation and test; validation is drawn where it was not published.

    Args:
        samples: all recordings.
        parts: the part of each recording, `train`, `val` or `test`.
        options: the options that say how much validates and how much trains.
        name: the name of the dataset.
        description: the description of the dataset.

    Raises:
        DataError: a part is left empty, or fewer than two classes train.
    """
    rows = split_parts(
        samples.labels,
        parts,
        validation=options.validation,
        train=options.train,
        seed=options.seed,
        where=options.root,
    )
    return Splits.of(
        samples, rows["train"], rows["val"], rows["test"], name=name, source=description.source
    )
