"""The pure functions of LIF neurons."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lfp_snn import lif
from lfp_snn.rules import Epsilon

VARIANTS = list(product(("subtract", "zero", "none"), (True, False)))
variants = pytest.mark.parametrize(("reset", "delay"), VARIANTS)
RULE = Epsilon(1e-3)


def neurons(
    reset: lif.Reset = "subtract", delay: bool = True, *, threshold: float = 0.6
) -> lif.Dynamics:
    beta = torch.tensor([0.0, 0.5, 0.9, 1.0], dtype=torch.float64)
    return lif.Dynamics(beta, torch.tensor(threshold, dtype=torch.float64), reset, delay)


def noise(*shape: int, seed: int = 0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=draw, dtype=torch.float64)


def one(series: list[float], reset: lif.Reset, delay: bool, beta: float = 0.5) -> list[list[float]]:
    """Spikes and membranes of one neuron, threshold 1."""
    dynamics = lif.Dynamics(torch.tensor(beta), torch.tensor(1.0), reset, delay)
    spikes, membranes, _ = lif.forward(torch.tensor(series).view(-1, 1, 1), dynamics)
    return [spikes.flatten().tolist(), membranes.flatten().tolist()]


# Worked by hand: beta 1/2, threshold 1, currents 2, 0, 1, 1/2.
@pytest.mark.parametrize(
    ("reset", "delay", "spikes", "membranes"),
    [
        ("subtract", True, [1, 0, 0, 0], [2.0, 0.0, 1.0, 1.0]),
        ("zero", True, [1, 0, 0, 0], [2.0, 0.0, 1.0, 1.0]),
        ("none", True, [1, 0, 1, 1], [2.0, 1.0, 1.5, 1.25]),
        ("none", False, [1, 0, 1, 1], [2.0, 1.0, 1.5, 1.25]),
        ("subtract", False, [1, 0, 1, 0], [1.0, 0.5, 0.25, 0.625]),
        ("zero", False, [1, 0, 0, 0], [0.0, 0.0, 1.0, 1.0]),
    ],
)
def test_worked_by_hand(
    reset: lif.Reset, delay: bool, spikes: list[float], membranes: list[float]
) -> None:
    assert one([2.0, 0.0, 1.0, 0.5], reset, delay) == [spikes, membranes]


def test_an_undelayed_subtraction_gives_a_threshold_back() -> None:
    # 3.5 - 1 = 2.5 is still above threshold: the reset pends, 2.5*0 + 0 - 1 < 1 is silent, so +1.
    assert one([3.5, 0.0], "subtract", False, beta=0.0) == [[1, 0], [2.5, 0.0]]


def test_a_membrane_at_threshold_is_silent() -> None:
    assert one([1.0, 0.5], "none", True) == [[0, 0], [1.0, 1.0]]


@variants
def test_a_chunked_run_equals_one_run(reset: lif.Reset, delay: bool) -> None:
    dynamics, currents = neurons(reset, delay), noise(9, 3, 4)
    state = noise(3, 4, seed=1)
    spikes, membranes, last = lif.forward(currents, dynamics, state)
    assert spikes.any()
    chunks, at = [], state
    for part in torch.split(currents, [4, 1, 4]):
        *series, after = lif.forward(part, dynamics, at)
        chunks.append((part, at, *series))
        at = after
    assert torch.equal(torch.cat([chunk[2] for chunk in chunks]), spikes)
    assert torch.equal(torch.cat([chunk[3] for chunk in chunks]), membranes)
    assert torch.equal(at, last)
    assert torch.equal(last, membranes[-1])

    relevance = noise(9, 3, 4, seed=2)
    whole, first = lif.credit(relevance, membranes, currents, dynamics, RULE, state)
    found, carried = [], None
    parts = zip(reversed(chunks), reversed(torch.split(relevance, [4, 1, 4])), strict=True)
    for (part, before, _, w), r in parts:
        n, carried = lif.credit(r, w, part, dynamics, RULE, before, carried)
        found.append(n)
    torch.testing.assert_close(torch.cat(found[::-1]), whole, rtol=0, atol=0)
    assert carried is not None
    assert torch.equal(carried, first)


@variants
def test_a_constant_current_equals_its_repetition(reset: lif.Reset, delay: bool) -> None:
    dynamics, current = neurons(reset, delay), noise(1, 3, 4).abs()
    short = lif.forward(current, dynamics, steps=6)
    long = lif.forward(current.expand(6, -1, -1).contiguous(), dynamics)
    for ours, expected in zip(short, long, strict=True):
        assert torch.equal(ours, expected)
    relevance = noise(6, 3, 4, seed=2)
    ours, _ = lif.credit(relevance, short[1], current, dynamics, RULE)
    expected, _ = lif.credit(relevance, long[1], current.expand(6, -1, -1), dynamics, RULE)
    assert torch.equal(ours, expected)


@variants
def test_lengths_freeze_the_membrane(reset: lif.Reset, delay: bool) -> None:
    dynamics, currents = neurons(reset, delay), noise(6, 3, 4) + 0.5
    lengths = [6, 1, 4]
    spikes, membranes, last = lif.forward(currents, dynamics, lengths=torch.tensor(lengths))
    for b, length in enumerate(lengths):
        alone = lif.forward(currents[:length, b : b + 1], dynamics)
        assert torch.equal(spikes[:length, b], alone[0][:, 0])
        assert torch.equal(membranes[:length, b], alone[1][:, 0])
        assert not spikes[length:, b].any()
        assert (membranes[length:, b] == membranes[length - 1, b]).all()
        assert torch.equal(last[b], alone[2][0])
    # After its end a sample has neither relevance nor credit.
    relevance = noise(6, 3, 4, seed=2) * lif.running(torch.tensor(lengths), 6, 3)
    n, _ = lif.credit(relevance, membranes, currents, dynamics, RULE)
    assert not n[1:, 1].any()
    alone_n, _ = lif.credit(relevance[:4, 2:], membranes[:4, 2:], currents[:4, 2:], dynamics, RULE)
    assert torch.equal(n[:4, 2:], alone_n)


def test_running_says_which_samples_run() -> None:
    mask = lif.running(torch.tensor([3, 1]), 3, 4)
    assert mask.shape == (3, 2, 1, 1)
    assert mask.flatten(1).tolist() == [[True, True], [True, False], [True, False]]


@pytest.mark.parametrize(("reset", "delay"), [("none", True), ("subtract", True), ("zero", False)])
def test_credit_of_two_steps_worked_by_hand(reset: lif.Reset, delay: bool) -> None:
    # One neuron that stays below threshold: all variants agree.
    dynamics = lif.Dynamics(torch.tensor(0.5), torch.tensor(9.0), reset, delay)
    currents = torch.tensor([2.0, -3.0]).view(2, 1, 1)
    _, membranes, _ = lif.forward(currents, dynamics)
    relevance = torch.tensor([1.0, 4.0]).view(2, 1, 1)
    n, first = lif.credit(relevance, membranes, currents, dynamics, Epsilon(1.0))
    # t=1: v=2, p=-2: D = 2 + 4 + 1, n = 4/7, M = 4/7 * 0.5 * 2. t=0: v=0, D = 0 + 2 + 1.
    expected = [(1 + 4 / 7) / 3, 4 / 7]
    assert n.flatten().tolist() == pytest.approx(expected)
    assert first.item() == 0
    of_beta, of_threshold = lif.parameter_feedback(n, membranes, dynamics)
    assert of_beta.item() == pytest.approx(4 / 7 * 2)
    assert of_threshold.item() == 0


def test_only_a_subtraction_has_feedback_of_the_threshold() -> None:
    for (reset, delay), expected in zip(
        VARIANTS, [True, True, False, False, False, False], strict=True
    ):
        dynamics = neurons(reset, delay)  # type: ignore[arg-type]
        spikes, membranes, _ = lif.forward(3 * noise(5, 2, 4), dynamics)
        _, of_threshold = lif.parameter_feedback(noise(5, 2, 4, seed=1), membranes, dynamics)
        assert spikes.any()
        assert bool(of_threshold.any()) is expected


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    variant=st.sampled_from(VARIANTS),
    factor=st.floats(-3, 3, allow_nan=False),
)
def test_credit_is_linear_in_the_relevance(
    seed: int, variant: tuple[lif.Reset, bool], factor: float
) -> None:
    dynamics, currents = neurons(*variant), noise(5, 2, 4, seed=seed)
    _, membranes, _ = lif.forward(currents, dynamics)
    a, b = noise(5, 2, 4, seed=seed + 1), noise(5, 2, 4, seed=seed + 2)
    n_a, n_b, n_sum = (
        lif.credit(r, membranes, currents, dynamics, RULE)[0] for r in (a, b, a + factor * b)
    )
    torch.testing.assert_close(n_sum, n_a + factor * n_b, rtol=1e-9, atol=1e-9)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**16), scale=st.sampled_from([0.25, 0.5, 2.0, 8.0]))
def test_dynamics_do_not_depend_on_the_unit_of_the_membrane(seed: int, scale: float) -> None:
    currents = noise(5, 2, 4, seed=seed)
    for reset, delay in VARIANTS:
        plain, scaled = neurons(reset, delay), neurons(reset, delay, threshold=0.6 * scale)  # type: ignore[arg-type]
        spikes, membranes, _ = lif.forward(currents, plain)
        others, scaled_membranes, _ = lif.forward(scale * currents, scaled)
        assert torch.equal(spikes, others)
        torch.testing.assert_close(scaled_membranes, scale * membranes, rtol=1e-12, atol=0)


def test_the_dtype_is_kept() -> None:
    for dtype in (torch.float32, torch.float64):
        dynamics = lif.Dynamics(torch.tensor(0.9, dtype=dtype), torch.tensor(1.0, dtype=dtype))
        currents = noise(4, 2, 3).to(dtype)
        spikes, membranes, state = lif.forward(currents, dynamics)
        n, first = lif.credit(currents, membranes, currents, dynamics, RULE)
        assert {t.dtype for t in (spikes, membranes, state, n, first)} == {dtype}
