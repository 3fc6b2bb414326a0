"""What modules and dropouts give while a forward is recorded: true shapes without content."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lfp_snn.engine.supported import DROPOUTS

__all__ = ["dropout_example", "example_of"]

#: Modules that look at windows of maps, and give maps of another size.
WINDOWS = (
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.MaxPool1d,
    nn.MaxPool2d,
    nn.AdaptiveMaxPool1d,
    nn.AdaptiveMaxPool2d,
    nn.AvgPool1d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d,
)


def example_of(module: nn.Module, x: Tensor, *, tolerant: bool) -> Tensor:
    """An example of what a module gives, without content.

    Args:
        module: the module.
        x: an example of its input.
        tolerant: whether a linear layer takes an input of another width.
    """
    if getattr(module, "inplace", False):
        return x.add_(0)
    if _gives_its_input(module):
        return x
    forward: Any = type(module).forward
    if isinstance(module, nn.Linear):
        if tolerant or x.shape[-1:] == (module.in_features,):
            return x.new_zeros(*x.shape[:-1], module.out_features)
        failed: Tensor = forward(module, x)  # says what is wrong
        return failed
    if isinstance(module, WINDOWS):
        batched = x.dim() == 2 + _map_axes(module)
        shape = forward(module, x[:1] if batched else x).shape
        return x.new_zeros((*x.shape[:1], *shape[1:]) if batched else shape)
    if isinstance(module, nn.Flatten | nn.Unflatten):
        changed: Tensor = forward(module, x).clone()
        return changed
    return torch.zeros_like(x)


def dropout_example(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
) -> Tensor:
    """An example of what a dropout of :mod:`torch.nn.functional` gives, called as that is."""
    if inplace:
        return input.add_(0)
    return input.clone() if training and p else input


def _gives_its_input(module: nn.Module) -> bool:
    """Whether a module gives its very input, so that what changes one in place changes both."""
    idle = isinstance(module, tuple(DROPOUTS.values())) and not (module.training and module.p)
    return idle or isinstance(module, nn.Identity)


def _map_axes(module: nn.Module) -> int:
    """The number of axes of the maps that a module takes, by the name of its class."""
    return int(type(module).__name__[-2])
