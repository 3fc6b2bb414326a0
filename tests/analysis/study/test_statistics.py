"""Statistics against published worked examples and scipy's own."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lfp_snn.analysis.study.statistics import holm, mean, paired

# Cushny and Peebles 1905, as in Student, *The Probable Error of a Mean*, Biometrika 1908: hours of
# sleep gained with two drugs, the same ten patients.
FIRST = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SECOND = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]


def test_students_sleep() -> None:
    """The figures that every textbook prints: t = -4.0621 on 9 degrees of freedom."""
    result = paired(FIRST, SECOND)
    assert result.difference == pytest.approx(-1.58)
    assert result.p == pytest.approx(0.002833, abs=5e-7)
    assert result.low == pytest.approx(-2.4598858, abs=5e-8)
    assert result.high == pytest.approx(-0.7001142, abs=5e-8)
    assert result.effect == pytest.approx(-4.0621 / 10**0.5, abs=1e-4)
    assert result.seeds == 10


def test_holm_as_rs_p_adjust_prints_it() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_caps_at_one_and_keeps_order() -> None:
    assert holm([0.9, 0.5, 0.8]) == [1.0, 1.0, 1.0]
    assert holm([]) == []
    assert holm([0.02]) == [0.02]


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_lies_between_none_and_bonferroni(values: list[float]) -> None:
    adjusted = holm(values)
    for raw, each in zip(values, adjusted, strict=True):
        assert raw <= each <= 1
        assert each <= max(1.0, len(values) * raw)
    order = np.argsort(values, kind="stable")
    assert all(adjusted[a] <= adjusted[b] for a, b in pairwise(order))


def test_the_mean_has_students_interval() -> None:
    values = [0.91, 0.93, 0.9, 0.94, 0.92]
    result = mean(values)
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (result.low, result.high) == pytest.approx((low, high))
    assert result.spread == pytest.approx(np.std(values, ddof=1))


def test_one_seed_has_no_interval() -> None:
    result = mean([0.5])
    assert (result.low, result.value, result.high, result.spread) == (0.5, 0.5, 0.5, 0.0)
    with pytest.raises(ValueError, match="no values"):
        mean([])
    with pytest.raises(ValueError, match="paired"):
        paired([0.5], [0.4])


def test_differences_that_do_not_vary() -> None:
    same = paired([0.5, 0.6], [0.5, 0.6])
    assert (same.difference, same.p, same.effect) == (0, 1, None)
    ahead = paired([1.0, 2.0], [0.5, 1.5])
    assert (ahead.difference, ahead.p, ahead.effect) == (0.5, 0, None)


def test_differences_that_vary_by_rounding_alone_do_not_vary() -> None:
    one, other = [0.9, 0.8, 0.7], [0.8, 0.7, 0.6]
    assert len({a - b for a, b in zip(one, other, strict=True)}) > 1
    found = paired(one, other)
    assert (found.p, found.effect) == (0.0, None)
    assert found.low == found.difference == found.high
    none = paired([0.1 + 0.2, 0.5], [0.3, 0.5])
    assert (none.difference, none.p) == (0.0, 1.0)
