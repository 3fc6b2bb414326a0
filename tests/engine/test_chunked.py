"""Chunks of time: the same pass, and less memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import snntorch as snn
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from lfp_snn import Spikes, TemporalLFP
from lfp_snn.engine.chunked import chunk_length
from lfp_snn.engine.options import Memory
from lfp_snn.errors import NetworkError
from lfp_snn.rules import Epsilon, Rescale, Rule
from tests.crossed import crossed
from tests.engine.compare import (
    BACKENDS,
    assert_near,
    assert_same_feedback,
    csnn,
    currents,
    feedback_of,
    leaky,
    mlp,
    signals,
    strong,
    trains,
)

pytestmark = pytest.mark.parametrize("backend", BACKENDS)
STEPS, BATCH = 11, 3


def shape_of(build: Callable[[], nn.Module]) -> tuple[int, ...]:
    return (1, 3, 3) if build is csnn else (6,)


def learning() -> Any:
    """Neurons that learn their constants, with every reset among them."""
    layers = [nn.Linear(6, 5), leaky(learn_beta=True, learn_threshold=True)]
    layers += [nn.Linear(5, 5), leaky(reset_mechanism="zero", reset_delay=False, threshold=0.7)]
    return strong(nn.Sequential(*layers, nn.Linear(5, 3), leaky(threshold=0.5, reset_delay=False)))


def everything(
    net: nn.Module, x: Tensor | Spikes, backend: str, options: Mapping[str, Any], **memory: Any
) -> dict[str, Tensor]:
    """All that two passes give: one that is retained and sent back twice."""
    lfp = TemporalLFP(net, backend=backend, **memory)
    spikes = lfp.forward(x, **options)
    found = {"spikes": spikes, "membranes": lfp.membranes.clone()}
    found |= {f"state of {name}": w.clone() for name, w in lfp.state.items()}
    found |= {f"spikes of {name}": s.clone() for name, s in lfp.layer_spikes().items()}
    rates = torch.tensor(list(lfp.firing_rates.values()), dtype=torch.float64)
    for k in range(2):
        relevance = lfp.backward(signals(spikes), input_relevance=True, retain=k == 0)
        assert relevance is not None
        found[f"relevance {k}"] = relevance.clone()
        found |= {f"feedback {k} of {name}": f for name, f in feedback_of(net).items()}
    return found | {"rates": rates}


@crossed(
    ("build", [mlp, csnn, learning]),
    ("kind", ["dense", "spikes", "values", "constant"]),
    ("chunk", [1, 4, 11, 50, None]),
)
def test_chunks_give_what_one_piece_gives(
    backend: str, build: Callable[[], nn.Module], kind: str, chunk: int | None
) -> None:
    net, shape = build(), shape_of(build)
    dense = trains(STEPS, BATCH, *shape)
    if kind == "values":
        dense = dense * currents(STEPS, BATCH, *shape)
    x: Tensor | Spikes = dense if kind == "dense" else Spikes.from_dense(dense)
    options: dict[str, Any] = {"lengths": torch.tensor([11, 3, 8])}
    if kind == "constant":
        x, options = currents(BATCH, *shape, seed=5), {"steps": STEPS, **options}
    start = TemporalLFP(net, backend=backend)
    start.forward(x, **options)
    options["state"] = {name: w.clone() for name, w in start.state.items()}
    whole = everything(net, x, backend, options)
    parts = everything(net, x, backend, options, memory="chunked", chunk=chunk)
    assert whole.keys() == parts.keys()
    assert whole["spikes"].any()
    for name, value in whole.items():
        assert value.any(), name
        assert_near(parts[name], value, 1e-12)


@pytest.mark.parametrize(
    ("rule", "bound"),
    # Credit of both signs cancels in the sums of the second, and rounding does not.
    [(Epsilon(), 1e-6), (Rescale(), 5e-6)],
)
def test_float32_is_equal_to_a_millionth(backend: str, rule: Rule, bound: float) -> None:
    net = csnn().float()
    x = trains(200, 4, 1, 3, 3).float()
    whole, parts = (
        everything(net, x, backend, {}, memory=memory, chunk=chunk, rule=rule)
        for memory, chunk in (("full", None), ("chunked", 17))
    )
    for name, value in whole.items():
        assert_near(parts[name], value, bound)


def test_a_mask_is_drawn_once_for_all_chunks(backend: str) -> None:
    net = nn.Sequential(nn.Linear(6, 8), leaky(), nn.Dropout(0.5), nn.Linear(8, 3), leaky())
    net = strong(net)
    found = []
    for memory, chunk in (("full", None), ("chunked", 4)):
        torch.manual_seed(3)
        found.append(
            everything(net, trains(STEPS, BATCH, 6), backend, {}, memory=memory, chunk=chunk)
        )
    for name, value in found[0].items():
        assert_near(found[1][name], value, 1e-12)


def test_accumulated_and_unrecorded_passes(backend: str) -> None:
    net, x = mlp(), trains(STEPS, BATCH, 6)
    lfp = TemporalLFP(net, backend=backend, memory="chunked", chunk=4)
    spikes = lfp.forward(x)
    lfp.backward(signals(spikes))
    once = feedback_of(net)
    lfp.forward(x)
    lfp.backward(signals(spikes), accumulate=True)
    assert_same_feedback(feedback_of(net), {name: 2 * f for name, f in once.items()})
    assert torch.equal(lfp.forward(x, record=False), spikes)
    with pytest.raises(NetworkError, match="no recorded forward pass"):
        lfp.backward(signals(spikes))


def test_input_stays_as_it_is_stored(backend: str) -> None:
    lfp = TemporalLFP(mlp(), backend=backend, memory="chunked", chunk=4)
    x = trains(STEPS, BATCH, 6)
    assert torch.equal(lfp.forward(x.bool()), lfp.forward(x))
    assert lfp.backward(signals(lfp.membranes), input_relevance=True) is not None


def test_statistics_over_time_are_refused(backend: str) -> None:
    net = strong(
        nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), leaky(), nn.Linear(5, 3), leaky())
    )
    lfp = TemporalLFP(net, backend=backend, memory="chunked", chunk=4)
    x = trains(STEPS, BATCH, 6)
    with pytest.raises(NetworkError, match=r"'1' normalises .* evaluation mode, or use memory="):
        lfp.forward(x)
    net.eval()
    assert torch.equal(lfp.forward(x), TemporalLFP(net, backend=backend).forward(x))


@pytest.mark.parametrize(
    ("memory", "chunk", "budget", "message"),
    [
        ("some", None, 1, "no memory 'some'; expected full, chunked"),
        ("full", 3, 1, "chunk is 3 with memory='full'"),
        ("chunked", 0, 1, "chunk is 0"),
        ("chunked", None, 0, "budget is 0"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    backend: str, memory: Memory, chunk: int | None, budget: int, message: str
) -> None:
    with pytest.raises(NetworkError, match=message):
        TemporalLFP(mlp(), None, backend, memory=memory, chunk=chunk, budget=budget)


@given(
    steps=st.integers(1, 300),
    step=st.integers(1, 1000),
    border=st.integers(1, 1000),
    budget=st.integers(1, 10**6),
)
def test_a_chunk_is_the_longest_within_the_budget(
    backend: str, steps: int, step: int, border: int, budget: int
) -> None:
    def taken(length: int) -> float:
        return step * length + border * steps / length

    length = chunk_length(steps, step, border, budget)
    assert 1 <= length <= steps
    if taken(length) > budget:
        best = min(taken(each) for each in range(1, steps + 1))
        assert (
            taken(max(1, length)) <= budget
            or min(taken(length), taken(length + 1)) <= best * 1.0001
        )
    elif length < steps:
        assert taken(length + 1) > budget


def test_the_module_is_left_alone(backend: str) -> None:
    net = mlp()
    before = [n.mem.clone() for n in net.modules() if isinstance(n, snn.Leaky)]
    lfp = TemporalLFP(net, backend=backend, memory="chunked", chunk=2)
    lfp.backward(signals(lfp.forward(trains(5, 2, 6))))
    after = [n.mem for n in net.modules() if isinstance(n, snn.Leaky)]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
