"""What runs always of crossed parameters."""

from __future__ import annotations

import pytest

from tests.crossed import crossed


def test_every_value_runs_always_and_every_combination_once() -> None:
    axes = {"a": range(2), "b, c": [(n, -n) for n in range(5)], "d": [pytest.param(7, id="seven")]}
    mark = crossed(*axes.items())
    names, params = mark.args
    assert names == "a,b, c,d"
    assert len({each.values for each in params}) == len(params) == 10
    always = [each.values for each in params if not each.marks]
    assert len(always) == 5
    assert {each[0] for each in always} == {0, 1}
    assert {each[1:3] for each in always} == {(n, -n) for n in range(5)}
    assert params[1].id == "0-1--1-seven"
