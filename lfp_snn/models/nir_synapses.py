"""Synapses of the Neuromorphic Intermediate Representation, as torch has them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lfp_snn.errors import NetworkError

__all__ = ["InputScaled", "refuse", "sizes", "synapse_of"]


class InputScaled(nn.Module):
    """A module whose input is scaled first: a sum pool, or neurons behind a resistance.

    Args:
        module: the module.
        factor: the factor of its input.
    """

    def __init__(self, module: nn.Module, factor: float) -> None:
        super().__init__()
        self.module = module
        self.factor = factor

    def forward(self, x: Tensor) -> Any:
        """What the module gives for the scaled input."""
        return self.module(x * self.factor)


def refuse(name: str, node: Any, reason: str) -> NetworkError:
    """The error for a node that has no counterpart, with the reason."""
    return NetworkError(f"NIR node '{name}' ({type(node).__name__}) has {reason}.")


def synapse_of(name: str, node: Any) -> nn.Module:
    """The synapse of a node, with its weights."""
    import nir

    if isinstance(node, nir.Affine | nir.Linear):
        if node.weight.ndim != 2:
            raise refuse(name, node, f"weights of shape {node.weight.shape}; expected a matrix")
        return _weighted(nn.Linear(node.weight.shape[1], node.weight.shape[0]), node)
    kind = nn.Conv1d if isinstance(node, nir.Conv1d) else nn.Conv2d
    groups = int(node.groups)
    options = {key: sizes(getattr(node, key)) for key in ("stride", "padding", "dilation")}
    outputs, inputs, *kernel = node.weight.shape
    convolution: Any = kind(inputs * groups, outputs, kernel, groups=groups, **options)
    return _weighted(convolution, node)


def _weighted(module: Any, node: Any) -> nn.Module:
    """A synapse with the weights of a node."""
    for given in (node.weight, getattr(node, "bias", None)):
        if given is not None and np.asarray(given).dtype.kind not in "biuf":
            raise ValueError(f"its weights are of the type {np.asarray(given).dtype}")
    weight = torch.from_numpy(np.ascontiguousarray(node.weight))
    module.weight = nn.Parameter(weight)
    bias = getattr(node, "bias", None)
    module.bias = (
        None if bias is None else nn.Parameter(torch.as_tensor(np.asarray(bias)).to(weight))
    )
    return module  # type: ignore[no-any-return]


def sizes(value: Any) -> Any:
    """A size as torch takes it: a word, a number or a pair."""
    if isinstance(value, bytes | str):
        return value.decode() if isinstance(value, bytes) else value
    numbers = [int(n) for n in np.atleast_1d(value)]
    return numbers[0] if len(numbers) == 1 else tuple(numbers)
