"""A network of a user, and what it is tried on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

__all__ = ["STEPS", "UserNetwork", "first"]

#: T.
STEPS = 10


def first(out: Any) -> Tensor:
    """The first of several things that a forward returns."""
    found: Tensor = out[0] if isinstance(out, tuple | list) else out
    return found


@dataclass(frozen=True)
class UserNetwork:
    """A network in somebody's style.

    Args:
        name: what is particular about it.
        make: makes the network, with weights drawn.
        takes: what it is given of a digit: a ``row`` of 64 pixels, a ``map`` ``[1, 8, 8]``, both as
            a constant current, or ``spikes`` ``[T, 64]`` drawn at the rates of the pixels.
        loops: whether forward loops over time itself.
        batch_first: whether a loop over a sequence takes it as ``[B, T, 64]``.
        record: what the engine gives ``[T, B, C]`` as forward gives it, for a forward that loops.
        returned: the part of what forward returns that is held against it.
        epochs: the passes over the digits.
    """

    name: str
    make: Callable[[], nn.Module]
    takes: Literal["row", "map", "spikes"] = "row"
    loops: bool = False
    batch_first: bool = False
    record: Callable[[Tensor], Tensor] = lambda record: record
    returned: Callable[[Any], Tensor] = first
    epochs: int = 6

    @property
    def steps(self) -> int | None:
        """The T that has to be said, of an input without time and a forward of one step."""
        return None if self.loops or self.takes == "spikes" else STEPS
