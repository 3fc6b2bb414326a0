"""The check of what a rule of a user gives, at its first use."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeAlias

from lfp_snn.errors import ShapeError
from lfp_snn.later import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["checked_split"]

Split: TypeAlias = "Callable[..., tuple[Tensor, ...]]"


def checked_split(split: Split) -> Split:
    """A split whose result is checked when it is first used for a number of parts.

    Args:
        split: the method of a class.
    """
    known: set[tuple[type, int]] = set()

    @wraps(split)
    def method(self: Any, relevance: Tensor, kept: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
        credits = split(self, relevance, kept, *parts)
        key = type(self), len(parts)
        if key not in known:
            _require(type(self).__name__, credits, parts)
            known.add(key)
        return credits

    return method


def _require(name: str, credits: Any, parts: tuple[Tensor, ...]) -> None:
    """Require a credit for each part, of its shape.

    Raises:
        ShapeError: there are others.
    """
    expected = (
        f"expected a tuple with a credit for each of the {len(parts)} parts of the membrane, in "
        "their order and of their shape"
    )
    if not isinstance(credits, tuple | list):
        raise ShapeError(
            f"The split of the rule {name} gives a {type(credits).__name__}; {expected}."
        )
    if len(credits) != len(parts):
        raise ShapeError(f"The split of the rule {name} gives {len(credits)}; {expected}.")
    for k, (credit, part) in enumerate(zip(credits, parts, strict=True)):
        if not isinstance(credit, torch.Tensor) or credit.shape != part.shape:
            found = (
                f"the shape {tuple(credit.shape)}"
                if isinstance(credit, torch.Tensor)
                else f"a {type(credit).__name__}"
            )
            raise ShapeError(
                f"The split of the rule {name} gives {found} for part {k}, which has the shape "
                f"{tuple(part.shape)}; {expected}."
            )
