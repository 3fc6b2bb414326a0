"""Stages without weights against the oracle: pools, reshapes, dropout and merges of branches."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lfp_snn import TemporalLFP
from lfp_snn.errors import NetworkError, ShapeError
from tests import oracle
from tests.engine.compare import (
    assert_equal_to_oracle,
    assert_near,
    currents,
    leaky,
    signals,
    strong,
    trains,
)
from tests.oracle_modules import add_module


def pooled(pool: nn.Module, *size: int, spikes: bool = True) -> Any:
    """A network in which the pool stands after a neuron, or before one (pooling currents)."""
    conv = nn.Conv1d(1, 2, 1) if len(size) == 1 else nn.Conv2d(1, 2, 1)
    with torch.no_grad():
        units = pool(torch.zeros(1, 2, *size)).numel()
    neuron = leaky(threshold=0.4)
    first = [conv, neuron, pool] if spikes else [conv, pool, neuron]
    last = [nn.Flatten(), nn.Linear(units, 3), leaky(threshold=0.5)]
    return strong(nn.Sequential(*first, *last), scale=0.8)


POOLS_2D = {
    "max": nn.MaxPool2d(2),
    "max overlapping": nn.MaxPool2d(3, stride=1),
    "max padded": nn.MaxPool2d(3, stride=2, padding=1),
    "max dilated": nn.MaxPool2d(2, stride=1, dilation=2),
    "max ceil": nn.MaxPool2d((3, 2), ceil_mode=True),
    "max adaptive": nn.AdaptiveMaxPool2d((3, 2)),
    "avg": nn.AvgPool2d(2),
    "avg overlapping": nn.AvgPool2d(3, stride=1),
    "avg padded": nn.AvgPool2d(3, stride=2, padding=1),
    "avg padded, zeros not counted": nn.AvgPool2d(3, 2, 1, count_include_pad=False),
    "avg ceil": nn.AvgPool2d((3, 2), ceil_mode=True, padding=(1, 0)),
    "avg divisor": nn.AvgPool2d(2, divisor_override=3),
    "avg adaptive": nn.AdaptiveAvgPool2d((3, None)),
}
POOLS_1D = {
    "max": nn.MaxPool1d(2),
    "max overlapping, padded": nn.MaxPool1d(3, stride=2, padding=1),
    "max ceil": nn.MaxPool1d(2, ceil_mode=True),
    "max adaptive": nn.AdaptiveMaxPool1d(3),
    "avg": nn.AvgPool1d(2),
    "avg overlapping, padded": nn.AvgPool1d(3, stride=1, padding=1),
    "avg zeros not counted": nn.AvgPool1d(3, 2, 1, count_include_pad=False),
    "avg adaptive": nn.AdaptiveAvgPool1d(3),
}


@pytest.mark.parametrize("spikes", [True, False], ids=["spikes", "currents"])
@pytest.mark.parametrize("case", POOLS_2D)
def test_pools_of_images_equal_the_oracle(case: str, spikes: bool) -> None:
    net = pooled(POOLS_2D[case], 5, 4, spikes=spikes)
    assert_equal_to_oracle(net, trains(4, 2, 1, 5, 4) if spikes else currents(4, 2, 1, 5, 4))


@pytest.mark.parametrize("spikes", [True, False], ids=["spikes", "currents"])
@pytest.mark.parametrize("case", POOLS_1D)
def test_pools_of_series_equal_the_oracle(case: str, spikes: bool) -> None:
    net = pooled(POOLS_1D[case], 7, spikes=spikes)
    assert_equal_to_oracle(net, trains(4, 2, 1, 7) if spikes else currents(4, 2, 1, 7))


def test_pooling_a_constant_input() -> None:
    net = nn.Sequential(nn.MaxPool2d(2), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(2, 3), leaky())
    assert_equal_to_oracle(strong(net, scale=2.0), currents(2, 2, 4, 4), steps=4)


def test_the_first_maximum_takes_all_of_the_credit() -> None:
    net = nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1, 1), leaky()).double()
    lfp = TemporalLFP(net)
    lfp.forward(torch.tensor([[0.0, 1.0], [1.0, 1.0]], dtype=torch.float64).view(1, 1, 1, 2, 2))
    relevance = lfp.backward(torch.ones(1, 1, 1), input_relevance=True)
    assert relevance is not None
    assert relevance.count_nonzero() == 1
    assert relevance[0, 0, 0, 0, 1] != 0


@pytest.mark.parametrize(
    ("pool", "shape", "expected"),
    [
        (nn.MaxPool2d(2), (2, 6), r"'0' \(MaxPool2d\) expects channels of 2-dim.*\(2, 6\)"),
        (nn.AvgPool1d(2), (2, 6, 6), r"'0' \(AvgPool1d\) expects channels of 1-dim.*\(2, 6, 6\)"),
        (nn.MaxPool2d(3), (2, 2, 6), r"'0' \(MaxPool2d\) expects maps.*\(2, 2, 6\)"),
        (nn.AvgPool2d(3), (2, 6, 2), r"'0' \(AvgPool2d\) expects maps.*\(2, 6, 2\)"),
    ],
)
def test_a_pool_refuses_a_wrong_shape(
    pool: nn.Module, shape: tuple[int, ...], expected: str
) -> None:
    lfp = TemporalLFP(nn.Sequential(pool, nn.Flatten(), nn.Linear(4, 2), leaky()))
    with pytest.raises(ShapeError, match=expected):
        lfp.forward(torch.ones(3, 2, *shape))


# --------------------------------------------------------------------------- dropout


def with_dropout(dropout: nn.Module) -> Any:
    first = [nn.Conv2d(1, 3, 2), leaky(threshold=0.4), dropout]
    net = nn.Sequential(*first, nn.Flatten(), nn.Linear(27, 3), leaky(threshold=0.5))
    return strong(net)


@pytest.mark.parametrize("dropout", [nn.Dropout(0.4), nn.Dropout2d(0.4)], ids=["units", "maps"])
def test_dropout_in_training_equals_the_oracle_with_one_mask(dropout: nn.Module) -> None:
    net = with_dropout(dropout).train()
    ones = torch.ones(3, 3, 3, 3, dtype=torch.float64)
    assert_equal_to_oracle(net, trains(5, 3, 1, 4, 4), mask=lambda: dropout(ones))


def test_dropout_in_evaluation_changes_nothing() -> None:
    assert_equal_to_oracle(with_dropout(nn.Dropout(0.9)).eval(), trains(5, 2, 1, 4, 4))


def test_the_mask_of_dropout_stays_over_time_and_changes_between_calls() -> None:
    # The spikes of unit i repeat the mask of input i.
    net = nn.Sequential(
        nn.Dropout(0.5), nn.Linear(40, 40, bias=False), leaky(reset_mechanism="none")
    )
    net[1].weight.data = torch.eye(40)
    lfp = TemporalLFP(net).train()
    torch.manual_seed(0)
    spikes = lfp.forward(torch.ones(6, 2, 40))
    assert 0 < spikes.mean() < 1
    assert (spikes == spikes[0]).all()
    assert not torch.equal(spikes[0, 0], spikes[0, 1])
    assert not torch.equal(spikes, lfp.forward(torch.ones(6, 2, 40)))


# ---------------------------------------------------------------------------- merges


class Residual(nn.Module):
    """Every way to merge and reshape that has a rule, in one forward."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.stem_lif = nn.Conv2d(1, 2, 2), leaky(threshold=0.4)
        self.left, self.left_lif = nn.Conv2d(2, 2, 1), leaky(threshold=0.3)
        self.right, self.right_lif = nn.Conv2d(2, 2, 3, padding=1), leaky(threshold=0.5)
        self.shared, self.shared_lif = nn.Linear(9, 9), leaky(threshold=0.5)
        self.out, self.out_lif = nn.Linear(54, 3), leaky(output=True)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        stem = self.stem_lif(self.stem(x))
        left = self.left_lif(self.left(stem))
        right = self.right_lif(self.right(stem))
        merged = torch.maximum(left, right)  # spikes: ties abound
        mixed = 0.5 * stem + merged - left / 4
        both = torch.cat([mixed, F.avg_pool2d(merged, 3, 1, 1)], dim=1)
        rows = stem.flatten(2)
        # The shared synapse is used twice, once upon itself.
        twice = self.shared_lif(self.shared(self.shared(rows)) + rows)
        flat = both.view(both.size(0), -1)
        again = twice.unsqueeze(1).squeeze(1).reshape(twice.shape[0], 18)
        spikes, membrane = self.out_lif(self.out(torch.cat((flat, again), -1)))
        return spikes, membrane


def wire_residual(net: Residual) -> Callable[[oracle.Network], None]:
    """The same network, node by node, for the oracle."""

    def wire(slow: oracle.Network) -> None:
        def add(source: oracle.Node, name: str) -> oracle.Node:
            return add_module(slow, source, net.get_submodule(name), name)

        stem = add(add(slow.input, "stem"), "stem_lif")
        left = add(add(stem, "left"), "left_lif")
        right = add(add(stem, "right"), "right_lif")
        merged = slow.maximum(left, right)
        mixed = slow.combine((0.5, stem), (1.0, merged), (-0.25, left))
        averaged = add_module(slow, merged, nn.AvgPool2d(3, 1, 1), "")
        both = slow.concatenate(mixed, averaged)
        rows = slow.reshape(stem, (2, 9))
        twice = slow.combine((1.0, add(add(rows, "shared"), "shared")), (1.0, rows))
        again = slow.reshape(add(twice, "shared_lif"), (18,))
        flat = slow.reshape(both, (36,))
        add(add(slow.concatenate(flat, again), "out"), "out_lif")

    return wire


@pytest.mark.parametrize("lengths", [None, [5, 2, 4]], ids=["whole", "lengths"])
def test_a_branched_network_equals_the_oracle(lengths: list[int] | None) -> None:
    net = Residual()
    strong(net)
    x = trains(5, 3, 1, 4, 4)
    assert_equal_to_oracle(net, x, wire_residual(net), lengths=lengths)


class Merge(nn.Module):
    """Two linear branches of the input, merged by a given function, then neurons."""

    def __init__(self, merge: Callable[[Tensor, Tensor], Tensor], out: int = 4) -> None:
        super().__init__()
        self.a, self.b, self.lif = nn.Linear(6, 4), nn.Linear(6, out), leaky(threshold=0.3)
        self.merge = merge

    def forward(self, x: Tensor) -> Tensor:
        spikes: Tensor = self.lif(self.merge(self.a(x), self.b(x)))
        return spikes


Combine = Callable[[oracle.Network, oracle.Node, oracle.Node], oracle.Node]
MERGES: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], Combine]] = {
    "a + b": (lambda a, b: a + b, lambda n, a, b: n.combine((1, a), (1, b))),
    "a - b": (lambda a, b: a - b, lambda n, a, b: n.combine((1, a), (-1, b))),
    "a + a": (lambda a, b: a + a + 0 * b, lambda n, a, b: n.combine((2, a), (0, b))),
    "add alpha": (
        lambda a, b: torch.add(a, b, alpha=3),
        lambda n, a, b: n.combine((1, a), (3, b)),
    ),
    "sub alpha": (lambda a, b: a.sub(b, alpha=2), lambda n, a, b: n.combine((1, a), (-2, b))),
    "in place": (lambda a, b: a.add_(b).mul_(2), lambda n, a, b: n.combine((2, a), (2, b))),
    "scaled": (lambda a, b: 2 * a + b / 4, lambda n, a, b: n.combine((2, a), (0.25, b))),
    "negative": (lambda a, b: -1 * a + b * 0.5, lambda n, a, b: n.combine((-1, a), (0.5, b))),
    "maximum": (torch.maximum, lambda n, a, b: n.maximum(a, b)),
    "max": (lambda a, b: torch.max(a, b), lambda n, a, b: n.maximum(a, b)),
    "method": (lambda a, b: a.maximum(b), lambda n, a, b: n.maximum(a, b)),
    "maximum with itself": (
        lambda a, b: torch.maximum(a, a) + b,
        lambda n, a, b: n.combine((1, n.maximum(a, a)), (1, b)),
    ),
    "cat": (lambda a, b: torch.cat([a, b], 1), lambda n, a, b: n.concatenate(a, b)),
    "cat keywords": (
        lambda a, b: torch.cat(tensors=[b, a], dim=-1),
        lambda n, a, b: n.concatenate(b, a),
    ),
}


@pytest.mark.parametrize("constant", [False, True], ids=["trains", "constant"])
@pytest.mark.parametrize("case", MERGES)
def test_merges_equal_the_oracle(case: str, constant: bool) -> None:
    merge, combine = MERGES[case]
    net = Merge(merge)
    strong(net)

    def wire(slow: oracle.Network) -> None:
        a, b = (add_module(slow, slow.input, getattr(net, key), key) for key in "ab")
        add_module(slow, combine(slow, a, b), net.lif, "lif")

    unused = ("b.weight", "b.bias") if case == "a + a" else ()
    x = currents(2, 6) if constant else trains(4, 2, 6)
    assert_equal_to_oracle(net, x, wire, steps=4 if constant else None, silent=unused)


@pytest.mark.parametrize("merge", [lambda a, b: a + 1 - b, lambda a, b: 1 - b + a])
def test_a_number_added_shifts_the_current(merge: Callable[[Tensor, Tensor], Tensor]) -> None:
    net = Merge(merge)
    strong(net)
    x = trains(5, 2, 6)
    plain = copy.deepcopy(net)
    plain.merge = lambda a, b: a - b
    plain.a.bias.data += 1
    lfp, shifted = TemporalLFP(net), TemporalLFP(plain)
    spikes, expected = lfp.forward(x), shifted.forward(x)
    assert torch.equal(spikes, expected)
    ours, theirs = (run.backward(signals(spikes), input_relevance=True) for run in (lfp, shifted))
    assert ours is not None
    assert theirs is not None
    assert_near(ours, theirs)


@pytest.mark.parametrize(
    ("merge", "expected"),
    [
        (lambda a, b: a + b, "'add'.*tensor a .4. must match .* tensor b .5."),
        (torch.maximum, "'maximum'.*tensor a .4. must match .* tensor b .5."),
        (lambda a, b: torch.cat([a.unsqueeze(1), b.unsqueeze(1)], 1), "'cat'.* 4 but got size 5"),
    ],
)
def test_branches_that_do_not_fit_are_refused(
    merge: Callable[[Tensor, Tensor], Tensor], expected: str
) -> None:
    lfp = TemporalLFP(Merge(merge, out=5))
    with pytest.raises(ShapeError, match=expected):
        lfp.forward(torch.ones(3, 2, 6))


@pytest.mark.parametrize(
    "merge",
    [
        lambda a, b: torch.cat([a, b]),
        lambda a, b: torch.cat([a, b], 0),
        lambda a, b: torch.cat([a, b], -2),
    ],
)
def test_joining_samples_is_refused(merge: Callable[[Tensor, Tensor], Tensor]) -> None:
    with pytest.raises(NetworkError, match=r"'cat' concatenates along the batch.*torch.cat\(\[a"):
        TemporalLFP(Merge(merge)).forward(torch.ones(3, 2, 6))


# -------------------------------------------------------------------------- reshapes


class Reshaped(nn.Module):
    """An input of shape (2, 3) or (6,), reshaped by a given function, then linear and neurons."""

    def __init__(self, change: Callable[[Tensor], Tensor], features: int = 6) -> None:
        super().__init__()
        self.fc, self.lif = nn.Linear(features, 4), leaky(threshold=0.3)
        self.change = change

    def forward(self, x: Tensor) -> Tensor:
        spikes: Tensor = self.lif(self.fc(self.change(x)))
        return spikes


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.flatten(1),
        lambda x: torch.flatten(x, start_dim=1),
        lambda x: torch.flatten(x, end_dim=2, start_dim=1),
        lambda x: x.view(x.size(0), -1),
        lambda x: x.flatten(1, 2),
        lambda x: x.reshape((x.size(0), 6)),
        lambda x: torch.reshape(x, (-1, 6)),
        lambda x: x.view(-1, 6),
        lambda x: x.unsqueeze(2).squeeze(2).contiguous().flatten(1),
        lambda x: x.unsqueeze(dim=1).squeeze(dim=1).clone().flatten(1),
        lambda x: x.flatten(1).unflatten(1, (3, 2)).flatten(1),
        lambda x: torch.unflatten(x, dim=1, sizes=(2, 1)).flatten(1),
    ],
)
def test_reshapes_keep_the_units_in_order(change: Callable[[Tensor], Tensor]) -> None:
    net = Reshaped(change)
    strong(net)

    def wire(slow: oracle.Network) -> None:
        flat = slow.reshape(slow.input, (6,))
        add_module(slow, add_module(slow, flat, net.fc, "fc"), net.lif, "lif")

    assert_equal_to_oracle(net, trains(4, 2, 2, 3), wire)


def test_unflatten_equals_the_oracle() -> None:
    layers = [nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 2, 3), leaky(), nn.Flatten(), nn.Linear(8, 2)]
    assert_equal_to_oracle(strong(nn.Sequential(*layers, leaky())), trains(4, 2, 6))


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.flatten(),
        lambda x: x.flatten(end_dim=1),
        lambda x: x.view(-1, 3),
        lambda x: x.reshape(3, 4),
        lambda x: x.unsqueeze(0),
    ],
)
def test_a_reshape_that_mixes_samples_is_refused(change: Callable[[Tensor], Tensor]) -> None:
    lfp = TemporalLFP(Reshaped(change))
    with pytest.raises(NetworkError, match=r"mixes samples.*keep axis 0.*torch.flatten\(x, 1\)"):
        lfp.forward(torch.ones(3, 2, 2, 3))


def test_a_reshape_to_the_wrong_size_is_refused() -> None:
    lfp = TemporalLFP(Reshaped(lambda x: x.view(x.size(0), 5)))
    with pytest.raises(ShapeError, match=r"\(2, 2, 3\) at 'view'.*invalid"):
        lfp.forward(torch.ones(3, 2, 2, 3))
