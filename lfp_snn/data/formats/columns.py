"""The reading of columns of numbers as events: which column is what, in which unit, what is ON.

Files of text, of NumPy and of MATLAB say little about their columns. This is the one place where
it is decided: by titles, else by what is given (`Layout`), else by what is plausible; where several
readings are, the file is refused with a sentence that names them.

**Columns.** A recording of a camera has t, x and y, and p unless all its events are of one kind. A
recording without pixels (a cochlea, a radar, units of EMG) has t and a channel, and perhaps p; a
channel c lies at x = c, y = 0. Columns without titles are told apart: the time rises, a polarity
has two values, a pixel is a whole number that fits a sensor, x stands before y. A first column
that only counts the rows is an index.

**Times.** Whole numbers are microseconds, however written, and nanoseconds where they are stamps
since 1970 in those. Of broken numbers the unit follows from their finest digit and from what
duration and rate each unit would mean.

**Polarities.** 0 and 1, -1 and 1, 1 and 2, bool, or words; the larger one is ON.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lfp_snn.data.events import Events
from lfp_snn.data.formats.base import LARGEST, events_of
from lfp_snn.data.formats.layout import ADVICE, AS_IT_IS, PASSED_OVER, Layout, names_events, roles
from lfp_snn.data.formats.times import microseconds
from lfp_snn.errors import DataError
from lfp_snn.unpacking import check_events

Column = npt.NDArray[Any]

_ON = ("on", "true", "1", "+1")
_OFF = ("off", "false", "0", "-1")
_ROWS_OF_AN_INDEX = 10  # fewer may be times that happen to be 0, 1, 2


def titled(
    path: Path,
    columns: Mapping[str, Column],
    layout: Layout = AS_IT_IS,
    size: tuple[int | None, int | None] | None = None,
) -> Events:
    """Make events of columns with titles.

    Args:
        path: the file, for messages.
        columns: the numbers [E] by title, in the order of the file.
        layout: the layout that the user gave; its order is taken where the titles name no events.
        size: the size (height, width) of the sensor where the file tells it.

    Raises:
        DataError: a column is missing or holds what no event has, or the unit is not clear.
    """
    values = list(columns.values())
    if layout.order and not names_events(list(columns)):
        return untitled(path, values, layout, size)
    places, unit = roles(path, list(columns))
    found = {role: values[place] for role, place in places.items()}
    return events(path, found, unit or layout.unit, size)


def untitled(
    path: Path,
    columns: Sequence[Column],
    layout: Layout = AS_IT_IS,
    size: tuple[int | None, int | None] | None = None,
) -> Events:
    """Make events of columns without titles; arguments are as of `titled`.

    Raises:
        DataError: it is not clear which column is which, or the columns do not fit, as in `titled`.
    """
    order = layout.order or order_of(path, columns)
    if len(order) != len(columns):
        raise DataError(
            f"{path} has {len(columns)} columns, but the order {','.join(order)} names "
            f"{len(order)}; give - for columns that are passed over"
        )
    found = {role: each for role, each in zip(order, columns, strict=True) if role != PASSED_OVER}
    return events(path, found, layout.unit, size)


def events(
    path: Path,
    found: Mapping[str, Column],
    unit: str | None = None,
    size: tuple[int | None, int | None] | None = None,
) -> Events:
    """Make events of columns that are known.

    Args:
        path: the file, for messages.
        found: the columns t, and x and y or channel, and perhaps p; numbers [E], p also bool or
            words.
        unit: the unit of the times; `None` if the times are to tell it.
        size: the size (height, width) of the sensor where the file tells it.

    Raises:
        DataError: the lengths differ, a column holds what no event has, or the unit is not clear.
    """
    count = len(found["t"])
    if any(len(each) != count for each in found.values()):
        raise DataError(f"{path} has columns of different lengths; it is damaged")
    if not count:
        raise DataError(f"{path} has no events")
    check_events(path, count)
    p = is_on(path, found["p"]) if "p" in found else np.zeros(count, np.bool_)
    if "channel" in found:
        x, y = pixels(path, "channel", found["channel"]), np.zeros(count, np.int8)
        size = (1, size[1] if size else None)
    else:
        x, y = (pixels(path, name, found[name]) for name in ("x", "y"))
    t = microseconds(path, found["t"], unit, camera="channel" not in found)
    return events_of(path, x, y, t, p, size, polarities=2 if "p" in found else 1)


def columns_of(recording: Events) -> dict[str, Column]:
    """The columns that tell a recording, by name: p only of two polarities, a channel of a row."""
    polarities, height, _ = recording.sensor
    if polarities == 2:
        return {"t": recording.t, "x": recording.x, "y": recording.y, "p": recording.p}
    if height == 1:
        return {"t": recording.t, "channel": recording.x}
    return {"t": recording.t, "x": recording.x, "y": recording.y}


def pixels(path: Path, name: str, values: Column) -> Column:
    """A column of places as whole numbers.

    Raises:
        DataError: the column has broken numbers, or none at all.
    """
    _check_numbers(path, name, values)
    if values.dtype.kind != "f":
        return values
    if (values % 1).any():
        raise DataError(f"{path} has a column {name} of numbers with a fraction; expected pixels")
    return values.astype(np.int64)


def is_on(path: Path, values: Column) -> npt.NDArray[np.bool_]:
    """Whether each event is ON, bool [E], from polarities in any convention that is in use.

    Raises:
        DataError: the values fit no such convention.
    """
    if values.dtype.kind in "US":
        words = np.char.lower(np.char.strip(values.astype(np.str_)))
        kinds = set(np.unique(words).tolist())
        if kinds <= {*_ON, *_OFF}:
            return np.isin(words, _ON)
    else:
        _check_numbers(path, "p", values)
        kinds = set(np.unique(values).tolist())
        if kinds <= {0, 1} or kinds <= {-1, 1}:
            return np.asarray(values > 0)
        if kinds <= {1, 2}:
            return np.asarray(values == 2)
    told = ", ".join(map(str, sorted(kinds)[:4]))
    raise DataError(
        f"{path} has polarities such as {told}; expected 0 and 1, -1 and 1, 1 and 2, or ON and OFF"
    )


def _check_numbers(path: Path, name: str, values: Column) -> None:
    if values.dtype.kind not in "biuf":
        raise DataError(f"{path} has a column {name} of the type {values.dtype}; expected numbers")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise DataError(f"{path} has a value in column {name} that is no number")
    if values.size and max(abs(float(values.max())), abs(float(values.min()))) >= 2.0**62:
        raise DataError(f"{path} has a value in column {name} that no event has")


@dataclass(frozen=True)
class _Facts:
    """Facts about a column without a title, which tell what it could be."""

    rises: bool
    pixel: bool
    polarity: bool

    @classmethod
    def of(cls, values: Column) -> "_Facts":
        whole = values.dtype.kind != "f" or not (values % 1).any()
        low, high = values.min(), values.max()
        polarity = whole and low >= -1 and high <= 2 and _is_polarity(np.unique(values))
        return cls(
            rises=bool((values[1:] >= values[:-1]).all()),
            pixel=bool(whole and low >= 0 and high <= LARGEST),
            polarity=polarity,
        )

    def may_be(self, role: str) -> bool:
        return self.polarity if role == "p" else role == "t" or self.pixel


def _is_polarity(values: Column) -> bool:
    kinds = set(values.tolist())
    return kinds <= {0, 1} or kinds <= {-1, 1} or kinds <= {1, 2}


def order_of(path: Path, columns: Sequence[Column]) -> tuple[str, ...]:
    """The meaning of columns without titles, by what is plausible.

    Raises:
        DataError: several orders are plausible, or none is.
    """
    for values in columns:
        _check_numbers(path, "of numbers", values)
    if not columns or not len(columns[0]):
        raise DataError(f"{path} has no events")
    if len(columns) > 2 and _counts_rows(columns[0]):
        behind = _likely(columns[1:])
        if len(behind) == 1 and len(columns) > len(_CAMERA):
            return (PASSED_OVER, *behind[0])
        if behind:
            index = ",".join((PASSED_OVER, *behind[0]))
            raise DataError(_unclear(path, columns, [index, *map(",".join, _likely(columns))]))
    left = _likely(columns)
    if len(left) != 1:
        raise DataError(_unclear(path, columns, [",".join(order) for order in left]))
    return left[0]


def _likely(columns: Sequence[Column]) -> list[tuple[str, ...]]:
    """The orders of columns without titles that are plausible."""
    facts = [_Facts.of(values) for values in columns]
    fitting = [
        order
        for order in _orders(columns, facts)
        if all(fact.may_be(role) for role, fact in zip(order, facts, strict=True))
    ]
    rising = [order for order in fitting if facts[order.index("t")].rises]
    # What is too large for a pixel, below zero or broken can be nothing but a time.
    sure = [order for order in rising or fitting if not facts[order.index("t")].pixel]
    left = sure or rising
    return left[:1] if left and left[0] in _USUAL else left  # the usual order comes first


def _counts_rows(values: Column) -> bool:
    """Whether a column is an index: 0, 1, 2... or 1, 2, 3..."""
    few = len(values) < _ROWS_OF_AN_INDEX or values[0] not in (0, 1)
    return not few and bool((np.diff(values) == 1).all())


_CAMERA, _PLANE = ("t", "x", "y", "p"), ("t", "x", "y")
_SIGNED, _UNITS = ("t", "channel", "p"), ("t", "channel")
_USUAL = (_CAMERA, _PLANE, _SIGNED, _UNITS)


def _orders(columns: Sequence[Column], facts: Sequence[_Facts]) -> list[tuple[str, ...]]:
    """All orders of a number of columns, the usual one first; x stands before y."""
    both = any(
        fact.polarity and values.min() < values.max()
        for fact, values in zip(facts, columns, strict=True)
    )
    usual = {4: _CAMERA, 3: _SIGNED if both else _PLANE, 2: _UNITS}.get(len(columns))
    if usual is None:
        return []
    return [
        order
        for order in permutations(usual)
        if "x" not in order or order.index("x") < order.index("y")
    ]


def _unclear(path: Path, columns: Sequence[Column], orders: Sequence[str]) -> str:
    count = len(columns)
    if count not in map(len, _USUAL):
        return (
            f"{path} has {count} columns without titles; expected 4 (t, x, y, p), 3 (t, x, y or "
            f"t, channel, p) or 2 (t, channel): {ADVICE}, - for columns that are passed over"
        )
    found = f"they may be {' or '.join(orders[:4])}" if orders else "none of them rises as a time"
    return f"{path} has {count} columns without titles, and {found}; {ADVICE}"
