"""Streams in chunks, and samples of different lengths."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from lfp_snn import Spikes, TemporalLFP
from tests.engine.compare import (
    BACKENDS,
    assert_near,
    assert_same_feedback,
    csnn,
    currents,
    feedback_of,
    mlp,
    signals,
    trains,
)

pytestmark = pytest.mark.parametrize("backend", BACKENDS)


@pytest.mark.parametrize("chunks", [(3, 4), (1, 1, 5), (7,)])
@pytest.mark.parametrize("build", [mlp, csnn])
def test_a_stream_in_chunks_equals_one_run(
    backend: str, build: Callable[[], nn.Module], chunks: tuple[int, ...]
) -> None:
    x = trains(7, 2, *((6,) if build is mlp else (1, 3, 3)))
    lfp = TemporalLFP(build(), backend=backend)
    whole = lfp.forward(x)
    membranes, last = lfp.membranes.clone(), lfp.state
    state, spikes, seen = None, [], []
    for chunk in torch.split(x, list(chunks)):
        spikes.append(lfp.forward(chunk, state=state))
        seen.append(lfp.membranes.clone())
        state = lfp.state
    assert torch.equal(torch.cat(spikes), whole)
    assert_near(torch.cat(seen), membranes)
    assert state is not None
    assert state.keys() == last.keys()
    for name, membrane in state.items():
        assert_near(membrane, last[name])


def test_forward_starts_from_rest_and_leaves_a_given_state_alone(backend: str) -> None:
    lfp, x = TemporalLFP(mlp(), backend=backend), trains(4, 2, 6)
    first = lfp.forward(x)
    state = {name: w.clone() for name, w in lfp.state.items()}
    given_state = {name: w.clone() for name, w in state.items()}
    lfp.backward(signals(lfp.forward(x, state=given_state)))
    assert all(torch.equal(given_state[name], state[name]) for name in state)
    assert torch.equal(lfp.forward(x), first)


@pytest.mark.parametrize("kind", ["dense", "spikes", "constant"])
@pytest.mark.parametrize("build", [mlp, csnn])
def test_lengths_equal_each_sample_alone(
    backend: str, build: Callable[[], nn.Module], kind: str
) -> None:
    shape = (6,) if build is mlp else (1, 3, 3)
    lengths = [5, 1, 3]
    lfp = TemporalLFP(build(), backend=backend)
    constant = kind == "constant"
    x = currents(3, *shape, seed=5) if constant else trains(5, 3, *shape)
    whole: Tensor | Spikes = Spikes.from_dense(x) if kind == "spikes" else x
    steps = 5 if constant else None
    spikes = lfp.forward(whole, steps=steps, lengths=torch.tensor(lengths))
    membranes, reward = lfp.membranes.clone(), signals(spikes)
    relevance = lfp.backward(reward, input_relevance=True)
    assert relevance is not None
    if isinstance(whole, Spikes):
        relevance = Spikes(whole.indptr, whole.indices, whole.shape, relevance).dense()
    ours = feedback_of(lfp.net)
    for b, length in enumerate(lengths):
        alone = slice(b, b + 1)
        part = x[alone] if constant else x[:length, alone]
        own = lfp.forward(part, steps=length if constant else None)
        assert torch.equal(spikes[:length, alone], own)
        assert not spikes[length:, alone].any()
        assert_near(membranes[:length, alone], lfp.membranes)
        expected = lfp.backward(reward[:length, alone], input_relevance=True, accumulate=b > 0)
        assert expected is not None
        assert_near(relevance[alone] if constant else relevance[:length, alone], expected)
    if not constant:
        assert not relevance[3:, 2].any()
    assert_same_feedback(ours, feedback_of(lfp.net))
