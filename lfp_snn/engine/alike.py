"""What a loop over time does outside of it, or with a list, that is the same at every step.

A layer that takes a whole sequence before the loop, or the record of all steps behind it, and acts
on each step alike, is a layer of the step. A list of normalisations, of which step t calls the
entry t, is one normalisation for each step.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lfp_snn.engine.calls import Call, Value, leaves, replaced
from lfp_snn.engine.readings import Gathering, Replay, gathered, same
from lfp_snn.engine.supported import ACTIVATIONS, FUNCTIONAL_MODULES, SAME, SCALES, SUMS, kind_of

__all__ = ["acts_alike", "at_step", "how_taken", "lists_as_one"]

_UNITWISE = frozenset({*ACTIVATIONS, nn.Identity} - {nn.Softmax})
#: What gives of a mean the mean of what it gives, of which dropout has one mask for all steps.
_AFFINE = frozenset({
    nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d,
    nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d,
    nn.Flatten, nn.Unflatten, nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d,
})  # fmt: skip


def acts_alike(call: Call, axis: int) -> bool:
    """Whether a call on a sequence does with each step what it would do with the step alone.

    Args:
        call: the call; it takes the sequence and gives one.
        axis: the axis of time of both.
    """
    if len(call.operands) != 1 or list(call.parts) != [0]:
        return False
    kind = type(call.target) if call.is_module else FUNCTIONAL_MODULES.get(call.target)
    if kind is nn.Linear:
        return axis != len(call.operands[0].shape) - 1
    others = [each for each in leaves((call.args, call.kwargs)) if not isinstance(each, Value)]
    by_numbers = call.name in SCALES | SUMS.keys() and all(
        type(each) in (int, float) for each in others
    )
    return kind in _UNITWISE or by_numbers or call.name in SAME


def at_step(
    call: Call, axis: int | None, frame: Value | None = None, result: Value | None = None
) -> tuple[Value, Call]:
    """The input of one step, and the call on it that stands for a call on a whole sequence.

    Args:
        call: the call on the sequence, which :func:`acts_alike`.
        axis: the axis of time; None if the call takes a mean or sum over time.
        frame: the input of the step; a new value if None.
        result: the value that the new call gives; a new one if None.
    """
    (sequence,) = call.operands
    taken = frame or Value(None, 0, _without(sequence, axis))
    args, kwargs = (
        replaced(each, lambda leaf: taken if leaf is sequence else leaf)
        for each in (call.args, call.kwargs)
    )
    own = Call(call.name, call.target, args, kwargs, call.forward)
    given = result or Value(own, 0, _without(call.parts[0], axis))
    given.call, given.part = own, 0
    own.parts = {0: given}
    return taken, own


def how_taken(call: Call, replayed: tuple[Replay, Replay]) -> Gathering | None:
    """How a layer behind the loop takes what all steps gave, if it could be called at each instead.

    Args:
        call: the call of the layer.
        replayed: what it takes, among other values, where numbers stand for what the steps gave.

    Returns:
        The axis of time of the record, or ``mean``, ``sum`` or ``last`` for what is made of it;
        None where it takes none of these, or the layer makes something else of it than of
        the steps.
    """
    if len(call.operands) != 1:
        return None
    (operand,) = call.operands
    one, other = (_how(call, known.get(operand), numbers) for numbers, known in replayed)
    return one if one == other else None


def _how(call: Call, taken: Tensor | None, numbers: Tensor) -> Gathering | None:
    for axis in range(numbers.dim()):
        if same(taken, gathered(numbers, axis)) and acts_alike(call, axis):
            return axis
    if kind_of(call.target) not in _AFFINE | _UNITWISE:
        return None
    if same(taken, gathered(numbers, "last")):
        return "last"
    if kind_of(call.target) not in _AFFINE:
        return None
    if same(taken, gathered(numbers, "mean")):
        return "mean"
    shifts = getattr(call.target, "bias", None) is not None
    return "sum" if same(taken, gathered(numbers, "sum")) and not shifts else None


def lists_as_one(root: nn.Module, calls: Sequence[Call], steps: int) -> None:
    """Let calls of the entries of a list, of entry t at step t, be calls of the list.

    Args:
        root: the network.
        calls: the calls of a loop over time, in order; they are changed.
        steps: the number of steps.
    """
    for name, entries in root.named_modules():
        if not isinstance(entries, nn.ModuleList) or steps < 2:
            continue
        places = {id(entry): k for k, entry in enumerate(entries)}
        own = [call for call in calls if id(call.target) in places]
        norms = all(isinstance(c.target, nn.BatchNorm1d | nn.BatchNorm2d) for c in own)
        if norms and [places[id(call.target)] for call in own] == list(range(steps)):
            for call in own:
                call.name, call.target = name, entries


def _without(value: Value, axis: int | None) -> torch.Size:
    """The shape of a value without one axis, or as it is."""
    return torch.Size([size for k, size in enumerate(value.shape) if k != axis])
