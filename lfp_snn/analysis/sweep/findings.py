"""What a sweep found: its trials, the best of them, and which settings mattered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial
from typing_extensions import override

from lfp_snn.analysis.study.findings import Findings
from lfp_snn.analysis.study.report import UNKNOWN

__all__ = ["SweepFindings"]


@dataclass(frozen=True)
class SweepFindings(Findings):
    """The trials of a sweep.

    Attributes:
        trials: all that were spent.
        values: of the best one.
        best: its validation accuracy.
        importance: how much each key mattered; empty if too few trials were completed to tell.
        data: name, source and sizes of the data.
    """

    trials: Sequence[FrozenTrial]
    values: Mapping[str, Any]
    best: float
    importance: Mapping[str, float]
    data: Mapping[str, Any]

    @override
    def to_json(self) -> dict[str, Any]:
        return {
            "best": {"values": dict(self.values), "val_accuracy": self.best},
            "importance": dict(self.importance),
            "trials": len(self.trials),
        }

    @property
    def columns(self) -> list[str]:
        """Titles of :meth:`rows`: those of every trial, then the keys that were searched."""
        keys = dict.fromkeys(key for trial in self.trials for key in trial.params)
        return ["trial", "validation", "state", *keys]

    def rows(self) -> Iterator[list[str]]:
        """A row a trial, the best first."""
        _, _, _, *keys = self.columns
        for trial in sorted(self.trials, key=lambda trial: -(trial.value or 0.0)):
            yield [
                str(trial.number),
                UNKNOWN if trial.value is None else f"{trial.value:.4f}",
                trial.state.name.lower(),
                *(_shown(trial.params.get(key)) for key in keys),
            ]


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
