"""Output on a console: shares, paths, plain tables, a bar with the time left."""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from lfp_snn.errors import RunError

__all__ = ["command_line", "folder_for", "percent", "shown", "time_bar", "two_columns"]


def command_line() -> str:
    """The command that runs in this process, its program by its name and not by its path."""
    program, *words = sys.argv
    path = Path(program)
    if path.name == "__main__.py":
        return shlex.join(["python", "-m", path.parent.name, *words])
    return shlex.join([path.name, *words])


def percent(share: float, digits: int = 1) -> str:
    """A share as a percentage; a dash where there is none (NaN)."""
    if math.isnan(share):
        return "-"
    return f"{100 * share:.{digits}f} %"


def shown(path: Path) -> str:
    """A path as one would type it from the present folder."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def folder_for(path: Path) -> Path:
    """A folder to write into, made where it is absent.

    Raises:
        RunError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{path} cannot be made: {error.strerror or error}.") from error
    return path


def time_bar(console: Console) -> Progress:
    """A bar that tells the time left, on terminals only."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def two_columns(rows: Iterable[tuple[str, str]]) -> Table:
    """A plain table of names and values."""
    table = Table(show_header=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(escape(name), escape(value))
    return table
