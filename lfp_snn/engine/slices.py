"""The search for the frames of single steps in a sequence that a forward loops over."""

from __future__ import annotations

from dataclasses import dataclass

from lfp_snn.engine.alike import acts_alike, at_step
from lfp_snn.engine.calls import Call, Value
from lfp_snn.engine.signature import cuts
from lfp_snn.engine.supported import SAME
from lfp_snn.errors import NetworkError

__all__ = ["SequenceError", "Slice", "time_slices"]

#: Rearrangements of a whole sequence, before the loop over its steps.
REARRANGING = SAME | {"permute", "transpose", "swapaxes", "swapdims", "movedim", "moveaxis"}


class SequenceError(NetworkError):
    """What a forward that loops over time takes from a sequence is no step of it.

    At a guessed shape it may be something else than at the shape of an input.
    """


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
    while source not in whole:
        call = source.call
        assert call is not None
        if not acts_alike(call, axis):
            raise SequenceError(
                f"'{call.name}' takes the whole sequence before the loop over time, for which "
                "there is no rule: call it in the loop, with what belongs to one step."
            )
        (source,) = call.operands
        moved: dict[Value, Slice] = {}
        for value, cut in found.items():
            frame, own = at_step(call, axis, result=value)
            moved[frame] = Slice(source, axis, cut.index)
            calls.insert(calls.index(call) + 1, own)
        found = moved
    return found


def _comes_from(value: Value, source: Value) -> bool:
    """Whether calls of one operand each lead from a source to a value, and no neuron among them."""
    while value is not source:
        call = value.call
        if call is None or call.is_neuron or len(call.operands) != 1:
            return False
        (value,) = call.operands
    return True
