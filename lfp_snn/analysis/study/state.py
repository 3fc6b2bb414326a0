"""How far a study is, and who is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from lfp_snn.analysis.study.spec import Arm

__all__ = ["State", "Watcher", "new_state"]


@dataclass
class State:
    """How far one arm is.

    Attributes:
        name: of the arm in the study.
        trials: spent and asked for.
        seeds: finished and asked for.
        epochs: of a trial and of a seed, at most.
        values: those that the search found.
        best: validation accuracy of the best trial; ``None`` if nothing was searched.
        running: what its processes do, in a few words.
        failed: why trials or seeds failed, by what failed.
    """

    name: str
    trials: tuple[int, int] = (0, 0)
    seeds: tuple[int, int] = (0, 0)
    epochs: tuple[int, int] = (1, 1)
    values: dict[str, Any] = field(default_factory=dict)
    best: float | None = None
    running: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def work(self) -> tuple[int, int]:
        """Epochs done and epochs in all, as far as trials and seeds have ended."""
        pairs = zip((self.trials, self.seeds), self.epochs, strict=True)
        done, total = zip(*((e * part[0], e * part[1]) for part, e in pairs), strict=True)
        return sum(done), sum(total)


class Watcher(Protocol):
    """What is told while a study runs."""

    def changed(self, states: Sequence[State]) -> None:
        """How far everyone is; called several times a second."""

    def told(self, line: str) -> None:
        """Something ended."""


def new_state(arm: Arm, seeds: int) -> State:
    """The state of an arm of which nothing is done yet."""
    epochs = arm.config({}, 0).epochs
    return State(arm.name, (0, arm.trials), (0, seeds), (arm.search.epochs or epochs, epochs))
