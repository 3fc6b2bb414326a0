"""Text files with an event a line, in columns that titles name or that their values tell.

Columns are separated by commas, semicolons, tabs or blanks; text is UTF-8 or UTF-16, with a byte
order mark or without. Lines that start with `#` or `%` are passed over, but for a geometry or
titles in them. A first line of two numbers before lines of more is the width and height of the
sensor. What columns, units of time and polarities mean is decided in `columns`.

The file is read in pieces, and numbers become columns of the smallest type that holds them.
"""

import codecs
import re
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from lfp_snn.data.events import Events
from lfp_snn.data.formats.base import Format, put
from lfp_snn.data.formats.columns import columns_of, titled, untitled
from lfp_snn.data.formats.layout import AS_IT_IS, Layout, names_events
from lfp_snn.data.formats.numerals import read_columns
from lfp_snn.errors import DataError

_CHUNK = 1 << 20
_NUMBER = re.compile(r"[-+]?(?:\d+(?:[.,]\d*)?|\.\d+)(?:[eE][-+]?\d+)?")
_WORD = re.compile(r"on|off|true|false", re.IGNORECASE)
_TITLE = re.compile(r"[^\W\d]\w*")
_BETWEEN_TITLES = re.compile(r"[ ]*[,;\t][ ]*")
_BETWEEN = re.compile(r"[ \t]*[,;][ \t]*|[ \t]+")
_LINE = re.compile(rb"([^\r\n]*)(?:\r\n|\r|\n|$)")
_GEOMETRY = re.compile(r"geometry\s*[:=]?\s*(\d{1,6})\s*[,x ]\s*(\d{1,6})", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"\d,\d")
_NO_TEXT = re.compile(r"[\x00-\x08\x0e-\x1f]")
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_NAMED = 4  # words that are taken for titles, though not for known ones
_WRITTEN_AT_ONCE = 1 << 16  # events

Size = tuple[int | None, int | None]


class _Head(NamedTuple):
    """The head of a file: what stands before the events, and how these are written."""

    titles: list[str] | None
    size: Size | None
    columns: int
    decimal_comma: bool
    line: int  # number of the first line of events
    start: int  # byte at which it begins


def read(path: Path, layout: Layout = AS_IT_IS) -> Events:
    """Read all events of a text file.

    Args:
        path: the file.
        layout: the columns and the unit of time, where the file does not tell them.

    Raises:
        DataError: the file cannot be read, or its lines are no events, or not clear.
    """
    chunks = _chunks(path)
    first = next(chunks, b"")
    head = _head(path, first, layout)
    columns = read_columns(
        path, chain((first[head.start :],), chunks), head.columns, head.line, head.decimal_comma
    )
    if head.titles is None:
        return untitled(path, columns, layout, head.size)
    names = [title or f"(column {n})" for n, title in enumerate(head.titles, 1)]
    if len(set(names)) < len(names):
        raise DataError(f"{path} has titles that are there twice: {', '.join(names)[:100]}")
    return titled(path, dict(zip(names, columns, strict=True)), layout, head.size)


def _encoding(start: bytes) -> str:
    """The encoding of a text, by its mark; UTF-16 without one by its zeros."""
    for mark, name in _MARKS.items():
        if start.startswith(mark):
            return name
    if start[1:2] == b"\0" and start[:1] != b"\0":
        return "utf-16-le"
    if start[:1] == b"\0" and start[1:2] != b"\0":
        return "utf-16-be"
    return "utf-8"


def _chunks(path: Path) -> Iterator[bytes]:
    """The text in pieces, in UTF-8 and without a mark; the first holds all before the events."""
    try:
        with path.open("rb") as file:
            raw = file.read(_CHUNK)
            encoding = _encoding(raw)
            decoder = codecs.getincrementaldecoder(encoding)()
            plain = encoding == "utf-8"
            while raw:
                yield raw if plain else decoder.decode(raw).encode()
                raw = file.read(_CHUNK)
            if not plain:
                decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text: {error}") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from error


def _head(path: Path, text: bytes, layout: Layout) -> _Head:
    """Read the head of a file from the lines before the first event."""
    titles: list[str] | None = None
    size: Size | None = None
    said: list[str] = []  # a comment that names columns
    for number, (start, line) in enumerate(_lines(text), 1):
        if not line:
            continue
        if line[0] in "#%":
            size = _geometry(line) or size
            names = _titles(line.lstrip("#% "))
            said = names if names_events(names) else said
            continue
        if titles is None and not any(map(_NUMBER.fullmatch, _fields(line))):
            titles = _titles(line)
            continue
        fields = _fields(line)
        if size is None and _is_size(fields, text[start:]):
            size = (int(fields[1]), int(fields[0]))
            continue
        comma = bool(re.search(r"[;\t]", line) and _DECIMAL_COMMA.search(line))
        columns = len(_fields(line.replace(",", ".") if comma else line))
        if titles is None and len(said) == columns:
            titles = said
        return _Head(_fitting(path, titles, columns), size, columns, comma, number, start)
    if titles is not None:
        raise DataError(f"{path} names its columns, but has no events")
    raise DataError(f"{path} has no events")


def _lines(text: bytes) -> Iterator[tuple[int, str]]:
    """The place and the content of each line."""
    for found in _LINE.finditer(text):
        if found.start() < len(text):
            yield found.start(), found[1].decode("utf-8", errors="replace").strip()


def _fields(line: str) -> list[str]:
    """The values of a line; a single separator at its end does not count."""
    fields = _BETWEEN.split(line.replace('"', "").replace("'", "").strip())
    return fields[:-1] if len(fields) > 1 and not fields[-1] else fields


def _titles(line: str) -> list[str]:
    """The titles of a line, in which there may be blanks where commas part them."""
    line = line.replace('"', "").replace("'", "").rstrip(" ,;\t")
    between = _BETWEEN_TITLES if _BETWEEN_TITLES.search(line) else _BETWEEN
    return between.split(line)


def _geometry(line: str) -> Size | None:
    found = _GEOMETRY.search(line)
    return (int(found[2]), int(found[1])) if found else None


def _is_size(fields: list[str], text: bytes) -> bool:
    """Whether two numbers are the size of the sensor: more follow in the next line."""
    if len(fields) != 2 or not all(field.isdecimal() and int(field) for field in fields):
        return False
    following = [line for _, line in islice(_lines(text), 2)]
    return len(following) == 2 and len(_fields(following[1])) > 2


def _fitting(path: Path, titles: list[str] | None, columns: int) -> list[str] | None:
    """A title for each column; R leaves out the title of the names of rows."""
    if titles is None or len(titles) == columns:
        return titles
    if len(titles) == columns - 1:
        return ["", *titles]
    raise DataError(f"{path} names {len(titles)} columns, but its first event has {columns}")


def write(events: Events, path: Path) -> None:
    """Write a line of names, then an event a line, separated by commas; times in microseconds."""
    columns = columns_of(events)
    pieces = [",".join(columns).encode() + b"\n"]
    for start in range(0, len(events), _WRITTEN_AT_ONCE):
        part = [values[start : start + _WRITTEN_AT_ONCE].tolist() for values in columns.values()]
        lines = [",".join(map(str, row)) for row in zip(*part, strict=True)]
        pieces.append(("\n".join(lines) + "\n").encode())
    put(path, b"".join(pieces))


def _recognises(head: bytes) -> bool:
    """Whether a file is text whose first line that is no comment names or holds columns."""
    try:
        text = codecs.getincrementaldecoder(_encoding(head))().decode(head)
    except UnicodeDecodeError:
        return False
    if _NO_TEXT.search(text):
        return False
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    events = [line for line in lines if line[0] not in "#%"]
    if not events:
        return bool(lines) and lines[0].startswith("#")
    fields, titles = _fields(events[0]), _titles(events[0])
    if len(fields) > 1 and any(map(_NUMBER.fullmatch, fields)):
        return all(_NUMBER.fullmatch(field) or _WORD.fullmatch(field) for field in fields)
    return names_events(titles) or (len(titles) >= _NAMED and all(map(_TITLE.fullmatch, titles)))


FORMAT = Format(
    "table", "text (.csv, .txt)", (".csv", ".txt", ".tsv"), _recognises, read, write, columns=read
)
