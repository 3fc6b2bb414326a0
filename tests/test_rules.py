"""LRP rules as data; the engine's tests hold them against the oracle."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from lfp_snn.errors import ConfigError
from lfp_snn.rules import (
    COMPOSITES,
    PLAIN,
    RULES,
    AlphaBeta,
    Epsilon,
    EpsilonPlusFlat,
    Flat,
    Gamma,
    Norm,
    Pass,
    Update,
    ZBox,
    ZPlus,
)

Q, KEPT = torch.tensor([2.0, -2.0, 0.0]), torch.tensor([2.0, -2.0, 0.0])
DECAYED, CURRENT = 0.5 * KEPT, torch.tensor([-3.0, 1.0, 0.0])


def test_epsilon_divides_by_the_sizes_of_both_parts() -> None:
    of_kept, n = Epsilon(0.5).split(Q, KEPT, DECAYED, CURRENT)
    # D = |v| + |p - v| + eps = 2 + 4 + .5, 2 + 2 + .5, .5
    assert torch.allclose(n, torch.tensor([2 / 6.5, -2 / 4.5, 0]))
    assert of_kept is n


def test_conserving_epsilon_splits_without_loss() -> None:
    of_kept, n = Epsilon(conserving=True).split(Q, KEPT, DECAYED, CURRENT)
    assert n.tolist() == [-0.5, -1.0, 0.0]
    assert (of_kept * DECAYED + n * CURRENT).tolist() == Q.tolist()


def test_norm_hands_out_by_size_and_pass_to_the_current_alone() -> None:
    of_kept, n = Norm().split(Q, KEPT, DECAYED, CURRENT)
    assert n.tolist() == of_kept.tolist() == [0.5, -1.0, 0.0]
    of_kept, n = Pass().split(Q, KEPT, DECAYED, CURRENT)
    assert not of_kept.any()
    assert torch.allclose(n, torch.tensor([2 / 3, -2.0, 0.0]))


def test_a_neuron_with_more_states_has_more_parts() -> None:
    parts = (DECAYED, CURRENT, torch.tensor([0.5, 0.5, 0.5]))
    credits = Epsilon(conserving=True).split(Q, KEPT, *parts)
    shared = sum(c * p for c, p in zip(credits, parts, strict=True))
    assert torch.allclose(torch.as_tensor(shared), Q)


def test_contributions_of_the_current_s_sign_are_favoured() -> None:
    n = torch.tensor([1.0, 1.0])
    positives, negatives = torch.tensor([3.0, 1.0]), torch.tensor([-1.0, -3.0])
    of_positive, of_negative = Gamma(1.0).by_sign(n, positives, negatives)
    assert torch.allclose(of_positive, torch.tensor([2 * 2 / 5, 2 / 5]))
    assert torch.allclose(of_negative, torch.tensor([2 / 5, 2 * 2 / 5]))
    of_positive, of_negative = ZPlus().by_sign(n, positives, negatives)
    assert torch.allclose(of_positive, torch.tensor([2 / 3, 0]))
    assert torch.allclose(of_negative, torch.tensor([0, 2 / 3]))
    of_positive, of_negative = AlphaBeta(2, 1).by_sign(n, positives, negatives)
    assert torch.allclose(of_positive, torch.tensor([4 / 3, 2.0]))
    assert torch.allclose(of_negative, torch.tensor([2.0, 4 / 3]))


def test_alpha_is_one_where_nothing_opposes() -> None:
    n, positives, nothing = torch.ones(1), torch.tensor([2.0]), torch.zeros(1)
    assert AlphaBeta(2, 1).by_sign(n, positives, nothing)[0].tolist() == [1.0]


def test_epsilon_is_the_published_one_unless_told() -> None:
    assert Epsilon().eps == 1e-6
    assert RULES["epsilon"]() == Epsilon(1e-6)
    assert all(kind() for kind in (*RULES.values(), *COMPOSITES.values())), "all have defaults"


def test_rules_declare_what_they_need() -> None:
    assert Epsilon().variants is PLAIN
    assert not ZPlus().of_silent
    assert Flat().of_silent
    assert ZBox().of_silent


def test_a_rule_does_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Epsilon().eps = 1.0  # type: ignore[misc]


def test_a_rule_shows_what_counts() -> None:
    assert repr(Epsilon(0.1)) == "Epsilon(eps=0.1)"
    assert repr(Gamma(2.0, conserving=True)) == "Gamma(conserving=True, gamma=2.0)"
    assert repr(EpsilonPlusFlat()).startswith("EpsilonPlusFlat(layers=(Assignment(rule=Flat(")


@pytest.mark.parametrize("eps", [0.0, -1e-6, float("nan"), float("inf")])
def test_a_stabiliser_must_be_positive(eps: float) -> None:
    with pytest.raises(ConfigError, match="Epsilon.eps is .*expected a positive finite number"):
        Epsilon(eps)


def test_parameters_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="Gamma.gamma is -1"):
        Gamma(-1)
    with pytest.raises(ConfigError, match="alpha=2 and beta=2; expected alpha - beta = 1"):
        AlphaBeta(2, 2)
    with pytest.raises(ConfigError, match="low=1 and high=0"):
        ZBox(1, 0)
    with pytest.raises(ConfigError, match="form is 'hebb'"):
        Update("hebb")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="floor is 0.1, but the form oja"):
        Update("oja", 0.1)
    with pytest.raises(ConfigError, match="floor is -1"):
        Update("lfp", -1)


WEIGHT, SUMS = torch.tensor([[0.5, 0.0], [-2.0, 1.0]]), torch.tensor([[2.0, 4.0], [1.0, -1.0]])


def test_update_forms() -> None:
    assert Update().feedback(WEIGHT, SUMS).tolist() == [[1, 0], [2, -1]]
    assert Update(floor=1.0).feedback(WEIGHT, SUMS).tolist() == [[2, 4], [2, -1]]
    assert Update("hebbian").feedback(WEIGHT, SUMS) is SUMS
    # Rows: |w.G| = 1 and |-2 - 1| = 3.
    expected = [[2 - 0.5, 4.0], [1 + 6.0, -1 - 3.0]]
    assert Update("oja").feedback(WEIGHT, SUMS).tolist() == expected
    assert Update("oja").feedback(WEIGHT[0], SUMS[0]).tolist() == SUMS[0].tolist()
    assert WEIGHT.tolist() == [[0.5, 0.0], [-2.0, 1.0]], "the weight itself is left alone"


def test_oja_s_decay_ends_at_the_length_one() -> None:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(200, 3, generator=draw) * torch.tensor([3.0, 1.0, 0.5])
    w = torch.tensor([[0.3, 0.3, 0.3]])
    for _ in range(200):
        y = x @ w.T
        w = w + 1e-3 * Update("oja").feedback(w, y.T @ x) / 10
    assert float(w.norm()) == pytest.approx(1, abs=1e-2)
    assert abs(float(w[0, 0])) > 0.98  # the first principal component
