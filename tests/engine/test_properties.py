"""What holds for every input, by hypothesis."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lfp_snn import TemporalLFP
from tests.engine.compare import (
    BACKENDS,
    assert_near,
    csnn,
    feedback_of,
    mlp,
    signals,
    trains,
)

pytestmark = pytest.mark.parametrize("backend", BACKENDS)


SEEDS = st.integers(0, 2**16)
FEW = settings(max_examples=5, deadline=None)


@FEW
@given(seed=SEEDS, order=st.permutations(range(4)))
def test_the_order_of_the_batch_does_not_matter(backend: str, seed: int, order: list[int]) -> None:
    lfp, x = TemporalLFP(mlp(), backend=backend), trains(4, 4, 6, seed=seed)
    spikes = lfp.forward(x)
    reward = signals(spikes)
    relevance = lfp.backward(reward, input_relevance=True)
    feedback = feedback_of(lfp.net)
    assert torch.equal(lfp.forward(x[:, order]), spikes[:, order])
    shuffled = lfp.backward(reward[:, order], input_relevance=True)
    assert shuffled is not None
    assert relevance is not None
    assert_near(shuffled, relevance[:, order])
    for name, ours in feedback_of(lfp.net).items():
        assert_near(ours, feedback[name])


@FEW
@given(seed=SEEDS, cut=st.integers(1, 3))
def test_a_batch_in_parts_accumulates_to_the_same(backend: str, seed: int, cut: int) -> None:
    lfp, x = TemporalLFP(mlp(), backend=backend), trains(4, 4, 6, seed=seed)
    reward = signals(lfp.forward(x))
    lfp.backward(reward)
    whole = feedback_of(lfp.net)
    for part, accumulate in ((slice(cut), False), (slice(cut, None), True)):
        lfp.forward(x[:, part])
        lfp.backward(reward[:, part], accumulate=accumulate)
    for name, ours in feedback_of(lfp.net).items():
        assert_near(ours, whole[name])


@FEW
@given(seed=SEEDS, copies=st.integers(2, 4))
def test_a_repeated_sample_counts_as_often(backend: str, seed: int, copies: int) -> None:
    lfp, x = TemporalLFP(csnn(), backend=backend), trains(4, 1, 1, 3, 3, seed=seed)
    reward = signals(lfp.forward(x))
    lfp.backward(reward)
    once = feedback_of(lfp.net)
    lfp.forward(x.repeat(1, copies, 1, 1, 1))
    lfp.backward(reward.repeat(1, copies, 1))
    for name, ours in feedback_of(lfp.net).items():
        assert_near(ours, copies * once[name])


@FEW
@given(seed=SEEDS, factor=st.floats(-4, 4))
def test_feedback_is_linear_in_the_reward(backend: str, seed: int, factor: float) -> None:
    lfp = TemporalLFP(mlp(), backend=backend)
    reward = signals(lfp.forward(trains(4, 2, 6, seed=seed)))
    lfp.backward(reward, retain=True)
    once = feedback_of(lfp.net)
    lfp.backward(factor * reward)
    for name, ours in feedback_of(lfp.net).items():
        assert_near(ours, factor * once[name])


@FEW
@given(seed=SEEDS, density=st.floats(0, 1))
def test_silent_inputs_have_no_relevance(backend: str, seed: int, density: float) -> None:
    lfp, x = TemporalLFP(csnn(), backend=backend), trains(4, 2, 1, 3, 3, seed=seed, density=density)
    relevance = lfp.backward(signals(lfp.forward(x)), input_relevance=True)
    assert relevance is not None
    assert not relevance[x == 0].any()


@pytest.mark.parametrize("build", [mlp, csnn])
def test_no_input_and_no_bias_give_no_feedback(backend: str, build: Any) -> None:
    lfp = TemporalLFP(build(bias=False), backend=backend)
    spikes = lfp.forward(torch.zeros(4, 2, *((6,) if build is mlp else (1, 3, 3))))
    relevance = lfp.backward(signals(spikes), input_relevance=True)
    assert relevance is not None
    assert not spikes.any()
    assert not relevance.any()
    assert all(not value.any() for value in feedback_of(lfp.net).values())
