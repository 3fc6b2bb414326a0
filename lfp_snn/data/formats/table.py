"""Text: an event a line, in columns t, x, y, p or as the first line names them.

Separated by commas, semicolons, tabs or blanks. Lines that start with `#` are passed over. Times
that are whole numbers are microseconds; times with a decimal point are seconds. Polarity is 1 or
above 0 for ON, 0 or -1 for OFF.
"""

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lfp_snn.data.events import Events
from lfp_snn.data.formats.base import Format, content, events_of, put
from lfp_snn.errors import DataError
from lfp_snn.unpacking import shown

_SECOND = 1_000_000
_COLUMNS = ("t", "x", "y", "p")
_NAMES = {
    "t": ("t", "ts", "time", "timestamp"),
    "x": ("x", "column", "col"),
    "y": ("y", "row"),
    "p": ("p", "pol", "polarity", "on"),
}
_NUMBER = r"[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?"
_LINE = re.compile(rf"\s*{_NUMBER}(?:[\s,;]+{_NUMBER}){{3,}}\s*$")
_TITLE = re.compile(r"\s*[A-Za-z_]\w*(?:[\s,;]+[A-Za-z_]\w*){3,}\s*$")


def read(path: Path) -> Events:
    """All events of a text file."""
    try:
        lines = content(path).decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text: {error}") from error
    numbered = [
        (number, line.strip())
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not numbered:
        raise DataError(f"{path} has no events")
    order = _order(path, numbered[0][1])
    if order is None:
        order = (0, 1, 2, 3)
    else:
        numbered = numbered[1:]
    if not numbered:
        raise DataError(f"{path} names its columns, but has no events")
    fields = [_fields(path, number, line, max(order) + 1) for number, line in numbered]
    t, x, y, p = ([row[column] for row in fields] for column in order)
    return events_of(
        path, _whole(path, "x", x), _whole(path, "y", y), _times(path, t),
        _numbers(path, "p", p) > 0,
    )  # fmt: skip


def _order(path: Path, line: str) -> tuple[int, ...] | None:
    """Where t, x, y and p stand, if the line names columns."""
    names = [each.lower() for each in re.split(r"[\s,;]+", line)]
    if any(re.fullmatch(_NUMBER, name) for name in names):
        return None
    places = []
    for column in _COLUMNS:
        known = [place for place, name in enumerate(names) if name in _NAMES[column]]
        if len(known) != 1:
            raise DataError(
                f"{path} names the columns {', '.join(names)[:100]}; expected t, x, y and p"
            )
        places.append(known[0])
    return tuple(places)


def _fields(path: Path, number: int, line: str, needed: int) -> list[str]:
    fields = re.split(r"\s*[,;]\s*|\s+", line)
    if len(fields) < needed:
        raise DataError(
            f"{path}, line {number}: {line[:60]!r} has {len(fields)} columns, expected {needed}"
        )
    return fields


def _numbers(path: Path, name: str, texts: list[str]) -> npt.NDArray[np.float64]:
    try:
        values = np.array(texts, np.float64)
    except ValueError as error:
        raise DataError(
            f"{path} has a column {name} with what is no number: {shown(error)}"
        ) from error
    if not np.isfinite(values).all() or np.abs(values).max() >= 2.0**62:
        raise DataError(f"{path} has a value in column {name} that no event has")
    return values


def _whole(path: Path, name: str, texts: list[str]) -> npt.NDArray[np.int64]:
    values = _numbers(path, name, texts)
    if (values % 1 != 0).any():
        raise DataError(f"{path} has a column {name} with broken numbers; expected pixels")
    return values.astype(np.int64)


def _times(path: Path, texts: list[str]) -> npt.NDArray[np.int64]:
    """Microseconds; exact for whole numbers."""
    try:
        return np.array([int(text) for text in texts], np.int64)
    except (ValueError, OverflowError):
        seconds = _numbers(path, "t", texts)
        if np.abs(seconds).max() > 1e12:
            raise DataError(f"{path} has times that are no seconds") from None
        return np.round(seconds * _SECOND).astype(np.int64)


def write(events: Events, path: Path) -> None:
    """A line of names, then an event a line, by commas; times in whole microseconds."""
    columns = np.stack([events.t, events.x, events.y, events.p], 1).tolist()
    lines = [",".join(_COLUMNS), *(",".join(map(str, row)) for row in columns)]
    put(path, ("\n".join(lines) + "\n").encode())


def _recognises(head: bytes) -> bool:
    """Text whose first whole line that is no comment names or holds at least four columns."""
    try:
        text = head.decode("utf-8", errors="ignore")
    except ValueError:
        return False
    if "\0" in text:
        return False
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return bool(lines) and any(form.match(lines[0]) for form in (_LINE, _TITLE))


FORMAT = Format("table", "text (.csv, .txt)", (".csv", ".txt", ".tsv"), _recognises, read, write)
