"""The display of a training in a notebook: a bar while it runs, and a table of its epochs."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from typing_extensions import override

from lfp_snn.markup import bar, table
from lfp_snn.training.observer import Observer, StepReport, Watched

__all__ = ["NotebookDisplay", "figure", "in_notebook"]

_GAP_S = 0.2  # between two updates of the bar
_EPOCHS = 12  # that are shown, of the latest


def in_notebook() -> bool:
    """Whether this process runs in a notebook, whose kernel shows HTML."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return type(shell).__name__ == "ZMQInteractiveShell"


def figure(value: Any) -> str:
    """A share as a percentage; a dash where there is none."""
    return "-" if value is None or value != value else f"{100 * value:.1f} %"


class NotebookDisplay(Observer):
    """An observer that shows a training below the cell that runs it.

    Args:
        epochs: the number of epochs of the training.
    """

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        self._shown: Any = None
        self._last = 0.0
        self._training: Watched | None = None
        self._bar = ""

    @override
    def attached(self, training: Watched) -> None:
        self._training = training

    @override
    def started(self, report: StepReport) -> None:
        shown = import_module("IPython.display")
        self._shown = shown.display(shown.HTML(""), display_id=True)
        self.stepped(report)

    @override
    def stepped(self, report: StepReport) -> None:
        now = time.monotonic()
        if now - self._last < _GAP_S and report.step < report.steps:
            return
        self._last = now
        text = f"epoch {report.epoch}/{self.epochs}  train {figure(report.accuracy)}"
        self._bar = bar(report.step / report.steps, text)
        self._show()

    @override
    def epoch_ended(self, metrics: dict[str, Any]) -> None:
        self._show()

    @override
    def testing(self) -> None:
        self._bar = ""
        self._show()

    def _show(self) -> None:
        if self._shown is None or self._training is None:
            return
        html = self._bar + epochs_table(self._training.metrics, self._training.labels())
        self._shown.update(import_module("IPython.display").HTML(html))


def epochs_table(metrics: list[dict[str, Any]], labels: Mapping[str, str]) -> str:
    """A table of the latest epochs: accuracies (the error if there are no classes) and firing."""
    if not metrics:
        return ""
    names = list(metrics[-1]["firing"])
    regresses = "val_error" in metrics[-1]
    what = ["validation error"] if regresses else ["training", "validation"]
    rows = []
    for each in metrics[-_EPOCHS:]:
        if regresses:
            error = each["val_error"]
            figures = ["-" if error is None else f"{error:.4g}"]
        else:
            figures = [figure(each["train_accuracy"]), figure(each["val_accuracy"])]
        firing = [figure(each["firing"].get(name)) for name in names]
        rows.append([str(each["epoch"]), *figures, *firing, f"{each['epoch_s']:.1f} s"])
    headings = ["epoch", *what, *(f"firing {labels.get(n, n)}" for n in names), "time"]
    return table(rows, headings)
