"""The times of a file in microseconds, also where nothing says in which unit they are.

Whole numbers are microseconds, and broken numbers mostly seconds. But a file may well hold broken
milliseconds or microseconds, which read as seconds would be a recording of days. So a unit has to
be plausible: a recording lasts no longer than a day, a camera sends at least 10 events a second
and no sensor more than a billion. Where several units are, the file is refused.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lfp_snn.errors import DataError

#: Microseconds of each unit of time.
UNITS: dict[str, float] = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}

ADVICE = "say in which unit, as in --time-unit ms"

_WORDS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_SINCE_1970 = (1e9, 2.2e9)  # seconds: from 2001 to 2039
_LATEST = 1e17  # microseconds: 3000 years, as only counts of something else reach
_DAY = 86_400.0
_SHORTEST = 1e-3  # seconds: shorter recordings speak for a longer unit
_RATES = (10.0, 1e9)  # events a second
_ENOUGH = 100  # events from which on a rate says something
_SOME = 1 << 16  # times that are looked at to find the finest digit
_ROUNDING = 4  # units in the last place that arithmetic has cost


def microseconds(
    path: Path, values: npt.NDArray[Any], unit: str | None = None, camera: bool = True
) -> npt.NDArray[np.int64]:
    """The times in whole microseconds, int64 [E].

    Args:
        path: the file, for messages.
        values: the times as finite numbers [E].
        unit: the unit, one of `UNITS`; `None` if the values are to tell it.
        camera: whether they are of a camera, whose rates are known; otherwise of any sensor.

    Raises:
        DataError: the unit of the numbers is not clear, or they are no times.
    """
    if values.dtype.kind not in "biuf" or (
        values.dtype.kind == "f" and not np.isfinite(values).all()
    ):
        raise DataError(f"{path} has times that are no numbers")
    if not values.size:
        return values.astype(np.int64)
    whole = values.dtype.kind != "f" or not (values % 1).any()
    span = float(values.min()), float(values.max())
    if unit is None and max(map(abs, span)) * UNITS["ns"] < _LATEST:
        tell = _unit_of_whole if whole else _unit_of_broken
        unit = tell(path, values, span, camera)
    if unit is None or max(map(abs, span)) * UNITS[unit] >= _LATEST:
        of = _WORDS[unit] if unit else "of any unit"
        raise DataError(
            f"{path} has times from {span[0]:g} to {span[1]:g} {of}, which no event has"
        )
    if values.dtype.kind == "f":
        return np.rint(values.astype(np.float64) * UNITS[unit]).astype(np.int64)
    if unit == "ns":
        return (values // 1000).astype(np.int64)
    return values.astype(np.int64) * int(UNITS[unit])


def _unit_of_whole(
    path: Path, values: npt.NDArray[Any], span: tuple[float, float], camera: bool
) -> str:
    del camera
    if _since_1970(span, "ns"):
        return "ns"
    if _since_1970(span, "ms"):
        raise DataError(
            f"{path} has times from {span[0]:.0f} on, which are milliseconds since 1970 or "
            f"microseconds; {ADVICE}"
        )
    duration = (span[1] - span[0]) / UNITS["s"]
    if duration and len(values) >= _ENOUGH and len(values) / duration > _RATES[1]:
        raise DataError(
            f"{path} has {len(values)} events within {duration * UNITS['s']:.0f}, which are hardly "
            f"microseconds; {ADVICE}"
        )
    return "us"


def _unit_of_broken(
    path: Path, values: npt.NDArray[Any], span: tuple[float, float], camera: bool
) -> str:
    for unit in ("s", "ms", "us"):
        if _since_1970(span, unit):
            return unit
    finest = _finest(values)
    # A clock of microseconds, as most sensors have it, shows in seconds as six digits.
    possible = ("s",) if finest == 1e-6 else ("s", "ms", "us")
    left = [unit for unit in possible if _plausible(unit, span, len(values), camera)]
    if len(left) == 1 or (finest is None and left[:1] == ["s"]):
        return left[0]
    units = " or ".join(_WORDS[unit] for unit in left or possible)
    raise DataError(
        f"{path} has times from {span[0]:g} to {span[1]:g}, and it is not clear whether they are "
        f"{units}; {ADVICE}"
    )


def _since_1970(span: tuple[float, float], unit: str) -> bool:
    first, last = (end * UNITS[unit] / UNITS["s"] for end in span)
    return _SINCE_1970[0] <= first and last <= _SINCE_1970[1]


def _finest(values: npt.NDArray[Any]) -> float | None:
    """The finest digit of broken numbers: thousandths, millionths, or `None` for finer ones.

    A type of few digits may lose the digit, which counts as finer too.
    """
    some = values[:: max(1, len(values) // _SOME)]
    lost = float(np.finfo(some.dtype).eps) * _ROUNDING
    some = np.abs(some.astype(np.float64))
    for digit in (1e-3, 1e-6):
        scaled = some / digit
        noise = max(lost * float(scaled.max()), 1e-9)
        if noise < 0.25 and float(np.abs(scaled - np.rint(scaled)).max()) <= noise:
            return digit
    return None


def _plausible(unit: str, span: tuple[float, float], count: int, camera: bool) -> bool:
    duration = (span[1] - span[0]) * UNITS[unit] / UNITS["s"]
    if duration > _DAY or (unit != "s" and duration < _SHORTEST):
        return False
    if count < _ENOUGH or not duration:
        return True
    slowest = _RATES[0] if camera else 0.0
    return slowest <= count / duration <= _RATES[1]
