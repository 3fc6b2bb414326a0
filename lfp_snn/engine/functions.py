"""Functions that do what a module does, and functions that are written out as others."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lfp_snn.engine.calls import Call, Value
from lfp_snn.engine.derived import Derived
from lfp_snn.engine.one_step import OneStep
from lfp_snn.engine.supported import DROPOUTS, FUNCTIONAL_MODULES, POOL_OPTIONS
from lfp_snn.errors import NetworkError

__all__ = ["WRITTEN_OUT", "module_of", "without_new_axes"]


def module_of(call: Call, sources: list[Any], options: dict[str, Any]) -> nn.Module | None:
    """The module that does what a function does, if there is one.

    Args:
        call: the call of the function.
        sources: the operands of the call and its other positional arguments.
        options: the remaining keywords of the call.
    """
    target, method = call.target, call.name.strip("_")
    if call.name in DROPOUTS:
        return _dropout(*sources[1:], kind=DROPOUTS[call.name], **options)
    if method in _MADE:
        return _MADE[method](*sources[1:], **options)
    kind = FUNCTIONAL_MODULES.get(target) or FUNCTIONAL_MODULES.get(method)
    if kind is None:
        return None
    options.pop("_stacklevel", None)  # of F.softmax, for its warnings
    if options.get("dtype", 0) is None:
        del options["dtype"]
    if "dtype" in options:  # computes in another type than the network
        return None
    named = zip(POOL_OPTIONS.get(target, ()), sources[1:], strict=False)
    values = () if target in POOL_OPTIONS else sources[1:]
    return kind(*values, **dict(named), **options)


def _dropout(
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    kind: Callable[[float], nn.Module],
) -> nn.Module:
    """Dropout as a module that stays in the mode in which its function was called."""
    return kind(p).train(training)


def _clamp(min: Any = None, max: Any = None) -> nn.Module | None:
    """``x.clamp(min, max)`` with numbers, of which one may be missing."""
    low = -math.inf if min is None else min
    high = math.inf if max is None else max
    numbers = all(isinstance(each, int | float) for each in (low, high))
    return nn.Hardtanh(low, high) if numbers and low < high else None


def _layer_norm(
    normalized_shape: Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> nn.Module | None:
    norm = nn.LayerNorm(tuple(normalized_shape), eps, elementwise_affine=False)
    return _with(norm, weight, bias)


def _group_norm(
    num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> nn.Module | None:
    given = next((each for each in (weight, bias) if isinstance(each, Tensor)), None)
    if given is None:  # the number of channels is that of the input, which shows in neither
        return None
    return _with(nn.GroupNorm(num_groups, len(given), eps, affine=False), weight, bias)


def _with(norm: nn.Module, weight: Any, bias: Any) -> nn.Module | None:
    """A normalisation with the scale and shift that its function was given."""
    if any(isinstance(each, Derived) for each in (weight, bias)):
        return None
    for name, given in (("weight", weight), ("bias", bias)):
        if isinstance(given, nn.Parameter):
            norm.register_parameter(name, given)
        elif given is not None:
            delattr(norm, name)
            norm.register_buffer(name, given)
    return norm


#: The modules of functions whose arguments are others than the module's, by name.
_MADE: dict[str, Callable[..., nn.Module | None]] = {
    "clamp": _clamp,
    "clip": _clamp,
    "clamp_min": _clamp,
    "clamp_max": lambda max: _clamp(None, max),
    "layer_norm": _layer_norm,
    "group_norm": _group_norm,
}


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """``F.scaled_dot_product_attention`` as matrix products and a softmax."""
    if dropout_p or enable_gqa:
        raise NetworkError(
            "The forward calls scaled_dot_product_attention with dropout or grouped heads, for "
            "which there is no rule: leave dropout_p at 0 and drop what it gives by nn.Dropout, "
            "and repeat the heads of key and value (repeat_interleave)."
        )
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    scores = (query * scale) @ key.transpose(-2, -1)
    if is_causal:
        before = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
        scores = scores.masked_fill(~before, -math.inf)
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, -math.inf)
    elif attn_mask is not None:
        scores = scores + attn_mask
    return scores.softmax(-1) @ value


def without_new_axes(step: OneStep) -> list[Call]:
    """The calls of a step, with each mean or sum over a stack of values as one call of them.

    A new leading axis stands before the batch, and is merged away at once.
    """
    users: dict[Value, list[Call]] = {}
    for call in step.calls:
        for value in call.operands:
            users.setdefault(value, []).append(call)
    merged: dict[Call, Call] = {}
    for call in step.calls:
        stacked = call.parts.get(0)
        if call.name != "stack" or stacked is None or stacked is step.output:
            continue
        axis = _option(call, "dim", 1, 0)
        found = users.get(stacked, [])
        if axis % len(stacked.shape) == 0 and all(_merges_first(user) for user in found):
            merged |= {user: _at_once(call, user) for user in found} | {call: call}
    return [merged.get(call, call) for call in step.calls if merged.get(call) is not call]


def _option(call: Call, name: str, place: int, default: Any) -> Any:
    """An argument of a call that may be given by its name."""
    given = call.args[place] if len(call.args) > place else default
    return call.kwargs.get(name, given)


def _merges_first(call: Call) -> bool:
    """Whether a call takes the mean or sum over the first axis alone."""
    axis = call.kwargs.get("axis", _option(call, "dim", 1, None))
    axis = axis[0] if isinstance(axis, tuple | list) and len(axis) == 1 else axis
    first = isinstance(axis, int) and axis % len(call.operands[0].shape) == 0
    return call.name in ("mean", "sum") and first and not _option(call, "keepdim", 2, False)


def _at_once(stack: Call, merge: Call) -> Call:
    """A call that stacks values and merges them."""
    values = stack.kwargs.get("tensors", stack.args[0] if stack.args else ())
    kept = {key: each for key, each in merge.kwargs.items() if key not in ("input", "self")}

    def target(tensors: Sequence[Tensor], *rest: Any, **named: Any) -> Tensor:
        result: Tensor = merge.target(torch.stack(list(tensors)), *rest, **named)
        return result

    whole = Call(stack.name, target, (tuple(values), *merge.args[1:]), kept, merge.forward)
    whole.parts = merge.parts
    return whole


#: Functions that are recorded as what they consist of.
WRITTEN_OUT: dict[Any, Callable[..., Tensor]] = {F.scaled_dot_product_attention: _attention}
