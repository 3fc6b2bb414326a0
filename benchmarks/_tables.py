"""Tables that benchmarks print row by row, and keep with their numbers for a record.

``python -m benchmarks --json FILE NAME`` writes what was kept; ``tools.results`` reads it.
"""

from __future__ import annotations

import datetime
import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from lfp_snn.analysis.machine import machine, mean_load
from lfp_snn.analysis.study.statistics import mean
from lfp_snn.wholefiles import write_whole

__all__ = ["TRAINING", "Cell", "PrintedColumn", "Table", "cells", "line", "write"]

#: What stands in a cell: words, a number, several numbers (of seeds, say), or nothing.
Cell = str | int | float | list[float] | None


@dataclass(frozen=True)
class PrintedColumn:
    """A column of a table.

    Attributes:
        title: the heading of the column.
        show: how several numbers are shown: their mean with the lowest and highest (``range``),
            with all of them (``seeds``) or with the 95 % interval of Student's t (``interval``),
            their median with the lowest (``median``), one after the other (``each``), or as a
            value with its bounds, which are the second and third (``bounds``).
        digits: the digits behind the point; ``None`` shows as many as the number has.
        sign: whether a number above zero has a plus.
    """

    title: str
    show: Literal["range", "seeds", "interval", "median", "each", "bounds"] = "range"
    digits: int | None = 1
    sign: bool = False

    def shown(self, cell: Cell) -> str:
        """The text of a cell."""
        if isinstance(cell, list):
            return self._several(cell)
        if cell is None:
            return ""
        return cell if isinstance(cell, str) else self._number(cell)

    def _several(self, values: list[float]) -> str:
        all_of_them = " ".join(map(self._number, values))
        if self.show == "each":
            return all_of_them
        if self.show == "median":
            return f"{self._number(statistics.median(values))} ({self._number(min(values))})"
        if self.show == "seeds":
            return f"{self._number(statistics.fmean(values))} ({all_of_them})"
        if self.show == "range":
            middle, low, high = statistics.fmean(values), min(values), max(values)
        elif self.show == "interval":
            found = mean(values)
            middle, low, high = found.value, found.low, found.high
        else:
            middle, low, high = values
        return f"{self._number(middle)} ({self._number(low)} to {self._number(high)})"

    def _number(self, value: float) -> str:
        sign = "+" if self.sign else ""
        if isinstance(value, int):
            return f"{value:{sign}}"
        if self.digits is None:
            return f"{value:{sign}g}"
        return f"{round(value, self.digits) + 0.0:{sign}.{self.digits}f}"


#: The seconds of trainings, which pages leave out where the machine had other work.
TRAINING = PrintedColumn("training, s", digits=0)


def cells(columns: Sequence[PrintedColumn], row: Sequence[Cell]) -> list[str]:
    """The texts of a row's cells."""
    return [column.shown(cell) for column, cell in zip(columns, row, strict=True)]


def line(texts: Sequence[str]) -> str:
    """A row in Markdown."""
    return f"|{'|'.join(f' {text} ' if text else ' ' for text in texts)}|"


class Table:
    """A table in Markdown that is printed as its rows are done.

    Args:
        columns: the columns from left to right; a title alone is a column that shows ranges.
    """

    #: The tables of this process.
    made: list[Table] = []  # noqa: RUF012

    def __init__(self, *columns: PrintedColumn | str) -> None:
        self.columns = [PrintedColumn(each) if isinstance(each, str) else each for each in columns]
        self.rows: list[list[Cell]] = []
        self._loads = [mean_load()]
        Table.made.append(self)
        print(line([each.title for each in self.columns]))
        print(line(["---"] * len(self.columns)), flush=True)

    def row(self, *row: Cell) -> None:
        """Print a row."""
        self.rows.append([_kept(cell) for cell in row])
        self._loads.append(mean_load())
        print(line(cells(self.columns, self.rows[-1])), flush=True)

    def content(self) -> dict[str, Any]:
        """What a record takes: columns, rows, the day, the machine and its loads."""
        return {
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "machine": machine(),
            "load": [round(min(self._loads), 1), round(max(self._loads), 1)],
            "columns": [asdict(each) for each in self.columns],
            "rows": self.rows,
        }


def _kept(cell: Cell) -> Cell:
    """A cell without the digits that sums in another order would change."""
    if isinstance(cell, list):
        return [float(f"{each:.6g}") for each in cell]
    return float(f"{cell:.6g}") if isinstance(cell, float) else cell


def write(path: Path) -> bool:
    """Write the table that was printed into a file.

    Returns:
        Whether there was one; nothing is written where there was none, or several.
    """
    if len(Table.made) != 1:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(Table.made[0].content(), indent=1, allow_nan=False)
    write_whole(path, text.encode() + b"\n")
    return True
