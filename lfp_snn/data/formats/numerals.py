"""A reader of numbers in text, line by line and chunk by chunk, without an object for each."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lfp_snn.compiled import compiled
from lfp_snn.errors import DataError

_LONGEST_LINE = 1 << 16
_SHORTEST_NUMBER = 2  # bytes, with what follows it
_DIGITS = 18  # that an int64 holds in any case
_LARGEST = 1 << 62  # as the times of events
_LARGEST_POWER = 400  # of ten, above and below which a double ends
_DONE, _NO_NUMBER, _COLUMNS, _TOO_LARGE = range(4)
_POWERS = np.array([10.0**k for k in range(23)])  # exact
_WHOLE_POWERS = np.array([10**k for k in range(_DIGITS + 1)], np.int64)
_WORDS = (
    (re.compile(rb"(?i)\b(?:on|true)\b"), b"1"),
    (re.compile(rb"(?i)\b(?:off|false)\b"), b"0"),
)


class _Parsed(NamedTuple):
    """The result of a chunk: rows read, what ended it, at which line, with how many columns."""

    rows: int
    status: int
    line: int
    found: int


def read_columns(
    path: Path, chunks: Iterable[bytes], columns: int, line: int, decimal_comma: bool = False
) -> list[npt.NDArray[Any]]:
    """Read the columns of lines of numbers: int16 to int64 where all are whole, else float64 [E].

    Fields are separated by one comma or semicolon, by tabs or blanks. Empty lines and those that
    start with `#` or `%` are passed over. ON and OFF, true and false are 1 and 0.

    Args:
        path: the file, for messages.
        chunks: the text, cut anywhere, in UTF-8.
        columns: the number of columns of each line.
        line: the number of the first line.
        decimal_comma: whether a comma is the mark of a fraction.

    Raises:
        DataError: a line has something else; the message names it.
    """
    pieces: list[list[npt.NDArray[Any]]] = [[] for _ in range(columns)]
    words = False
    for text in _whole_lines(path, chunks):
        ready = text.replace(b",", b".") if decimal_comma else text
        ready = ready.translate(None, b"\"'") if b'"' in ready or b"'" in ready else ready
        whole, broken, fractions, parsed = _parse(_worded(ready) if words else ready, columns)
        if parsed.status == _NO_NUMBER and not words:
            words = True
            whole, broken, fractions, parsed = _parse(_worded(ready), columns)
        if parsed.status != _DONE:
            raise DataError(_wrong(path, text, line, columns, parsed))
        for column, own in enumerate(pieces):
            part = (broken if fractions[column] else whole)[column, : parsed.rows]
            own.append(part.copy() if fractions[column] else _small(part))
        line += parsed.line
    found = []
    while pieces:
        found.append(np.concatenate(pieces.pop(0) or [np.empty(0, np.int64)]))
    return found


def _whole_lines(path: Path, chunks: Iterable[bytes]) -> Iterable[bytes]:
    """The chunks of a text, cut at ends of lines."""
    rest = b""
    for chunk in chunks:
        text = rest + chunk
        end = max(text.rfind(b"\n"), text.rfind(b"\r")) + 1
        if end:
            yield text[:end]
        rest = text[end:]
        if len(rest) > _LONGEST_LINE:
            raise DataError(f"{path} has a line of more than {_LONGEST_LINE} bytes; it is no table")
    if rest:
        yield rest


def _worded(text: bytes) -> bytes:
    for word, digit in _WORDS:
        text = word.sub(digit, text)
    return text


def _parse(text: bytes, columns: int) -> tuple[Any, Any, Any, _Parsed]:
    data = np.frombuffer(text, np.uint8)
    rows = len(text) // (_SHORTEST_NUMBER * columns) + 1
    whole, broken = np.empty((columns, rows), np.int64), np.empty((columns, rows), np.float64)
    fractions = np.zeros(columns, np.bool_)
    return whole, broken, fractions, _Parsed(*_lines(data, whole, broken, fractions))


def _small(values: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """Whole numbers in the smallest type that holds them."""
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    for dtype in (np.int16, np.int32):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return values.astype(dtype)
    return values.copy()


def _wrong(path: Path, text: bytes, line: int, columns: int, parsed: _Parsed) -> str:
    lines = text.replace(b"\r\n", b"\n").split(b"\n")
    shown = lines[min(parsed.line, len(lines) - 1)].decode(errors="replace").strip()[:60]
    where = f"{path}, line {line + parsed.line}: {shown!r}"
    if parsed.status == _COLUMNS:
        return f"{where} has {parsed.found} columns, expected {columns}"
    column = f"in column {parsed.found + 1}"
    if parsed.status == _TOO_LARGE:
        return f"{where} has a number {column} that no event has"
    return f"{where} has what is no number {column}"


@compiled
def _lines(data, whole, broken, fractions):  # type: ignore[no-untyped-def]
    """Read all lines; gives rows, status, lines passed, and columns (or the wrong one)."""
    columns = len(whole)
    end, at, row, line = len(data), 0, 0, 0
    while at < end:
        while at < end and (data[at] == 32 or data[at] == 9 or data[at] == 13):
            at += 1
        if at == end:
            break
        if data[at] == 10:
            at, line = at + 1, line + 1
            continue
        if data[at] == 35 or data[at] == 37:  # a comment
            while at < end and data[at] != 10 and data[at] != 13:
                at += 1
            continue
        column = 0
        while True:
            place, after, m, e = _number(data, at, end)
            if not place:
                return row, _NO_NUMBER, line, column
            if column < columns and not _put(m, e, whole, broken, fractions, column, row):
                return row, _TOO_LARGE, line, column
            column += 1
            at, separated = _separator(data, after, end)
            if at == end or data[at] == 10 or data[at] == 13:
                break
            if not separated:
                return row, _NO_NUMBER, line, column - 1
        if column != columns:
            return row, _COLUMNS, line, column
        row += 1
    return row, _DONE, line, 0


@compiled
def _separator(data, at, end):  # type: ignore[no-untyped-def]
    """The place behind blanks and one comma or semicolon, and whether there was any."""
    start = at
    while at < end and (data[at] == 32 or data[at] == 9):
        at += 1
    if at < end and (data[at] == 44 or data[at] == 59):
        at += 1
        while at < end and (data[at] == 32 or data[at] == 9):
            at += 1
    return at, at > start


@compiled
def _number(data, at, end):  # type: ignore[no-untyped-def]
    """Read one number as m * 10^e, m without zeros at its end; gives success, place behind, m, e.

    Digits beyond those of an int64 are cut, far below what an event's time means.
    """
    negative = at < end and data[at] == 45
    if at < end and (data[at] == 45 or data[at] == 43):
        at += 1
    m, e, digits, zeros = 0, 0, 0, 0
    some, point = False, False
    while at < end:
        c = np.int64(data[at])
        if c == 46 and not point:
            point = True
        elif 48 <= c <= 57:
            some = True
            e -= point
            if c > 48 and (
                digits + zeros < _DIGITS
                or (digits + zeros == _DIGITS and m < _LARGEST // _WHOLE_POWERS[zeros + 1])
            ):
                m = m * _WHOLE_POWERS[zeros + 1] + (c - 48)
                digits, zeros = digits + zeros + 1, 0
            elif m:
                zeros += 1
        else:
            break
        at += 1
    if some and at < end and (data[at] == 69 or data[at] == 101):
        some, at, power = _exponent(data, at + 1, end)
        e += power
    return some, at, -m if negative else m, e + zeros


@compiled
def _exponent(data, at, end):  # type: ignore[no-untyped-def]
    """Read the power of ten behind an e; gives success, the place behind it, and the power."""
    negative = at < end and data[at] == 45
    if at < end and (data[at] == 45 or data[at] == 43):
        at += 1
    start, power = at, 0
    while at < end and 48 <= data[at] <= 57:
        if power < _LARGEST_POWER:
            power = power * 10 + (data[at] - 48)
        at += 1
    return at > start, at, -power if negative else power


@compiled
def _put(m, e, whole, broken, fractions, column, row):  # type: ignore[no-untyped-def]
    """Store m * 10^e; gives false if it is too large."""
    whole[column, row], broken[column, row] = 0, 0.0
    if m == 0:
        return True
    if e < 0:
        fractions[column] = True
        broken[column, row] = m / _POWERS[-e] if -e < len(_POWERS) else m * 10.0**e
        return True
    if e > _DIGITS or abs(m) >= _LARGEST // _WHOLE_POWERS[e]:
        return False
    whole[column, row] = m * _WHOLE_POWERS[e]
    broken[column, row] = whole[column, row]
    return True
