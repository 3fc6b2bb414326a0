"""Which weights go first, and that they come back."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lfp_snn.analysis.prune.criteria import magnitude, weights
from lfp_snn.analysis.prune.ranking import Scope, rank


@pytest.fixture
def two() -> nn.Sequential:
    """Weights 1 to 4, and 10 to 60."""
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 3))
    first, second = weights(net).values()
    with torch.no_grad():
        first.copy_(torch.tensor([[1.0, -3.0], [2.0, 4.0]]))
        second.copy_(torch.tensor([[10.0, -60.0], [20.0, 50.0], [-30.0, 40.0]]))
    return net


def left(net: nn.Sequential) -> list[list[float]]:
    return [sorted(w[w != 0].abs().tolist()) for w in weights(net).values()]


def test_weights_compete_in_the_network_or_in_their_layer(two: nn.Sequential) -> None:
    whole = rank(two, magnitude(two), Scope.network)
    with whole.pruned(two, 0.5):  # five of ten
        assert left(two) == [[], [20, 30, 40, 50, 60]]
    each = rank(two, magnitude(two), Scope.layer)
    with each.pruned(two, 0.5):
        assert left(two) == [[3, 4], [40, 50, 60]]
    with each.pruned(two, 1.0):
        assert left(two) == [[], []]


def test_weights_come_back_whatever_happens(two: nn.Sequential) -> None:
    before = {name: each.detach().clone() for name, each in two.named_parameters()}
    ranking = rank(two, magnitude(two), Scope.network)

    def fail() -> None:
        with ranking.pruned(two, 0.9):
            assert len(left(two)[1]) == 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert all(torch.equal(each, before[name]) for name, each in two.named_parameters())


def test_of_equal_scores_the_smaller_weight_goes_first(two: nn.Sequential) -> None:
    scores = {name: torch.zeros_like(each) for name, each in weights(two).items()}
    scores["0.weight"][0, 0] = 1.0  # the smallest weight has the only relevance
    with rank(two, scores, Scope.network).pruned(two, 0.8):
        assert left(two) == [[1], [60]]
