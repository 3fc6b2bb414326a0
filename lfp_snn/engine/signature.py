"""The comparison of calls from step to step, and the calls that cut a step from a sequence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import snntorch as snn
import torch
from torch import Tensor, nn

from lfp_snn.engine.calls import Call, Value, leaves
from lfp_snn.engine.derived import Derived
from lfp_snn.engine.made import makes
from lfp_snn.engine.neurons import made_by

__all__ = ["Signature", "cuts", "described"]

#: What tells whether two steps, or two networks, are the same.
Signature = tuple[Any, ...]


def cuts(call: Call, source: Value) -> Iterator[tuple[Value, int, int]]:
    """The values that a call cuts from a sequence, each with the axis and the index of the cut."""
    dims = len(source.shape)
    if call.name in ("unbind", "iter"):
        axis = int(call.kwargs.get("dim", call.args[1] if len(call.args) > 1 else 0)) % dims
        yield from ((value, axis, part) for part, value in call.parts.items())
    elif call.name == "select" and len(call.args) == 3:
        _, axis, index = call.args
        yield call.parts[0], axis % dims, index % source.shape[axis]
    elif call.name == "getitem":
        index = call.args[1] if isinstance(call.args[1], tuple) else (call.args[1],)
        if Ellipsis in index:
            at = index.index(Ellipsis)
            missing = (slice(None),) * (dims - len(index) + 1)
            index = (*index[:at], *missing, *index[at + 1 :])
        numbers = [(axis, k) for axis, k in enumerate(index) if type(k) is int]
        rest = [k for k in index if type(k) is not int]
        if len(numbers) == 1 and all(k == slice(None) for k in rest):
            ((axis, k),) = numbers
            yield call.parts[0], axis, k % source.shape[axis]


class _Constant:
    """A tensor that does not depend on the input; two of them are equal if their values are.

    A parameter is equal to none but itself: its later values are not known.
    """

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Constant):
            return False
        a, b = self.tensor, other.tensor
        if isinstance(a, nn.Parameter) or isinstance(b, nn.Parameter):
            return a is b
        return a is b or (a.shape == b.shape and a.dtype == b.dtype and torch.equal(a, b))

    __hash__ = None  # type: ignore[assignment]


def described(call: Call, numbers: dict[Value, tuple[int, int]]) -> Signature:
    """A description of a call: numbers stand for values, and new shapes lack the batch size."""
    batch = call.operands[0].shape[:1] if call.operands else ()

    def leaf(value: Any) -> Any:
        if isinstance(value, Value):
            return ("value", *numbers[value])
        if isinstance(value, Derived):
            within = map(leaf, leaves((value.args, dict(value.kwargs))))
            return ("derived", value.name, value.part, *within)
        return _Constant(value) if isinstance(value, Tensor) else value

    args = [leaf(each) for each in leaves(call.args)]
    if call.name in ("view", "reshape") and len(args) > 1 and args[1:2] == list(batch):
        args[1] = "batch"
    kwargs = tuple((key, *map(leaf, leaves(each))) for key, each in call.kwargs.items())
    target = (id(call.target), *_options(call.target)) if call.is_module else (call.name,)
    return (*target, tuple(args), kwargs)


_SIMPLE = (int, float, str, bool, tuple, type(None))


def _options(module: Any) -> Signature:
    """The options of a module, by which two steps that call it may differ."""
    apart = ("training", "step")  # neither tells one module from another
    plain = ((k, v) for k, v in vars(module).items() if k not in apart and isinstance(v, _SIMPLE))
    return (
        *plain,
        makes(module, "weight"),
        makes(module, "bias"),
        *(made_by(module) if isinstance(module, snn.SpikingNeuron) else ()),
    )
