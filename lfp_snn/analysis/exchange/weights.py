"""Files of weights: a safetensors file whose header says what network they are of."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save
from torch import nn

from lfp_snn.errors import DataError
from lfp_snn.models import MODELS, Model
from lfp_snn.models.bounded import no_larger_than
from lfp_snn.training.checkpoint import copy_tensors, load_net, read_tensors
from lfp_snn.unpacking import reading

__all__ = ["SavedNetwork", "load_weights", "weights_bytes"]

_KEY = "lfp_snn"


@dataclass(frozen=True)
class SavedNetwork:
    """The content of a file of weights.

    Attributes:
        net: the network, in evaluation mode, with its weights.
        input_shape: the shape of one input, without time and batch.
        classes: the names of the outputs.
    """

    net: nn.Module
    input_shape: tuple[int, ...]
    classes: list[str]


def weights_bytes(
    net: nn.Module, model: Model, input_shape: Sequence[int], classes: Sequence[str]
) -> bytes:
    """The content of a safetensors file from which :func:`load_weights` builds the network again.

    Args:
        net: the network that ``model`` built.
        model: the section ``model`` of its config.
        input_shape: the shape of one input, without time and batch.
        classes: the names of the outputs.
    """
    description = {
        "model": model.model_dump(mode="json"),
        "input_shape": list(input_shape),
        "classes": list(classes),
    }
    return save(copy_tensors(net.state_dict()), {_KEY: json.dumps(description), "format": "pt"})


def load_weights(path: Path | str) -> SavedNetwork:
    """Build the network that a file of :func:`weights_bytes` describes, with its weights.

    Raises:
        DataError: the file is absent or damaged, or describes no network that is known.
        RunError: the tensors of the file are not those of the network that it describes.
    """
    if not Path(path).exists():
        raise DataError(f"There is no file {path}.")
    with reading(path, "network written by lfp-snn export --to safetensors"):
        try:
            notes, tensors = read_tensors(Path(path))
            described: dict[str, Any] = json.loads(notes[_KEY])
        except SafetensorError as problem:
            raise ValueError(problem) from problem
        options = MODELS[described["model"]["name"]].model_validate(described["model"])
        if not options.describes:
            raise ValueError("a network that only a function of its author makes")
        shape, classes = _shape(described["input_shape"]), _names(described["classes"])
    with no_larger_than(tensors, path, DataError):
        net = options.build(shape, len(classes))
    load_net(net, tensors, path)
    return SavedNetwork(net.eval(), shape, classes)


def _shape(described: object) -> tuple[int, ...]:
    if not isinstance(described, list) or not described:
        raise ValueError("its input has no shape")
    if any(type(side) is not int or side < 1 for side in described):
        raise ValueError(f"the shape {described} of its input is not of positive whole numbers")
    return tuple(described)


def _names(described: object) -> list[str]:
    if not isinstance(described, list) or not described:
        raise ValueError("its outputs have no names")
    return [str(name) for name in described]
