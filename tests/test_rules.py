"""LRP rules."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from lfp_snn.errors import ConfigError
from lfp_snn.rules import RULES, Epsilon


def test_epsilon_adds_the_sizes_of_both_parts() -> None:
    kept, arrived = torch.tensor([2.0, -2.0, 0.0]), torch.tensor([-1.0, -1.0, 0.0])
    assert Epsilon(0.5).denominator(kept, arrived).tolist() == [3.5, 3.5, 0.5]


def test_epsilon_is_the_published_one_unless_told() -> None:
    assert Epsilon().eps == 1e-6
    assert RULES["epsilon"](eps=0.1) == Epsilon(0.1)


def test_a_rule_does_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Epsilon().eps = 1.0  # type: ignore[misc]


@pytest.mark.parametrize("eps", [0.0, -1e-6, float("nan"), float("inf")])
def test_a_stabiliser_must_be_positive(eps: float) -> None:
    with pytest.raises(ConfigError, match="Epsilon.eps is .*expected a positive finite number"):
        Epsilon(eps)
