"""The findings of a sweep: its trials, the best of them, and which settings mattered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial, TrialState
from typing_extensions import override

from lfp_snn.analysis.study.findings import Findings
from lfp_snn.analysis.study.report import UNKNOWN
from lfp_snn.analysis.study.session import Ended
from lfp_snn.analysis.study.tuning import Tuning, importances
from lfp_snn.analysis.sweep.study import SweepStudy
from lfp_snn.errors import RunError

__all__ = ["SweepFindings", "gather"]


@dataclass(frozen=True)
class SweepFindings(Findings):
    """The findings of a sweep.

    Attributes:
        trials: all trials that were spent.
        values: the values of the best trial.
        best: the validation accuracy of the best trial.
        importance: the importance of each key; empty if too few trials were completed to tell.
        data: the name, source and sizes of the data.
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
            "completed": self.completed,
        }

    @property
    def completed(self) -> int:
        """The number of trials that were trained to their end, which the importances are from."""
        return sum(trial.state is TrialState.COMPLETE for trial in self.trials)

    @property
    def columns(self) -> list[str]:
        """The titles of :meth:`rows`: those of every trial, then the keys that were searched."""
        keys = dict.fromkeys(key for trial in self.trials for key in trial.params)
        return ["trial", "validation", "state", *keys]

    def rows(self) -> Iterator[list[str]]:
        """The rows of the trials, the best first."""
        _, _, _, *keys = self.columns
        for trial in sorted(self.trials, key=lambda trial: -(trial.value or 0.0)):
            yield [
                str(trial.number),
                UNKNOWN if trial.value is None else f"{trial.value:.4f}",
                trial.state.name.lower(),
                *(_shown(trial.params.get(key)) for key in keys),
            ]


def gather(study: SweepStudy, ended: Ended) -> SweepFindings:
    """Read back the trials of a sweep.

    Raises:
        RunError: no trial was completed, or nothing was to be searched.
    """
    tuning = Tuning(study.arm, ended.store)
    values, best = tuning.best()
    if best is None:
        raise RunError("Nothing was searched: sweep.search.trials is 0.")
    shares = importances(ended.store, study.arm.name)
    return SweepFindings(tuning.spent(), values, best, shares, ended.data)


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
