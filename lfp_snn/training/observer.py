"""What a training tells while it runs; the command line and user code listen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Observer", "StepReport"]


@dataclass(frozen=True)
class StepReport:
    """Where the training stands after a step.

    Attributes:
        epoch: the epoch under way, from 1.
        batch: batches done of it.
        batches: batches of an epoch.
        step: optimizer steps done in all.
        steps: optimizer steps in all, if no early stop comes between.
        accuracy: training accuracy of this epoch so far.
    """

    epoch: int
    batch: int
    batches: int
    step: int
    steps: int
    accuracy: float


class Observer:
    """Override what you want to hear of. An exception raised here ends the training."""

    def started(self, report: StepReport) -> None:
        """Training begins, or goes on where ``report`` says."""

    def stepped(self, report: StepReport) -> None:
        """One more step was made."""

    def epoch_ended(self, metrics: dict[str, Any]) -> None:
        """An epoch was trained, validated and saved; ``metrics`` is its line in metrics.jsonl."""

    def warned(self, message: str) -> None:
        """Something looks wrong; each message comes once."""

    def stopping(self, signum: int) -> None:
        """A signal asked to stop; that is done after the step under way."""

    def testing(self) -> None:
        """Training is over, and the best weights are tested."""
