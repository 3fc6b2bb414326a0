"""A population in one launch a direction, against the reference taken apart; bytes moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lfp_snn import lif
from lfp_snn.backends import torch as reference
from lfp_snn.rules import Epsilon, Rescale
from lfp_snn.rules.rescale import Carry, Gate

pytest.importorskip("triton", reason="Triton is not installed")

from lfp_snn.backends.support import interpreted
from lfp_snn.backends.triton import population
from lfp_snn.backends.triton.population import Affine, CancelledCredit, Windows
from tests.backends.test_triton import VARIANTS, Traffic, draw, size
from tests.backends.test_triton import population as constants
from tests.backends.test_triton import traffic as traffic

DEVICE = "cpu" if interpreted() else "cuda"
CLOSE: dict[str, Any] = {"rtol": 1e-12, "atol": 1e-12}


@dataclass
class Case:
    """A population and what it is given; the frame is ``[C, H, W]``, or ``[N]`` without a pool."""

    currents: Tensor
    dynamics: lif.Dynamics
    pool: nn.MaxPool2d | None = None
    affine: Affine | None = None
    state: Tensor | None = None
    lengths: Tensor | None = None
    steps: int | None = None

    @property
    def windows(self) -> Windows | None:
        if self.pool is None:
            return None
        kernel: Any = self.pool.kernel_size
        high, wide = (kernel, kernel) if isinstance(kernel, int) else kernel
        channels, height, width = self.currents.shape[2:]
        windows = Windows((high, wide), (height, width), self.pool.ceil_mode, (channels,))
        assert windows.pooled == self.pool(self.currents[0]).shape[1:]
        return windows

    def forward(self) -> population.Ran:
        return population.forward(
            self.currents, self.dynamics, self.state, steps=self.steps, lengths=self.lengths,
            affine=self.affine, windows=self.windows,
        )  # fmt: skip

    def expected(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Normalised currents and ``hat``; spikes, membranes and last membranes, one by one."""
        x = self.currents.double()
        hat = x
        if self.affine is not None:
            mean, inverse, gamma, shift = (
                each.view(-1, *(1,) * (x.dim() - 3)) for each in vars(self.affine).values()
            )
            hat, x = (x - mean) * inverse, (x - mean) * (inverse * gamma) + shift
        found = lif.forward(x, self.dynamics, self.state, steps=self.steps, lengths=self.lengths)
        return x, hat, *found

    def pooled(self, spikes: Tensor) -> tuple[Tensor, Tensor | None]:
        if self.pool is None:
            return spikes, None
        values, winners = reference.max_pool(spikes.flatten(0, 1), self.pool)
        return values.view(*spikes.shape[:2], *values.shape[1:]), winners

    def unpooled(self, credit: Tensor, winners: Tensor | None, shape: torch.Size) -> Tensor:
        if winners is None:
            return credit
        maps = torch.Size((shape[0] * shape[1], *shape[2:]))
        return reference.max_pool_credit(credit.flatten(0, 1), winners, maps).view(shape)


def affine(channels: int) -> Affine:
    return Affine(*(draw(channels, seed=20 + k) + (0.1, 1, 0.8, 0.3)[k] for k in range(4)))


def check(case: Case, rule: Epsilon | Rescale, carried: Tensor | None = None) -> None:
    """Spikes equal; ``n``, what is handed on and the sums of the norm to the last digits."""
    current, hat, spikes, membranes, final = case.expected()
    values, winners = case.pooled(spikes)
    ran = case.forward()
    assert values.any()
    assert not values.all()
    assert torch.equal(ran.spikes.dense(values.dtype), values)
    assert int(ran.count) == int(spikes.sum())
    torch.testing.assert_close(ran.final, final, **CLOSE)
    credit = draw(*values.shape, seed=3)
    each = case.unpooled(credit, winners, spikes.shape)
    known = (membranes, current, case.dynamics)
    form: str
    if isinstance(rule, Rescale):
        if case.lengths is not None:  # after its end a sample has no credit
            running = lif.running(case.lengths, len(spikes), each.dim())
            each, credit = each * running, credit * running
        direct, _ = lif.at_membrane(each, None, *known, rule, case.state)
        n, handed = lif.rescale(direct, *known, rule, case.state, carried)
        form = rule.gate
    else:
        n, handed = lif.credit(spikes * each, *known, rule, case.state, carried)
        form = "spikes"
    formula = rule.at_neuron.parameters
    options: dict[str, Any] = {
        "form": form, "carry": formula.get("carry", "reference"), "eps": formula["eps"],
    }  # fmt: skip
    normed = case.affine is not None
    ours, handed_on, sums = population.backward(
        ran, credit, carried, written=n.dtype, sums=normed, **options
    )
    torch.testing.assert_close(handed_on, handed, **CLOSE)
    if case.affine is None:
        torch.testing.assert_close(ours, n, **CLOSE)
        return
    grown, spread = (
        each.view(-1, *(1,) * (n.dim() - 3)) for each in (case.affine.gamma, case.affine.inverse)
    )
    torch.testing.assert_close(ours, n * (spread * grown), **CLOSE)
    assert sums is not None
    torch.testing.assert_close(sums, torch.stack([n.sum(0), (n * hat).sum(0)]), **CLOSE)
    lost = CancelledCredit(draw(len(case.affine.mean), seed=5), draw(len(case.affine.mean), seed=6))
    a, b = (each.view(-1, *(1,) * (n.dim() - 3)) for each in (lost.common, lost.slope))
    away = a + hat * b
    if case.lengths is not None:
        away = away * lif.running(case.lengths, len(n), n.dim())
    through, _, _ = population.backward(
        ran, credit, carried, written=n.dtype, cancelled=lost, **options
    )
    torch.testing.assert_close(through, (n * grown - away) * spread, **CLOSE)


@pytest.mark.parametrize(("reset", "delay"), VARIANTS)
def test_neurons_alone_equal_the_reference(reset: str, delay: bool) -> None:
    """Over several chunks, the last of them not full, with and without all that is optional."""
    check(Case(draw(11, 3, 43), constants(reset, delay)), Epsilon(eps=0.1))
    lengths = torch.tensor([19, 8, 3], device=DEVICE)
    case = Case(
        draw(19, 3, 43), constants(reset, delay, 43), state=draw(3, 43, seed=1), lengths=lengths
    )
    check(case, Epsilon(eps=0.1), draw(3, 43, seed=2) if delay else None)


@pytest.mark.parametrize("gate", ["positive", "window"])
@pytest.mark.parametrize("carry", ["reference", "decay"])
@pytest.mark.parametrize(("reset", "delay"), VARIANTS)
def test_rescale_with_a_norm_and_a_pool_equals_the_reference(
    reset: str, delay: bool, carry: Carry, gate: Gate
) -> None:
    """Maps of 5 x 7 under windows of 2 x 2: the last row and column are pooled by none."""
    case = Case(
        draw(10, 2, 3, 5, 7), constants(reset, delay, 3, 5, 7), nn.MaxPool2d(2), affine(3),
        state=draw(2, 3, 5, 7, seed=1), lengths=torch.tensor([10, 6], device=DEVICE),
    )  # fmt: skip
    if reset == "none":
        case.dynamics.threshold.view(-1)[:1] = float("inf")
    check(case, Rescale(gate, carry), draw(2, 3, 5, 7, seed=2))


@pytest.mark.parametrize(
    "pool", [nn.MaxPool2d(2), nn.MaxPool2d((1, 3)), nn.MaxPool2d(2, ceil_mode=True)]
)
def test_windows_of_any_shape(pool: nn.MaxPool2d) -> None:
    check(Case(draw(4, 2, 3, 5, 7), constants("subtract", True), pool), Epsilon(eps=0.1))
    check(Case(draw(4, 2, 3, 5, 7), constants("zero", False), pool, affine(3)), Rescale())


def test_a_norm_over_units_and_constant_currents() -> None:
    check(Case(draw(9, 3, 7), constants("subtract", True), affine=affine(7)), Rescale())
    constant = Case(draw(1, 3, 7), constants("subtract", True, 7), affine=affine(7), steps=10)
    check(constant, Epsilon(eps=0.1))


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_currents_credit_and_n_of_half_types(half: torch.dtype) -> None:
    currents, dynamics = draw(20, 2, 9).to(half), constants("subtract", True, dtype=torch.float32)
    ran = population.forward(currents, dynamics)
    spikes, membranes, _ = lif.forward(currents.float(), dynamics)
    assert torch.equal(ran.spikes.dense(torch.float32), spikes)
    credit = draw(20, 2, 9, seed=3).to(half)
    options: dict[str, Any] = {"form": "spikes", "carry": "reference", "eps": 0.1}
    n, handed, _ = population.backward(ran, credit, None, written=half, **options)
    expected, _ = lif.credit(
        spikes * credit.float(), membranes, currents.float(), dynamics, Epsilon(eps=0.1)
    )
    assert n is not None
    assert (n.dtype, handed.dtype) == (half, torch.float32)
    torch.testing.assert_close(n, expected.to(half), rtol=1e-2, atol=1e-3)


# ------------------------------------------------------------------------------ bytes


def bytes_of(
    traffic: Traffic, case: Case, kind: torch.dtype, form: str, *, sums: bool = False
) -> tuple[float, float]:
    """Bytes moved as a multiple of the least, forwards and backwards.

    The least: each current is read once a direction, credit as often as it leaves as a spike, ``n``
    is written once in the type of the products, and of the spikes there is one bit.
    """
    ran = case.forward()
    parts = () if case.affine is None else tuple(vars(case.affine).values())
    given = (case.currents, case.dynamics.beta, case.dynamics.threshold, *parts)
    least = size(*given, ran.final) + ran.spikes.shape.numel() / 8
    forwards, traffic.bytes = traffic.bytes / least, 0
    credit = torch.ones(ran.spikes.shape, dtype=kind, device=DEVICE)
    n, handed, totals = population.backward(
        ran, credit, None, form=form, carry="decay", eps=0.1, written=kind, sums=sums
    )
    # Under a gate that hardly shuts nearly all credit is read; of a window under a pool, all.
    least = size(*given, n, handed, totals, credit)
    return forwards, traffic.bytes / least


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_bytes_of_neurons_alone(traffic: Traffic, kind: torch.dtype) -> None:
    currents = draw(32, 4, 256, dtype=torch.float32).abs().to(kind)
    case = Case(currents, constants("subtract", True, dtype=torch.float32))
    forwards, backwards = bytes_of(traffic, case, kind, "positive")
    assert 0.9 <= forwards <= 1.2
    assert 0.9 <= backwards <= 1.2


def test_bytes_of_a_norm_and_a_pool(traffic: Traffic) -> None:
    currents = draw(32, 2, 4, 8, 8, dtype=torch.float32).abs()
    parts = Affine(*(each.float() for each in vars(affine(4)).values()))
    dynamics = constants("subtract", True, dtype=torch.float32)
    case = Case(currents, dynamics, nn.MaxPool2d(2), parts)
    forwards, backwards = bytes_of(traffic, case, torch.float32, "positive", sums=True)
    assert 0.9 <= forwards <= 1.2
    assert 0.9 <= backwards <= 1.2


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_a_neuron_step_moves_what_the_roofline_says(traffic: Traffic, kind: torch.dtype) -> None:
    """Scans alone: two currents, credit and ``n``, a bit, and half a byte of borders each way."""
    currents = draw(64, 4, 256, dtype=torch.float32).abs().to(kind)
    case = Case(currents, constants("subtract", True, dtype=torch.float32))
    ran = case.forward()
    credit = torch.ones(ran.spikes.shape, dtype=kind, device=DEVICE)
    population.backward(ran, credit, None, form="positive", carry="decay", eps=0.1, written=kind)
    each = traffic.bytes / currents.numel()
    assert each <= 4 * kind.itemsize + 1 / 8 + 1 + 0.2  # the last: membranes at both ends of T
    kept = size(ran.currents, ran.spikes.packed, ran.borders) / currents.numel()
    assert kept <= kind.itemsize + 1 / 8 + 0.5
