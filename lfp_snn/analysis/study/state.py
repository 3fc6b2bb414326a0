"""The state of a study, the watcher that is told, and a session at work on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from lfp_snn.analysis.study.resources import Resources
from lfp_snn.analysis.study.spec import Arm

__all__ = ["Session", "State", "Watcher", "new_state"]


@dataclass
class State:
    """The state of one arm.

    Attributes:
        name: the name of the arm in the study.
        trials: the numbers of trials spent and asked for.
        seeds: the numbers of seeds finished and asked for.
        epochs: the largest number of epochs of a trial and of a seed.
        values: the values that the search found.
        best: the validation accuracy of the best trial; ``None`` if nothing was searched.
        running: what its processes do, in a few words.
        failed: the reasons why trials or seeds failed, by what failed.
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
        """The number of epochs done and in all, as far as trials and seeds have ended."""
        pairs = zip((self.trials, self.seeds), self.epochs, strict=True)
        done, total = zip(*((e * part[0], e * part[1]) for part, e in pairs), strict=True)
        return sum(done), sum(total)


class Watcher(Protocol):
    """The interface of those who are told while a study runs."""

    def changed(self, states: Sequence[State]) -> None:
        """Take the states of all arms; called several times a second."""

    def told(self, line: str) -> None:
        """Take a message about a trial or seed that ended."""


def new_state(arm: Arm, seeds: int) -> State:
    """The state of an arm of which nothing is done yet."""
    epochs = arm.config({}, 0).epochs
    return State(arm.name, (0, arm.trials), (0, seeds), (arm.search.epochs or epochs, epochs))


@dataclass(frozen=True)
class Session:
    """One process at work on a study, with the processes that it starts.

    Attributes:
        folder: the folder of the study.
        using: the processes and threads.
        lock: an open file that all its processes hold.
        states: the state of each arm, by its name; kept up to date.
        watcher: the watcher that is told of what happens.
    """

    folder: Path
    using: Resources
    lock: BinaryIO
    states: Mapping[str, State]
    watcher: Watcher

    def changed(self) -> None:
        """Tell the watcher the states of all arms."""
        self.watcher.changed(list(self.states.values()))
