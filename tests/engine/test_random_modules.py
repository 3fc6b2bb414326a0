"""Modules put together at random: each runs as it does step by step, or is refused."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import snntorch as snn
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from lfp_snn import TemporalLFP
from lfp_snn.errors import LfpSnnError
from tests.engine.compare import leaky, strong, trains

UNITS, STEPS, BATCH = 4, 5, 2
Instruction = tuple[str, int, int]


class Random(nn.Module):
    """Runs a list of instructions, each on two of the values before it."""

    def __init__(self, plan: list[Instruction]) -> None:
        super().__init__()
        self.plan = plan
        self.shared = nn.ModuleList(nn.Linear(UNITS, UNITS) for _ in range(2))
        self.own = nn.ModuleList(leaky(threshold=0.4) for _ in plan)
        self.by_hand = nn.ModuleList(snn.Synaptic(alpha=0.6, beta=0.8) for _ in plan)
        self.drop, self.out, self.last = nn.Dropout(), nn.Linear(UNITS, 3), leaky(threshold=0.3)
        self.scale = nn.Parameter(torch.linspace(-1, 1, UNITS).double())
        self.states: dict[int, Any] = {}
        self.before: Any = None
        self.count = 0

    def forward(self, x: Tensor) -> Any:
        self.count += 1
        values = [x.clone()]
        for k, (name, i, j) in enumerate(self.plan):
            a, b = values[i % len(values)], values[j % len(values)]
            values.append(OPERATIONS[name](self, k, a, b))
        return self.last(self.out(values[-1]))


def by_hand(m: Any, k: int, a: Tensor, b: Tensor) -> Any:
    spikes, *m.states[k] = m.by_hand[k](a, *m.states.get(k, (None, None)))
    return spikes


def remembered(m: Any, k: int, a: Tensor, b: Tensor) -> Tensor:
    before, m.before = m.before, a
    return a if before is None else a + before


def in_a_view(m: Any, k: int, a: Tensor, b: Tensor) -> Tensor:
    a.view(-1).mul_(2)
    return a + b


def dropped_result(m: Any, k: int, a: Tensor, b: Tensor) -> Tensor:
    c = m.shared[0](a)
    c.add_(b)
    return c  # type: ignore[no-any-return]


def attended(m: Any, k: int, a: Tensor, b: Tensor) -> Tensor:
    query, key = (x.view(-1, 2, 2) for x in (a, b))
    return ((query @ key.transpose(1, 2)) @ key * 0.5).flatten(1)


def written(m: Any, k: int, a: Tensor, b: Tensor) -> Tensor:
    a[:, 1:3] = 2 * b[:, :2]  # a copy: torch does not say what overlapping parts become
    return a - b


def sliced(m: Any, k: int, a: Tensor, b: Tensor) -> Tensor:
    a = m.shared[0](a)
    a[:, :3] *= 2
    a[:, 1].add_(a[:, 0]).sub_(b[:, 3])
    return a


def assembled(m: Any, k: int, a: Tensor, b: Tensor) -> Tensor:
    whole = a.new_ones(len(a), UNITS)
    whole[:, 0] = a[:, 1]
    whole[:, 2:] = b[:, 2:]
    return whole


def attended_at_once(m: Any, k: int, a: Tensor, b: Tensor) -> Tensor:
    query, key = a.view(-1, 2, 2), b.view(-1, 2, 2)
    return F.scaled_dot_product_attention(query, key, query).flatten(1)


OPERATIONS: dict[str, Callable[[Any, int, Tensor, Tensor], Any]] = {
    "linear": lambda m, k, a, b: m.shared[k % 2](a),
    "neuron": lambda m, k, a, b: m.own[k](a),
    "by hand": by_hand,
    "add": lambda m, k, a, b: a + b,
    "subtract": lambda m, k, a, b: a - b / 2,
    "in place": lambda m, k, a, b: a.add_(b),
    "result dropped": dropped_result,
    "relu": lambda m, k, a, b: torch.relu(a),
    "maximum": lambda m, k, a, b: torch.maximum(a, b),
    "halves": lambda m, k, a, b: torch.cat([a[:, :2], b[:, 2:]], 1),
    "flip": lambda m, k, a, b: a.flip(1),
    "centre": lambda m, k, a, b: a - a.mean(1, keepdim=True).expand(a.shape),
    "view": lambda m, k, a, b: a.view(a.size(0), 2, -1).transpose(1, 2).reshape(len(a), -1),
    "typed": lambda m, k, a, b: a if isinstance(b, Tensor) and b.dim() == 2 else b,
    "mode": lambda m, k, a, b: a if m.training else b,
    "dropout": lambda m, k, a, b: m.drop(a),
    "weighed": lambda m, k, a, b: a * torch.arange(UNITS, dtype=a.dtype),
    "product": lambda m, k, a, b: a * b,
    "product in place": lambda m, k, a, b: (a + b).mul_(b),
    "outer": lambda m, k, a, b: torch.einsum("bi,bj->bij", a, b).mean(2),
    "attended": attended,
    "sigmoid": lambda m, k, a, b: a * torch.sigmoid(b),
    "excited": lambda m, k, a, b: a * m.shared[k % 2](b).mean(1, keepdim=True).sigmoid(),
    "softmax": lambda m, k, a, b: torch.softmax(a, 1),
    "scaled": lambda m, k, a, b: a * m.scale,
    "placed": lambda m, k, a, b: a + m.scale[:UNITS].abs(),
    "mapped": lambda m, k, a, b: a @ m.shared[1].weight.T,
    "clamped": lambda m, k, a, b: a.clamp(-0.5, 0.5),
    "masked": lambda m, k, a, b: a.masked_fill(torch.arange(UNITS) > 2, 0.5),
    "chosen": lambda m, k, a, b: torch.where(torch.arange(UNITS) > 1, a, b),
    "stacked": lambda m, k, a, b: torch.stack([a, b]).mean(0),
    "largest": lambda m, k, a, b: a.view(-1, 2, 2).amax(1).repeat(1, 2),
    "written": written,
    "sliced": sliced,
    "assembled": assembled,
    "attended at once": attended_at_once,
    # What no rule covers.
    "remembered": remembered,
    "counted": lambda m, k, a, b: a if m.count < 3 else a + b,
    "in a view": in_a_view,
    "quotient": lambda m, k, a, b: a / (1 + b.abs()),
    "decided": lambda m, k, a, b: a if bool(a.sum() > 0) else b,
}
#: Those that always have a rule.
COVERED = list(OPERATIONS)[: list(OPERATIONS).index("remembered")]


def stepped(net: Random, x: Tensor) -> Tensor:
    for module in net.modules():
        if isinstance(module, snn.SpikingNeuron):
            module.spike_grad = lambda distance: (distance > 0).to(distance.dtype)
    with torch.no_grad():
        return torch.stack([net(frame) for frame in x])


def plans(names: list[str]) -> st.SearchStrategy[list[Instruction]]:
    step = st.tuples(st.sampled_from(names), st.integers(0, 4), st.integers(0, 4))
    return st.lists(step, min_size=1, max_size=7)


def made(plan: list[Instruction]) -> tuple[Random, Tensor]:
    net = strong(Random(plan), seed=len(plan)).eval()
    return net, trains(STEPS, BATCH, UNITS, seed=len(plan))


def assert_accepted_and_equal(plan: list[Instruction]) -> None:
    net, x = made(plan)
    expected = stepped(copy.deepcopy(net), x)
    for backend in ("torch", "events"):
        assert torch.equal(TemporalLFP(net, backend=backend, check=False).forward(x), expected)
    assert (net.count, net.before, net.states) == (0, None, {})


def assert_equal_or_refused(plan: list[Instruction]) -> None:
    net, x = made(plan)
    expected = stepped(copy.deepcopy(net), x)
    for backend in ("torch", "events"):
        try:
            spikes = TemporalLFP(net, backend=backend).forward(x)
        except LfpSnnError:
            assert {name for name, _, _ in plan} - set(COVERED)
        else:
            assert torch.equal(spikes, expected)
    assert (net.count, net.before, net.states) == (0, None, {})


@settings(max_examples=25, deadline=None)
@example([("dropout", 0, 0), ("in place", 0, 0), ("linear", 1, 0)])  # idle, it gives its input
@given(plans(COVERED))
def test_what_has_a_rule_is_accepted_and_equal(plan: list[Instruction]) -> None:
    assert_accepted_and_equal(plan)


@settings(max_examples=25, deadline=None)
@given(plans(list(OPERATIONS)))
def test_all_else_is_equal_or_refused(plan: list[Instruction]) -> None:
    assert_equal_or_refused(plan)


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(plans(COVERED))
def test_500_of_what_has_a_rule(plan: list[Instruction]) -> None:
    assert_accepted_and_equal(plan)


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(plans(list(OPERATIONS)))
def test_500_of_all_else(plan: list[Instruction]) -> None:
    assert_equal_or_refused(plan)
