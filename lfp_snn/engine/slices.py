"""The search for the frames of single steps in a sequence that a forward loops over."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lfp_snn.engine.alike import acts_alike, at_step
from lfp_snn.engine.calls import Call, Value, leaves
from lfp_snn.engine.derived import Derived
from lfp_snn.engine.signature import cuts
from lfp_snn.engine.supported import SAME
from lfp_snn.errors import NetworkError
from lfp_snn.norms import PerStep

__all__ = ["MixedSamplesError", "SequenceError", "Slice", "time_slices"]

#: Rearrangements of a whole sequence, before the loop over its steps.
REARRANGING = SAME | {"permute", "transpose", "swapaxes", "swapdims", "movedim", "moveaxis"}


class SequenceError(NetworkError):
    """What a forward that loops over time takes from a sequence is no step of it.

    At a guessed shape it may be something else than at the shape of an input.
    """


class MixedSamplesError(SequenceError):
    """What a forward computes mixes samples, perhaps because the shape has no axis for them."""


@dataclass(frozen=True)
class Slice:
    """A time slice ``x[t]`` of a sequence.

    Args:
        source: the sequence.
        axis: the axis of time in it.
        index: the step.
    """

    source: Value
    axis: int
    index: int


def time_slices(calls: list[Call], x: Value, steps: int) -> dict[Value, Slice]:
    """The values that are one step of the input, each at another index of the same axis.

    Layers that take the whole sequence before the loop are called at each step instead.

    Args:
        calls: the calls of forward in order; calls at each step are put in.
        x: the input of forward.
        steps: the number of steps of the loop.

    Raises:
        SequenceError: what takes the whole sequence does not act on each step alike, or the
            sequence has more steps than the loop.
    """
    whole = {x}
    groups: dict[tuple[Value, int], dict[Value, Slice]] = {}
    for call in calls:
        source = call.operands[0] if call.operands else None
        if source is None or not _comes_from(source, x):
            continue
        if call.name in REARRANGING and source in whole:
            whole.update(call.parts.values())
            continue
        for value, axis, index in cuts(call, source):
            groups.setdefault((source, axis), {})[value] = Slice(source, axis, index)
    for (source, axis), found in groups.items():
        size = source.shape[axis]
        if {cut.index for cut in found.values()} != set(range(steps)):
            continue
        if size == steps:
            return _of_the_input(found, source, axis, whole, calls)
        if steps > 1:
            raise SequenceError(
                f"The forward of the network loops over {steps} steps, but takes them from an axis "
                f"with {size} entries: give it a sequence of {steps} steps, or let it loop over "
                "all."
            )
    return {}


def _of_the_input(
    found: dict[Value, Slice], source: Value, axis: int, whole: set[Value], calls: list[Call]
) -> dict[Value, Slice]:
    """The slices of the input that stand for slices of what layers made of all of it."""
    merged: torch.Size | None = None  # time and batch, while they are one axis
    while source not in whole:
        call = source.call
        assert call is not None
        (operand,) = call.operands
        if merged is None and axis < 2 and _merges(operand, source, call, ("unflatten",)):
            merged = source.shape[:2]
        elif merged is not None and _merges(source, operand, call, ("flatten",)):
            if operand.shape[:2] != merged:
                raise _takes_the_whole(call)
            merged = None
        elif merged is not None and _merges_and_views(source, operand, call, merged):
            found = _viewed_at_each(call, axis, found, calls)
            merged = None
        elif merged is None and axis < 2 and _views_each(source, operand, call):
            found = _viewed_at_each(call, axis, found, calls)
        elif not (acts_alike(call, axis) if merged is None else _acts_on_rows(call)):
            raise _takes_the_whole(call)
        else:
            found = _called_at_each(call, axis, found, calls, merged)
        source = operand
        found = {frame: Slice(source, axis, cut.index) for frame, cut in found.items()}
    return found


def _called_at_each(
    call: Call,
    axis: int,
    found: dict[Value, Slice],
    calls: list[Call],
    merged: torch.Size | None,
) -> dict[Value, Slice]:
    """What a call on the whole sequence takes, if it is called at each step instead.

    Args:
        call: the call.
        axis: the axis of time.
        found: the slices of what the call gives.
        calls: the calls of forward; those at each step are put in.
        merged: the sizes of time and batch in the order of the axis that they are, if they are one.
    """
    before: dict[Value, Slice] = {}
    (operand,) = call.operands
    for value, cut in found.items():
        frame = None
        if merged is not None:
            frame = Value(None, 0, torch.Size((merged[1 - axis], *operand.shape[1:])))
        frame, own = at_step(call, axis, frame, result=value)
        if merged is not None and call.name in ("view", "reshape"):
            sizes = (merged[1 - axis] if k == 1 else each for k, each in enumerate(own.args))
            own.args = tuple(sizes) if own.args[1] == operand.shape[0] else own.args
        before[frame] = cut
        calls.insert(calls.index(call) + 1, own)
    return before


def _acts_on_rows(call: Call) -> bool:
    """Whether a call does with each row what it would do with fewer of them.

    Where a stage that has fewer mixes them, it is refused as one that mixes samples.
    """
    rows = call.operands[0].shape[0]
    if isinstance(call.target, PerStep | nn.ModuleList):
        return False  # which is another at each step
    if list(call.parts) != [0] or call.parts[0].shape[:1] != (rows,):
        return False
    others = call.args[2 if call.name in ("view", "reshape") else 1 :], call.kwargs
    if call.name == "getitem":
        index = call.args[1]
        first = index[0] if isinstance(index, tuple) and index else index
        return first is Ellipsis or first == slice(None)
    return call.is_module or all(
        each.shape[:1] != (rows,)
        if isinstance(each, Tensor | Derived)
        else type(each) is not int or each != rows
        for each in leaves(others)
    )


def _merges(one: Value, two: Value, call: Call, names: tuple[str, ...]) -> bool:
    """Whether a call makes one axis of two leading ones, or the two of the one.

    Args:
        one: the value with one axis.
        two: the value with two.
        call: the call that makes one value of the other.
        names: the names of functions that may do so, beside ``view`` and ``reshape``.
    """
    known = call.name in (*names, "view", "reshape") or isinstance(call.target, nn.Unflatten)
    pair = two.shape[:2]
    return known and one.shape == (pair.numel(), *two.shape[2:]) and len(pair) == 2


def _merges_and_views(one: Value, two: Value, call: Call, pair: torch.Size) -> bool:
    """Whether a call makes one axis of two leading ones, and another form of what is behind them.

    Args:
        one: the value with one axis.
        two: the value with two.
        call: the call that makes the one of the other.
        pair: the sizes of the two.
    """
    return (
        call.name in ("view", "reshape")
        and two.shape[:2] == pair
        and one.shape[:1] == (pair.numel(),)
    )


def _views_each(one: Value, other: Value, call: Call) -> bool:
    """Whether a call gives another form to what is behind the two leading axes."""
    known = call.name in ("view", "reshape", "flatten")
    return known and len(other.shape) > 2 and one.shape[:2] == other.shape[:2]


def _viewed_at_each(
    call: Call, axis: int, found: dict[Value, Slice], calls: list[Call]
) -> dict[Value, Slice]:
    """What a view of the whole sequence takes, if the frame of each step is viewed so instead."""
    before: dict[Value, Slice] = {}
    for value, cut in found.items():
        frame, own = at_step(call, axis, result=value)
        own.name, own.target = "reshape", Tensor.reshape
        own.args, own.kwargs = (frame, *value.shape), {}
        before[frame] = cut
        calls.insert(calls.index(call) + 1, own)
    return before


def _takes_the_whole(call: Call) -> SequenceError:
    return SequenceError(
        f"'{call.name}' takes the whole sequence before the loop over time, for which there is no "
        "rule: call it in the loop, with what belongs to one step."
    )


def _comes_from(value: Value, source: Value) -> bool:
    """Whether calls of one operand each lead from a source to a value, and no neuron among them."""
    while value is not source:
        call = value.call
        if call is None or call.is_neuron or len(call.operands) != 1:
            return False
        (value,) = call.operands
    return True
