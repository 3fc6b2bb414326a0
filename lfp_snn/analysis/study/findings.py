"""The findings of a study: numbers, and what may and may not be concluded from them, in words."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from lfp_snn.analysis.study.statistics import Paired, holm

__all__ = ["ALPHA", "Findings", "concluded", "corrected", "failure_lines"]

ALPHA = 0.05
Key = TypeVar("Key")


class Findings(ABC):
    """The base of findings of a study; each kind of study has its own."""

    @property
    def failures(self) -> Sequence[str]:
        """The failures of trials and seeds with their reasons; a line each."""
        return ()

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """The findings as plain numbers, texts, lists and mappings."""

    def conclusions(self) -> Iterable[str]:
        """The conclusions that may and may not be drawn, a sentence or two each."""
        return ()


def failure_lines(failed: Mapping[str, Mapping[str, str]]) -> list[str]:
    """A line for each failure: the arm, the trial or seed, and the reason.

    Args:
        failed: the reasons why trials and seeds failed, by the name of the arm.
    """
    return [f"{who}, {what}: {why}" for who, each in failed.items() for what, why in each.items()]


def corrected(found: Mapping[Key, Paired]) -> dict[Key, Paired]:
    """The differences with ``adjusted`` corrected for all of them together, by Holm's method."""
    adjusted = holm([each.p for each in found.values()])
    return {
        key: replace(each, adjusted=p)
        for (key, each), p in zip(found.items(), adjusted, strict=True)
    }


def concluded(reference: str, name: str, difference: Paired, what: str = "test accuracy") -> str:
    """The conclusion that a paired difference of two learners in a share (``what``) allows."""
    ahead = difference.adjusted < ALPHA
    sign = -1 if ahead and difference.difference < 0 else 1  # of who is ahead minus who is behind
    low, high = sorted((sign * 100 * difference.low, sign * 100 * difference.high))
    interval = f"95 % interval {low:+.1f} to {high:+.1f} points, of {difference.seeds} seeds"
    p = f"p = {difference.adjusted:.2g} after Holm's correction"
    mean_points = 100 * difference.difference
    if ahead:
        first, second = (reference, name) if mean_points > 0 else (name, reference)
        return (
            f"{first} is ahead of {second} in {what} by {abs(mean_points):.1f} points "
            f"({interval}; {p}): on this split the difference is more than chance of the seeds."
        )
    return (
        f"No difference in {what} between {reference} and {name} is shown: "
        f"{mean_points:+.1f} points ({interval}, not corrected; {p}). That does not make them "
        f"equal: differences within the interval remain possible."
    )
