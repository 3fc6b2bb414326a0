"""What the commands of studies share: where a study goes, who watches it, what is told of it."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table

from lfp_snn.analysis.study.findings import Findings
from lfp_snn.analysis.study.kinds import Study
from lfp_snn.analysis.study.state import State
from lfp_snn.cli.console import percent, shown
from lfp_snn.errors import Interrupted, RunError

__all__ = ["Screen", "Stage", "report_failures", "stage", "table", "tell"]


@dataclass(frozen=True)
class Stage:
    """Where a study is carried out, and who watches it.

    Attributes:
        console: where everything is told.
        screen: the watcher.
        folder: where the study goes.
        name: of the experiment.
    """

    console: Console
    screen: Screen
    folder: Path
    name: str


@contextmanager
def stage(study: Study, config: Path, out: Path | None) -> Iterator[Stage]:
    """Within, a study can be carried out: watched, and stopped with a message on how to go on.

    Args:
        study: which.
        config: from which it was read.
        out: folder that was asked for; ``None`` for ``runs/`` and the name of the experiment.
    """
    console, name = Console(), study.name or config.stem
    folder = out or Path("runs") / name
    console.print(f"folder: {shown(folder)}", highlight=False, soft_wrap=True)
    with Screen(console) as screen, stoppable(folder):
        yield Stage(console, screen, folder, name)


def table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> Table:
    """A table without a frame."""
    made = Table(*titles, box=None, pad_edge=False)
    for row in rows:
        made.add_row(*row)
    return made


def tell(console: Console, findings: Findings, report: Path) -> None:
    """Print what may be concluded, and where the report is."""
    for sentence in findings.conclusions():
        console.print(f"- {sentence}", highlight=False)
    console.print(f"report: {shown(report)}", highlight=False, soft_wrap=True)


def report_failures(findings: Findings) -> None:
    """End with an error if something failed.

    Raises:
        RunError: something has.
    """
    if findings.failures:
        raise RunError(
            "Not everything finished; the report says what, and the same command tries again."
        )


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
        """Print what ended."""
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
