"""Values that JSON does not have, such as infinity: written as plain values, and read back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

__all__ = ["from_plain", "to_plain"]

_FLOAT, _PAIRS = "__float__", "__pairs__"


def to_plain(value: Any) -> Any:
    """Make a value plain for JSON: infinite numbers, and mappings whose keys are no texts."""
    if isinstance(value, float) and not math.isfinite(value):
        return {_FLOAT: repr(value)}
    if isinstance(value, Mapping):
        if all(isinstance(key, str) for key in value):
            return {key: to_plain(each) for key, each in value.items()}
        return {_PAIRS: [[key, to_plain(each)] for key, each in value.items()]}
    if isinstance(value, list | tuple):
        return [to_plain(each) for each in value]
    return value


def from_plain(value: Any) -> Any:
    """Read a value that :func:`to_plain` wrote; tuples come back as lists."""
    if isinstance(value, list):
        return [from_plain(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {_FLOAT}:
        return float(value[_FLOAT])
    if value.keys() == {_PAIRS}:
        return {key: from_plain(each) for key, each in value[_PAIRS]}
    return {key: from_plain(each) for key, each in value.items()}
