"""``lfp-snn compare`` and ``lfp-snn sweep``: many trainings, one report."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from lfp_snn.analysis.compare import session
from lfp_snn.analysis.compare.plan import load_comparison, load_sweep
from lfp_snn.analysis.compare.report import summary_rows, target_rows
from lfp_snn.analysis.compare.results import COLUMNS
from lfp_snn.cli.console import percent, shown
from lfp_snn.cli.shipped import find_config
from lfp_snn.errors import Interrupted, RunError

__all__ = ["Screen", "compare", "stoppable", "sweep"]


def compare(
    config: str,
    overrides: Sequence[str] | None,
    learners: str | None,
    seeds: int,
    jobs: int,
    threads: int | None,
    out: Path | None,
    storage: str | None,
) -> None:
    """Compare learning rules; see :func:`lfp_snn.cli.declared.compare`."""
    only = None if learners is None else [name.strip() for name in learners.split(",")]
    path = find_config(config)
    comparison, studies = load_comparison(path, list(overrides or ()), only)
    name = str(studies[0].base.get("name", path.stem))
    folder = out or Path("runs") / name
    console = Console()
    console.print(f"folder: {shown(folder)}", highlight=False, soft_wrap=True)
    resources = session.resources(jobs, threads, storage)
    with Screen(console) as screen, stoppable(folder):
        results, report = session.compare(
            comparison, studies, seeds, folder, resources, screen, name
        )
    console.print(_summary(results))
    for learner, line in target_rows(results):
        console.print(
            f"time to a validation accuracy of {percent(results.target or 0)}, {learner}: {line}",
            highlight=False,
        )
    for sentence in results.conclusions():
        console.print(f"- {sentence}", highlight=False)
    console.print(f"report: {shown(report)}", highlight=False, soft_wrap=True)
    if any(learner.failed for learner in results.learners):
        raise RunError(
            "Not everything finished; the report says what, and the same command tries again."
        )


def sweep(
    config: str,
    overrides: Sequence[str] | None,
    jobs: int,
    threads: int | None,
    out: Path | None,
    storage: str | None,
) -> None:
    """Search the settings of one learner; see :func:`lfp_snn.cli.declared.sweep`."""
    path = find_config(config)
    study = load_sweep(path, list(overrides or ()))
    folder = out or Path("runs") / str(study.base.get("name", path.stem))
    console = Console()
    console.print(f"folder: {shown(folder)}", highlight=False, soft_wrap=True)
    with Screen(console) as screen, stoppable(folder):
        values, best, report = session.sweep(
            study, folder, session.resources(jobs, threads, storage), screen, path.stem
        )
    console.print(f"best validation accuracy {percent(best)}", highlight=False)
    for key, value in values.items():
        console.print(f"  {key}={value}", highlight=False)
    console.print(f"report: {shown(report)}", highlight=False, soft_wrap=True)


class stoppable:
    """Turns Ctrl-C and SIGTERM into a message that says how to go on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._signum: int = signal.SIGINT

    def __enter__(self) -> None:
        self._before = signal.signal(signal.SIGTERM, self._interrupt)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        signal.signal(signal.SIGTERM, self._before)
        if kind is KeyboardInterrupt:
            raise Interrupted(
                f"Stopped; {self.folder} keeps what is finished, and the same command goes on.",
                self._signum,
            )

    def _interrupt(self, signum: int, _frame: object) -> None:
        self._signum = signum
        raise KeyboardInterrupt


class Screen:
    """A live table on a terminal, a line for everything that ends elsewhere."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._live = Live(console=console, transient=True, refresh_per_second=4)
        self._started: tuple[float, int] | None = None

    def __enter__(self) -> Screen:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.console.is_terminal:
            self._live.stop()

    def changed(self, states: Sequence[Any]) -> None:
        """Draw the table anew."""
        if self.console.is_terminal:
            table = _progress(states)
            table.caption = self._left(states)
            self._live.update(table)

    def _left(self, states: Sequence[Any]) -> str:
        """Time left, going by the epochs of trials and seeds that have ended since the start."""
        done, total = (sum(column) for column in zip(*(s.work() for s in states), strict=True))
        now = time.monotonic()
        if self._started is None:
            self._started = now, done
        began, before = self._started
        if done == before:
            return "time left: not known yet"
        seconds = (now - began) * (total - done) / (done - before)
        return f"about {timedelta(seconds=round(seconds))} left"

    def told(self, line: str) -> None:
        """Print what ended."""
        self.console.print(line, highlight=False, soft_wrap=True, markup=False)


def _progress(states: Sequence[Any]) -> Table:
    table = Table("learner", "search", "best", "seeds", "now", box=None, pad_edge=False)
    for state in states:
        table.add_row(
            state.name,
            f"{state.trials[0]}/{state.trials[1]}" if state.trials[1] else "",
            "" if state.best is None else percent(state.best),
            f"{state.cells[0]}/{state.cells[1]}",
            "; ".join(state.running) or ("failed" if state.failed else ""),
        )
    return table


def _summary(results: Any) -> Table:
    """The columns that fit a terminal."""
    table = Table("learner", *(column.title for column in COLUMNS[:6]), box=None, pad_edge=False)
    for name, cells in summary_rows(results):
        table.add_row(name, *cells[:6])
    return table
