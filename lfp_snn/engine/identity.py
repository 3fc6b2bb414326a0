"""The state of a network by which its structure is found again: its modules and their options."""

from __future__ import annotations

from collections.abc import Iterable

import snntorch as snn
import torch
from torch import Tensor, nn

from lfp_snn.engine.held import options_in
from lfp_snn.engine.neurons import made_by
from lfp_snn.engine.supported import is_leaf
from lfp_snn.norms import PerStep

__all__ = ["contents", "is_plain", "state_of"]

_SIMPLE = frozenset({bool, int, float, str, type(None)})
#: The methods by which modules of torch and snntorch compute, which a user may replace in one.
_COMPUTING = frozenset({"forward", "_conv_forward", "fire", "mem_reset"})


def is_plain(net: nn.Module) -> bool:
    """Whether a network is a sequence of modules with a rule, so that no code of a user runs."""
    return all(
        (is_leaf(module) or type(module) is nn.Sequential) and _COMPUTING.isdisjoint(vars(module))
        for module in net.modules()
    )


def state_of(net: nn.Module, *, modes: bool) -> tuple[object, object]:
    """What the structure of a network depends on, and the objects that it names by identity.

    The structure depends on the modules with their options, and with ``modes`` on their modes.
    Tensors that users hold in buffers or in attributes may be taken by forward itself, and count by
    identity; the states of neurons do not. Options may lie in lists, dicts and plain objects.
    """
    passing = ("step",) if modes else ("step", "training")
    found: list[object] = []
    held: list[object] = []
    for module in net.modules():
        keeps_state = isinstance(module, snn.SpikingNeuron | PerStep)
        buffers = [] if keeps_state else list(module._buffers.values())
        # The program names parameters that a forward takes itself, the module all others.
        parameters = [] if is_leaf(module) else list(module._parameters.values())
        options = [v for k, v in vars(module).items() if type(v) in _SIMPLE and k not in passing]
        *functions, graded = made_by(module) if isinstance(module, snn.SpikingNeuron) else (None,)
        hooks = list(module._forward_pre_hooks.values())  # those that compute a weight
        named = (*buffers, *parameters, *functions, *hooks)
        found.append((id(module), *map(id, named), *options, graded))
        held += [module, *named]
    inner, tensors = options_in(module for module in net.modules() if not is_leaf(module))
    return (*found, inner, *map(id, tensors)), (*held, *tensors)


def contents(tensors: Iterable[Tensor]) -> tuple[int, ...]:
    """What tells the values of tensors from others, also where they were set past autograd."""
    flat = (each.detach().cpu().contiguous().reshape(-1) for each in tensors)
    return tuple(hash(each.view(torch.uint8).numpy().tobytes()) for each in flat)
