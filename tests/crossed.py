"""Crossed parameters: every value in each run of the tests, every combination in the slow one."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import pytest

__all__ = ["crossed"]

Axis = tuple[str, Iterable[Any]]


def crossed(*axes: Axis) -> pytest.MarkDecorator:
    """Parametrise a test by all combinations of the values of some axes.

    The combinations on the diagonal, which hold every value at least once, are run always; the
    others are marked slow.

    Args:
        axes: names of arguments, by commas, with the values that they take.
    """
    rows = [[_as_param(names, value) for value in values] for names, values in axes]
    sizes = [range(len(row)) for row in rows]
    diagonal = {tuple(n % len(size) for size in sizes) for n in range(max(map(len, sizes)))}
    return pytest.mark.parametrize(
        ",".join(names for names, _ in axes),
        [
            pytest.param(
                *(value for each in chosen for value in each.values),
                id="-".join(str(each.id) for each in chosen),
                marks=[] if place in diagonal else [pytest.mark.slow],
            )
            for place in itertools.product(*sizes)
            for chosen in [[row[number] for row, number in zip(rows, place, strict=True)]]
        ],
    )


def _as_param(names: str, value: Any) -> Any:
    """A value, which may be several, with its name."""
    if isinstance(value, type(pytest.param())):
        return value
    values = value if "," in names else (value,)
    return pytest.param(*values, id="-".join(map(_name, values)))


def _name(value: Any) -> str:
    return getattr(value, "__name__", None) or str(value)
