"""Values that JSON does not have, written as what it has, and read back as they were."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

__all__ = ["from_plain", "to_plain"]

_FLOAT, _PAIRS = "__float__", "__pairs__"


def to_plain(value: Any) -> Any:
    """Infinite numbers and mappings with keys that are no texts, as JSON can have them."""
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
    """Back from :func:`to_plain`; tuples are lists."""
    if isinstance(value, list):
        return [from_plain(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {_FLOAT}:
        return float(value[_FLOAT])
    if value.keys() == {_PAIRS}:
        return {key: from_plain(each) for key, each in value[_PAIRS]}
    return {key: from_plain(each) for key, each in value.items()}
