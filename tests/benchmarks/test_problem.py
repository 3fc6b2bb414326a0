from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.steps.contenders import Ours
from benchmarks.steps.problem import NETWORKS, Network, recorded, synthetic

TINY = Network("mlp", {"hidden": [40]}, 4)


def test_activity_and_firing_are_as_asked_for() -> None:
    problem = synthetic(TINY, batch=8, steps=20, density=0.2, firing=0.2)
    assert problem.x.density == pytest.approx(0.2, rel=0.05)
    contender = Ours()
    contender.prepare(problem)
    assert contender.firing() == pytest.approx((0.2, 0.2), rel=0.25)


def test_a_problem_is_the_same_every_time_and_leaves_the_random_state_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    first, second = (synthetic(TINY, batch=2, steps=4, density=0.3) for _ in range(2))
    assert torch.equal(torch.rand(2), expected)
    assert first.x == second.x
    assert all(torch.equal(first.weights[key], second.weights[key]) for key in first.weights)


def test_every_build_is_a_network_of_its_own_with_the_same_weights() -> None:
    problem = synthetic(TINY, batch=2, steps=4, density=0.3)
    first, second = problem.build(), problem.build()
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.zero_()
    for name, value in second.state_dict().items():
        assert torch.equal(value, problem.weights[name])
    assert any(bool(value.any()) for value in problem.weights.values())


def test_more_firing_than_can_be_calibrated_is_not_asked_for() -> None:
    problem = synthetic(TINY, batch=4, steps=10, density=0.5, firing=0.5)
    contender = Ours()
    contender.prepare(problem)
    assert all(0.3 < rate < 0.5 for rate in contender.firing())


def test_real_recordings_are_used_where_they_are(real_data, tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    folder: Path = real_data("NMNIST")
    monkeypatch.setenv("LFP_SNN_CACHE", str(tmp_path))
    batch, source = recorded(folder.parent, 3, steps=4)
    assert "N-MNIST" in source
    assert batch.x.shape == (4, 3, 2, 34, 34)


def test_networks_are_those_of_the_published_table() -> None:
    assert {name: network.batch for name, network in NETWORKS.items()} == {"mlp": 100, "csnn": 50}
    assert NETWORKS["mlp"].options["hidden"] == [1000]
