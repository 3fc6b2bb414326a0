"""Populations with their norm and pool in one launch a way, against the reference stages."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from lfp_snn import TemporalLFP
from lfp_snn.rules import Assignment, Composite, Epsilon, Flat, Gamma, Rescale
from tests.engine.compare import (
    assert_near,
    assert_same_feedback,
    feedback_of,
    leaky,
    run,
    signals,
    strong,
    trains,
)
from tests.marks import needs_triton

pytestmark = needs_triton


def normed(*, pool: nn.Module | None = None) -> Any:
    """A convolution, its batch norm, neurons and a pool; another normed layer; the output."""
    pool = nn.MaxPool2d(2) if pool is None else pool
    first = [nn.Conv2d(1, 3, 2, bias=False), nn.BatchNorm2d(3), leaky(threshold=0.6)]
    second = [nn.Conv2d(3, 2, 2), nn.BatchNorm2d(2), leaky(threshold=0.6)]
    units = nn.Sequential(first[0], pool, second[0], nn.Flatten())(torch.zeros(1, 1, 7, 6)).shape[1]
    end = [nn.Flatten(), nn.Linear(units, 3), leaky(threshold=0.4)]
    return strong(nn.Sequential(*first, pool, *second, *end))


def both(net: Any, rule: Any, **options: Any) -> tuple[TemporalLFP, TemporalLFP]:
    return tuple(TemporalLFP(net, rule, kind, **options) for kind in ("triton", "torch"))  # type: ignore[return-value]


def statistics(net: nn.Module) -> list[Tensor]:
    return [value.clone() for name, value in net.named_buffers() if "running" in name]


@pytest.mark.parametrize("how", ["fixed", "through"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("rule", [Epsilon(eps=0.1), Rescale(), Rescale("window", "decay")])
def test_spikes_feedback_statistics_and_relevance_are_those_of_the_reference(
    rule: Any, training: bool, how: Any
) -> None:
    x = trains(11, 4, 1, 7, 6)
    lengths = torch.tensor([11, 9, 3, 1]) if training else None
    found: list[Any] = []
    for k in range(2):
        net = normed().train(training)
        lfp = both(net, rule, statistics=how)[k]
        spikes = lfp.forward(x, lengths=lengths)
        alive = torch.ones_like(spikes)
        if lengths is not None:
            alive = alive * (torch.arange(11)[:, None, None] < lengths[:, None])
        relevance = lfp.backward(signals(spikes) * alive, input_relevance=True, retain=True)
        found.append((spikes, relevance, feedback_of(net), lfp, statistics(net)))
    (spikes, relevance, ours, fused, ran), (expected, other, theirs, lfp, runs) = found
    assert fused.kernels == {
        **dict.fromkeys("123", "triton: norm, neurons, pool"),
        **dict.fromkeys("56", "triton: norm, neurons"),
        "9": "triton: scans",
    }
    assert "norm, neurons, pool" in repr(fused)
    assert torch.equal(spikes, expected)
    assert_near(relevance, other)
    assert_same_feedback(ours, theirs)
    for a, b in zip(ran, runs, strict=True):
        assert_near(a, b)
    for name, value in fused.layer_spikes().items():
        assert torch.equal(value, lfp.layer_spikes()[name])
    for name, value in fused.state.items():
        assert_near(value, lfp.state[name])
    assert fused.firing_rates == pytest.approx(lfp.firing_rates)


def test_chunks_a_constant_input_and_a_second_pass_by_another_rule() -> None:
    net, x = normed().eval(), trains(19, 2, 1, 7, 6)
    expected, theirs = run(TemporalLFP(net, Rescale(), "torch"), x)
    spikes, ours = run(TemporalLFP(net, Rescale(), "triton", memory="chunked", chunk=5), x)
    assert torch.equal(spikes, expected)
    assert_same_feedback(ours, theirs)
    found = []
    for lfp in both(net, Rescale()):
        spikes = lfp.forward(trains(1, 2, 1, 7, 6)[0], steps=9)
        lfp.backward(signals(spikes), retain=True)
        plain = feedback_of(net)
        lfp.backward(signals(spikes), rule=Gamma())
        found.append((spikes, plain, feedback_of(net)))
    (spikes, *ours_), (expected, *theirs_) = found
    assert torch.equal(spikes, expected)
    for a, b in zip(ours_, theirs_, strict=True):
        assert_same_feedback(a, b)


@pytest.mark.parametrize(
    "pool", [nn.MaxPool2d(2, ceil_mode=True), nn.MaxPool2d(3, 1), nn.AvgPool2d(2)]
)
def test_a_pool_that_does_not_fit_stays_by_itself(pool: nn.Module) -> None:
    net, x = normed(pool=pool).eval(), trains(9, 2, 1, 7, 6)
    fused, reference = both(net, Rescale())
    spikes, ours = run(fused, x)
    expected, theirs = run(reference, x)
    assert torch.equal(spikes, expected)
    assert_same_feedback(ours, theirs)
    fits = isinstance(pool, nn.MaxPool2d) and pool.stride == pool.kernel_size
    assert ("3" in fused.kernels) == fits


def test_relevance_beside_credit_takes_the_stages_one_by_one() -> None:
    net, x = normed().eval(), trains(9, 2, 1, 7, 6)
    rule = Composite((Assignment(Rescale(synapse=Flat()), name="4"),), default=Rescale())
    fused, reference = both(net, rule)
    _, ours = run(fused, x)
    _, theirs = run(reference, x)
    assert_same_feedback(ours, theirs)


def kept_bytes(lfp: TemporalLFP) -> int:
    """Bytes of all that a pass keeps for the way back, each storage once."""
    seen: dict[int, int] = {}
    pending: list[Any] = [lfp._pass.kept]  # type: ignore[union-attr]
    while pending:
        for each in tree_leaves(pending.pop()):
            if isinstance(each, Tensor):
                storage = each.untyped_storage()
                seen[storage._cdata] = storage.nbytes()
            elif hasattr(each, "__dict__") and type(each).__module__.startswith("lfp_snn"):
                pending.append(dict(vars(each)))
    return sum(seen.values())


def test_what_is_kept_is_a_third_of_what_the_stages_keep_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a convolution with a norm: its currents, half a byte of membranes, and bits."""
    from lfp_snn.engine import triton

    parts = [nn.Conv2d(2, 8, 3, padding=1), nn.BatchNorm2d(8), leaky(), nn.MaxPool2d(2)]
    more = [nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), leaky(), nn.Flatten()]
    net = strong(nn.Sequential(*parts, *more, nn.Linear(128, 3), leaky())).float()
    x = torch.rand(16, 2, 2, 8, 8) < 0.3
    found = []
    alone = tuple(row for row in triton.TABLE if row.name.startswith("scan"))
    for table in (triton.TABLE, alone):
        monkeypatch.setattr(triton, "TABLE", table)
        lfp = TemporalLFP(net, Rescale(), "triton", statistics="through")
        lfp.forward(x)
        found.append(kept_bytes(lfp))
    input_ = x.numel() * 4
    assert found[0] - input_ <= (found[1] - input_) / 3
