"""The layout of a file's columns, as the user gives it or as their titles name them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lfp_snn.data.formats.times import UNITS
from lfp_snn.errors import ConfigError, DataError

#: How columns are called, by what they are.
NAMES: dict[str, tuple[str, ...]] = {
    "t": ("t", "ts", "time", "times", "timestamp", "timestamps", "time_stamp"),
    "x": ("x", "xs", "column", "col"),
    "y": ("y", "ys", "row"),
    "p": ("p", "ps", "pol", "pols", "polarity", "polarities", "on"),
    "channel": (
        "channel", "channels", "ch", "unit", "units", "neuron", "electrode", "taxel", "address",
        "addr",
    ),
}  # fmt: skip
PASSED_OVER = "-"
ADVICE = "say which is which, as in --column-order x,y,p,t"

_UNIT_WORDS = {
    "s": ("s", "sec", "secs", "second", "seconds"),
    "ms": ("ms", "msec", "millis", "millisecond", "milliseconds"),
    "us": ("us", "µs", "μs", "usec", "micros", "microsecond", "microseconds"),
    "ns": ("ns", "nsec", "nanos", "nanosecond", "nanoseconds"),
}
_WITH_UNIT = re.compile(r"(\w+?)(?:\s*[\[(]\s*(\w+)\s*[\])]|(?:[ _]|_in_)([^\W_]+))")


@dataclass(frozen=True)
class Layout:
    """The layout of a file that does not tell it itself; the file's titles go before it.

    Args:
        order: the meaning of the columns of a table, or of the axes of a dense array, by t, x, y,
            p, channel, and `-` for one that is passed over; empty if the file is to tell it.
        unit: the unit of the times, s, ms, us or ns; `None` if the file is to tell it.
    """

    order: tuple[str, ...] = ()
    unit: str | None = None

    @classmethod
    def of(cls, order: str | None, unit: str | None) -> "Layout":
        """The layout that two options of a command line, or of an index, describe.

        Args:
            order: the names, separated by commas, such as "x,y,p,t".
            unit: the unit of the times, s, ms, us or ns.

        Raises:
            ConfigError: a column or unit is not known, or a column is missing or there twice.
        """
        if unit is not None and unit not in UNITS:
            raise ConfigError(f"there is no unit of time {unit!r}; there are {', '.join(UNITS)}")
        names = tuple(_role(each.strip()) for each in order.split(",")) if order else ()
        kept = [name for name in names if name != PASSED_OVER]
        needed = {"t", "channel"} if "channel" in kept else {"t", "x", "y"}
        if names and (
            len(set(kept)) < len(kept) or not needed <= set(kept) or set(kept) - needed - {"p"}
        ):
            raise ConfigError(
                f"the order of columns {order!r} is none: expected t, x and y, or t and channel, "
                "each once, perhaps p, and - for columns that are passed over"
            )
        return cls(names, unit)

    def __bool__(self) -> bool:
        return self != AS_IT_IS


#: Nothing is given: the file tells it.
AS_IT_IS = Layout()


def _role(name: str) -> str:
    found = [role for role, names in NAMES.items() if name.lower() in names]
    if not found and name != PASSED_OVER:
        raise ConfigError(f"there is no column {name!r}; there are {', '.join(NAMES)} and -")
    return found[0] if found else PASSED_OVER


def roles(path: Path, titles: Sequence[str]) -> tuple[dict[str, int], str | None]:
    """The place of each column of events by the titles, and the unit of time if they tell it.

    Args:
        path: the file, for messages.
        titles: the titles of all columns; titles that name nothing of an event are passed over.

    Raises:
        DataError: a column is named twice, or a column that events need is missing.
    """
    places: dict[str, int] = {}
    unit = None
    for place, title in enumerate(titles):
        role, its_unit = _named(title)
        if role is None:
            continue
        if role in places:
            raise DataError(
                f"{path} names two columns of {role}: {titles[places[role]]!r} and {title!r}; "
                f"{ADVICE}"
            )
        places[role] = place
        unit = its_unit or unit
    if "x" in places and "y" in places:
        places.pop("channel", None)
    elif "x" in places and "channel" not in places:
        places["channel"] = places.pop("x")  # as tonic has it
    if not ("t" in places and ({"x", "y"} <= set(places) or "channel" in places)):
        told = ", ".join(titles)[:100] or "nothing"
        raise DataError(
            f"{path} names the columns {told}; expected t, x, y and p, or t and channel"
        )
    return places, unit


def names_events(titles: Sequence[str]) -> bool:
    """Whether titles name the columns that events need."""
    try:
        roles(Path(), titles)
    except DataError:
        return False
    return True


def _named(title: str) -> tuple[str | None, str | None]:
    """The column that a title names, and its unit."""
    word, unit = title.strip().lower(), None
    with_unit = _WITH_UNIT.fullmatch(word)
    if with_unit and not any(word in names for names in NAMES.values()):
        told = with_unit[2] or with_unit[3]
        unit = next((unit for unit, words in _UNIT_WORDS.items() if told in words), None)
        word = with_unit[1] if unit else word
    return next((role for role, names in NAMES.items() if word in names), None), unit
