"""Output on a console: shares, paths, plain tables, and progress, whose failure ends nothing."""

from __future__ import annotations

import errno
import math
import os
import shlex
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, cast

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from lfp_snn.errors import RunError

__all__ = [
    "command_line",
    "folder_for",
    "percent",
    "progress_console",
    "shown",
    "time_bar",
    "two_columns",
]


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


def progress_console(stream: IO[str] | None, **options: Any) -> Console:
    """A console for what is told while something runs, which goes on if nobody can read that.

    Args:
        stream: the stream to write to, ``sys.stderr`` or ``sys.stdout``; one that is closed, that
            nobody reads or that is on a full disk drops what is written.
        options: the options of the console.
    """
    return Console(file=cast(IO[str], _Lasting(stream)), **options)


class _Lasting:
    """A stream that drops what it cannot write."""

    def __init__(self, stream: IO[str] | None) -> None:
        self._stream = getattr(stream, "rich_proxied_file", stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def isatty(self) -> bool:
        return bool(self._tried(lambda stream: stream.isatty()))

    def write(self, text: str) -> int:
        self._tried(lambda stream: stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._tried(lambda stream: stream.flush())

    def _tried(self, call: Callable[[IO[str]], Any]) -> Any:
        if self._stream is None:  # which Python makes of a stream that is closed at the start
            return None
        try:
            return call(self._stream)
        except OSError as error:
            if error.errno in _GONE:
                self._let_go(self._stream)
        except ValueError:
            pass  # it was closed meanwhile
        return None

    def _let_go(self, stream: IO[str]) -> None:
        """Send what is still to be written nowhere, so that the end of Python does not fail."""
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


#: What writing to a stream fails with that is gone for good.
_GONE = frozenset({errno.EPIPE, errno.EBADF, errno.EIO})


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
