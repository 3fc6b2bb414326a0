"""Copies of modules, also of those that hold tensors with a graph of autograd."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor, nn

from lfp_snn.errors import NetworkError

__all__ = ["copied", "copy_of"]


def copy_of(net: nn.Module) -> Any:
    """A copy of a module.

    Args:
        net: the module.

    Raises:
        NetworkError: the module holds what cannot be copied.
    """
    return copied(net, net, {})


def copied(value: Any, net: nn.Module, memo: dict[int, Any]) -> Any:
    """A deep copy of what holds a module.

    Args:
        value: what is copied.
        net: the module.
        memo: what has been copied before, by its identity.

    Raises:
        NetworkError: the module holds what cannot be copied.
    """
    memo.update(_without_graphs(net))
    try:
        return copy.deepcopy(value, memo)
    except (RuntimeError, TypeError) as problem:
        reason = str(problem).splitlines()[0].rstrip(".")
        raise NetworkError(
            f"{type(net).__name__} holds what Python cannot copy ({reason}): build another one and "
            "give it the weights, other.load_state_dict(net.state_dict())."
        ) from problem


def _without_graphs(net: nn.Module) -> dict[int, Any]:
    """Copies of the tensors of a module that torch does not copy, for the memo of a deep copy.

    They are the weights that a hook of ``torch.nn.utils`` computed, which it computes anew at the
    next call, and the states that a step under autograd left in neurons.

    Args:
        net: the module.
    """
    held = (
        value
        for module in net.modules()
        for value in (*vars(module).values(), *module._buffers.values())
    )
    return {
        id(value): value.detach().clone()
        for value in held
        if isinstance(value, Tensor) and not value.is_leaf
    }
