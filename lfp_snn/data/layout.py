"""The axes of an input: samples, time and frame, and the errors if they lie elsewhere.

A frame is what the network takes at one time step. `T` is the axis of time, `B` that of samples:
inputs lie as `TB` (`[T, B, *frame]`), `BT` (`[B, T, *frame]`) or `B` (`[B, *frame]`, no time: the
same at every step).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from lfp_snn.errors import DataError, ShapeError

Layout = Literal["TB", "BT", "B"]
Shape = tuple[int, ...]
#: The number of outputs of the network for frames of a shape; a ShapeError if it takes no such.
OutputsOf = Callable[[Shape], int]

_SAY = "say which with layout='TB', 'BT' or 'B'"


@dataclass(frozen=True)
class Axes:
    """The meaning of the axes of inputs.

    Args:
        batch: the axis of the samples, 0 or 1; None where they come one by one.
        timed: whether there is an axis of time, the first one beside the axis of the samples.
        frame: the shape of what the network takes at one step.
        steps: T; None where there is no time.
    """

    batch: int | None
    timed: bool
    frame: Shape
    steps: int | None


def find_axes(
    shape: Shape,
    batch: int | None,
    *,
    layout: Layout | None = None,
    steps: int | None = None,
    outputs_of: OutputsOf | None = None,
) -> Axes:
    """Find the meaning of the axes of inputs.

    Args:
        shape: the shape of an input as it comes.
        batch: the axis of its samples, which is known; None where samples come one by one.
        layout: the layout that the user gave, if any.
        steps: T of inputs that have no time axis, if it was given.
        outputs_of: a function that tells the frames that the network takes, where there is one.

    Raises:
        DataError: time lies elsewhere, the layout does not fit, or nothing tells what is time.
    """
    sample = shape if batch is None else shape[:batch] + shape[batch + 1 :]
    if layout is None:
        timed = _is_timed(shape, sample, steps, outputs_of)
    else:
        _check_said(layout, shape, batch)
        timed = layout != "B"
    if batch is not None and batch > int(timed):
        raise DataError(
            f"Inputs of the shape {shape} have their samples along axis {batch}; expected axis 0"
            f"{' or 1' if timed else ''}: move it there with x.movedim({batch}, 0)."
        )
    if timed and steps is not None and sample[0] != steps:
        raise DataError(
            f"steps is {steps}, but inputs of the shape {shape} have {sample[0]} time steps of "
            "their own; leave steps out."
        )
    if not timed and steps is None:
        raise DataError(
            f"Inputs of the shape {shape} have no time axis: give the number of time steps to "
            "show them for, steps=25 for instance."
        )
    frame = sample[1:] if timed else sample
    if not frame or 0 in sample:
        raise DataError(
            f"Inputs have the shape {shape}; expected at least one unit"
            f"{' at each of at least one time step' if timed else ''} of each sample."
        )
    if outputs_of is not None:
        _outputs(outputs_of, frame, shape)
    return Axes(batch, timed, frame, sample[0] if timed else None)


def batch_axis_of(two: Shape, three: Shape) -> int:
    """The axis of the samples, from the shapes of a batch of two and one of three alike.

    Raises:
        DataError: there is none.
    """
    sizes = zip(two, three, strict=False)
    found = [axis for axis, pair in enumerate(sizes) if pair == (2, 3)]
    if len(two) != len(three) or len(found) != 1:
        raise DataError(
            f"The collate function makes inputs of the shape {two} of two samples and {three} of "
            "three; expected an axis that is as long as there are samples."
        )
    return found[0]


def batch_axis_by(count: int, shape: Shape, layout: Layout | None) -> int:
    """The axis of the samples, from how many labels there are.

    Raises:
        DataError: no axis, or more than one, is as long as there are labels.
    """
    found = [axis for axis in (0, 1) if shape[axis : axis + 1] == (count,)]
    if layout is not None and layout.index("B") in found:
        return layout.index("B")
    if len(found) == 1:
        return found[0]
    if found:
        raise DataError(
            f"Inputs of the shape {shape} with {count} labels have their samples along axis 0 or "
            f"1; {_SAY}."
        )
    raise DataError(
        f"There are {count} labels, but inputs of the shape {shape}; expected one label for each "
        "sample, and samples along axis 0 ([B, T, ...]) or 1 ([T, B, ...])."
    )


def _check_said(layout: Layout, shape: Shape, batch: int | None) -> None:
    if layout not in ("TB", "BT", "B"):
        raise DataError(f"layout is {layout!r}, expected 'TB', 'BT' or 'B'.")
    if batch is not None and layout.index("B") != batch:
        raise DataError(
            f"layout says {layout!r}, but inputs of the shape {shape} have their samples along "
            f"axis {batch}."
        )


def _is_timed(shape: Shape, sample: Shape, steps: int | None, outputs_of: OutputsOf | None) -> bool:
    """Whether the first axis of a sample is time, and not part of the frame."""
    if outputs_of is None:
        if steps is None and len(sample) == 3 and sample[0] == 1:
            raise DataError(
                f"Inputs of the shape {shape} may be images of one channel without time, or one "
                f"time step of {sample[1:]}: give steps=25, for instance, to show images for so "
                f"many steps, or say {'layout=' + repr('BT') if shape != sample else 'the layout'}."
            )
        return steps is None
    with_time, without = _takes(outputs_of, sample[1:]), _takes(outputs_of, sample)
    if steps is None and sample[:1] != (1,):
        if not with_time and not without:
            _refuse_misplaced(shape, sample, outputs_of)
        return with_time or not without
    if with_time and without and sample[0] == (steps or 1):
        still = ", and steps=25, for instance, for no time" if steps is None else ""
        raise DataError(
            f"Inputs of the shape {shape} may be {sample[0]} time steps of {sample[1:]}, or frames "
            f"of {sample} without time: the network takes both; {_SAY}{still}."
        )
    return with_time and not without


def _takes(outputs_of: OutputsOf, frame: Shape) -> bool:
    try:
        return bool(frame) and outputs_of(frame) > 0
    except ShapeError:
        return False


def _outputs(outputs_of: OutputsOf, frame: Shape, shape: Shape) -> int:
    try:
        return outputs_of(frame)
    except ShapeError as error:
        raise DataError(
            f"Inputs of the shape {shape} are frames of {frame}, which the network does not take: "
            f"{error}"
        ) from error


def _refuse_misplaced(shape: Shape, sample: Shape, outputs_of: OutputsOf) -> None:
    """Refuse inputs whose time lies behind their frame, or in it."""
    offset = len(shape) - len(sample)  # samples, if there is an axis of them, lie before
    for axis in range(1, len(sample)):
        if _takes(outputs_of, sample[:axis] + sample[axis + 1 :]):
            raise DataError(
                f"Inputs of the shape {shape} have their time axis in the wrong place: the network "
                f"takes frames of {sample[:axis] + sample[axis + 1 :]}, so axis {axis + offset} "
                f"is time; expected it {'beside the samples' if offset else 'first'}: move it with "
                f"x.movedim({axis + offset}, {offset})."
            )
