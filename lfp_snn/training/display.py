"""The display of a training: a line for each epoch, and a bar with the time left on a terminal.

The command line and :func:`~lfp_snn.training.run.fit` show the same.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import TaskID

from lfp_snn.console import percent, progress_console, time_bar
from lfp_snn.training.notebook import NotebookDisplay, in_notebook
from lfp_snn.training.observer import Observer, StepReport, Watched

__all__ = ["Display", "displayed"]


class Display(Observer):
    """An observer that shows a training on a console; use it as a context manager.

    Args:
        console: the console to write to. The bar with the time left is for terminals only.
        epochs: the number of epochs that the config asks for.
    """

    def __init__(self, console: Console, epochs: int) -> None:
        self.console = console
        self.epochs = epochs
        self._best = -1.0
        self._task: TaskID | None = None
        self._bar = time_bar(console)
        self._labels: Callable[[], Mapping[str, str]] = dict
        self._keeps: Callable[[], bool] = lambda: True
        self._past: Callable[[], Sequence[Mapping[str, Any]]] = list

    def __enter__(self) -> Display:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def attached(self, training: Watched) -> None:
        """Ask the training what its layers are called, what was reached, and what is kept."""
        self._labels = training.labels
        self._past = lambda: training.metrics
        self._keeps = lambda: training.folder is not None

    def started(self, report: StepReport) -> None:
        """Show the bar."""
        known = (metrics.get("val_accuracy") for metrics in self._past())
        self._best = max([self._best, *(each for each in known if each is not None)])
        if report.step:
            self._print(f"resumed in epoch {report.epoch}, after step {report.step}")
        self._task = self._bar.add_task("training", total=report.steps, completed=report.step)

    def stepped(self, report: StepReport) -> None:
        """Move the bar."""
        if self._task is not None:
            text = f"epoch {report.epoch}/{self.epochs}  train {percent(report.accuracy)}"
            self._bar.update(self._task, completed=report.step, description=text)

    def epoch_ended(self, metrics: Mapping[str, Any]) -> None:
        """Print the epoch; a star marks weights that are kept, since none so far are better."""
        labels = self._labels()
        firing = "  ".join(
            f"{labels.get(name, name)}: {percent(rate)}" for name, rate in metrics["firing"].items()
        )
        self._print(
            f"epoch {metrics['epoch']:>{len(str(self.epochs))}}/{self.epochs}  "
            f"{self._figures(metrics)}  "
            f"firing {firing}  {metrics['epoch_s']:.1f} s"
        )

    def _figures(self, metrics: Mapping[str, Any]) -> str:
        """The accuracies of training and validation, or the error where there are no classes."""
        if "val_error" in metrics:
            error = metrics["val_error"]
            return "no val" if error is None else f"val error {error:.4g}"
        train, val = f"train {percent(metrics['train_accuracy']):>7}", metrics["val_accuracy"]
        if val is None:
            return f"{train}  no val"
        better = val >= self._best
        self._best = max(self._best, val)
        return f"{train}  val {percent(val):>7}{'*' if better else ' '}"

    def stopping(self, signum: int) -> None:
        """Say that a signal asked to stop."""
        kept = "with everything saved" if self._keeps() else "with nothing saved, for want of out"
        self._print(f"stopping after this step, {kept}; once more stops at once")

    def testing(self) -> None:
        """Say on the bar that the best weights are tested."""
        if self._task is not None:
            self._bar.update(self._task, description="testing")

    def _print(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True, markup=False)


@contextmanager
def displayed(epochs: int) -> Iterator[Observer]:
    """The observer that shows a training in this process, as long as a ``with`` block lasts.

    In a notebook that is a bar below the cell, elsewhere what the command line shows, on stderr.

    Args:
        epochs: the number of epochs that the settings ask for.
    """
    if in_notebook():
        yield NotebookDisplay(epochs)
        return
    with Display(progress_console(sys.stderr), epochs) as display:
        yield display
