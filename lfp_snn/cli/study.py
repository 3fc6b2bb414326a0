"""The base of the commands of studies: where a study goes, who watches it, what is told of it."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table

from lfp_snn.analysis.study.findings import Findings
from lfp_snn.analysis.study.resources import resources
from lfp_snn.analysis.study.session import Ended, SomeFindings, SomeStudy, carry_out
from lfp_snn.analysis.study.state import State
from lfp_snn.console import percent, progress_console, shown, two_columns
from lfp_snn.errors import Interrupted, RunError

__all__ = ["Screen", "carry_out_watched", "print_table", "refuse_failures", "table", "tell"]


def carry_out_watched(
    study: SomeStudy,
    gather: Callable[[SomeStudy, Ended], SomeFindings],
    write: Callable[[SomeFindings, Path, str], Path],
    *,
    config: Path,
    out: Path | None,
    seeds: int,
    jobs: int,
    threads: int | None,
    storage: str | None = None,
) -> tuple[Console, SomeFindings, Path]:
    """Carry out a study on a console: watched, and stopped with a message on how to go on.

    Args:
        study: the study.
        gather: a function that reads back what was measured.
        write: a function that writes the report of that.
        config: the file from which the study was read.
        out: the folder that was asked for; ``None`` for ``runs/`` and the name of the experiment.
        seeds: the number of seeds.
        jobs: the number of processes at a time.
        threads: the threads of each process; ``None`` to share out the cores.
        storage: the storage of the trials, if other sessions may take part.

    Returns:
        The console, the findings, and the path of the report.

    Raises:
        LfpSnnError: :func:`~lfp_snn.analysis.study.session.carry_out` fails.
    """
    console, name = progress_console(sys.stdout), study.name or config.stem
    folder = out or Path("runs") / name
    console.print(f"folder: {shown(folder)}", highlight=False, soft_wrap=True)
    using = resources(jobs, threads, storage)
    with Screen(console) as screen, stoppable(folder):
        findings, report = carry_out(
            study,
            gather,
            write,
            seeds=seeds,
            folder=folder,
            using=using,
            watcher=screen,
            name=name,
        )
    return console, findings, report


def table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> Table:
    """A table without a frame."""
    made = Table(*titles, box=None, pad_edge=False)
    for row in rows:
        made.add_row(*row)
    return made


def print_table(console: Console, titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; where the console is too narrow, each row by itself, a line for each cell."""
    rows = list(rows)
    made = table(titles, rows)
    if console.measure(made, options=console.options.update(width=1000)).maximum <= console.width:
        console.print(made)
        return
    for row in rows:
        console.print(two_columns(zip(titles, row, strict=True)))
        console.print()


def tell(console: Console, findings: Findings, report: Path) -> None:
    """Print the conclusions, and the path of the report."""
    for sentence in findings.conclusions():
        console.print(f"- {sentence}", highlight=False)
    console.print(f"report: {shown(report)}", highlight=False, soft_wrap=True)


def refuse_failures(findings: Findings) -> None:
    """End with an error if something failed.

    Raises:
        RunError: something has failed.
    """
    if findings.failures:
        first, *others = findings.failures
        more = f" (and {len(others)} more, in the report)" if others else ""
        raise RunError(
            f"Not everything finished: {first.rstrip('.')}{more}. The same command tries again."
        )


class stoppable:
    """Turn Ctrl-C and SIGTERM in a ``with`` block into a message that says how to go on."""

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

    def changed(self, states: Sequence[State]) -> None:
        """Draw the table anew."""
        if self.console.is_terminal:
            drawn = _progress(states)
            drawn.caption = self._left(states)
            self._live.update(drawn)

    def _left(self, states: Sequence[State]) -> str:
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
        """Print a message about what ended."""
        self.console.print(line, highlight=False, soft_wrap=True, markup=False)


def _progress(states: Sequence[State]) -> Table:
    rows = (
        [
            state.name,
            f"{state.trials[0]}/{state.trials[1]}" if state.trials[1] else "",
            "" if state.best is None else percent(state.best),
            f"{state.seeds[0]}/{state.seeds[1]}",
            "; ".join(state.running) or ("failed" if state.failed else ""),
        ]
        for state in states
    )
    return table(("learner", "search", "best", "seeds", "now"), rows)
