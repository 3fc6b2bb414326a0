"""Layers before a loop over time that take all steps as one batch: layers of the step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from lfp_snn import TemporalLFP
from lfp_snn.errors import NetworkError
from tests.engine.compare import assert_same_feedback, run, strong
from tests.engine.test_sequences import BETA, exact

T, B = 4, 2
Before = Callable[[Any, Tensor], Tensor]


class Net(nn.Module):
    """``before`` is called on the whole sequence, with time as its ``axis``, or in the loop."""

    def __init__(self, before: Before, axis: int = 0, *, inside: bool = False) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.pool, self.linear = nn.MaxPool2d(2), nn.Linear(16, 16)
        self.lif1, self.fc, self.lif2 = snn.Leaky(beta=BETA), nn.Linear(16, 3), snn.Leaky(beta=BETA)
        self.before, self.axis, self.inside = before, axis, inside

    def forward(self, x: Tensor) -> Tensor:
        frames = (x if self.inside else self.before(self, x)).unbind(self.axis)
        mem1, mem2, record = self.lif1.init_leaky(), self.lif2.init_leaky(), []
        for frame in frames:
            current = self.before(self, frame) if self.inside else frame
            spk, mem1 = self.lif1(current, mem1)
            spk, mem2 = self.lif2(self.fc(spk.flatten(1)), mem2)
            record.append(spk)
        return torch.stack(record)


def split(values: Any, sizes: Sequence[int]) -> Tensor:
    """Two axes of the leading one."""
    found: Tensor = values.unflatten(0, tuple(sizes))
    return found


def maps(net: Any, x: Tensor) -> Tensor:
    pooled: Tensor = net.pool(net.norm(net.conv(x)))
    return pooled


def flat(net: Any, x: Tensor) -> Tensor:
    values: Tensor = net.linear(torch.relu(net.pool(net.conv(x))).flatten(1))
    return values


def flat_by_view(net: Any, x: Tensor) -> Tensor:
    values: Tensor = net.linear(torch.relu(net.pool(net.conv(x))).view(x.shape[0], -1))
    return values


CASES: dict[str, tuple[Before, Before, int]] = {
    "flatten": (lambda m, x: split(maps(m, x.flatten(0, 1)), x.shape[:2]), maps, 0),
    "samples first": (lambda m, x: split(maps(m, x.flatten(0, 1)), x.shape[:2]), maps, 1),
    "view": (
        lambda m, x: maps(m, x.view(-1, *x.shape[2:])).view(*x.shape[:2], 4, 2, 2).contiguous(),
        maps,
        0,
    ),
    "reshape": (
        lambda m, x: maps(m, x.reshape(x.shape[0] * x.shape[1], 1, 4, 4)).reshape(
            x.shape[0], x.shape[1], 4, 2, 2
        ),
        maps,
        0,
    ),
    "flat rows, viewed as maps": (
        lambda m, x: maps(m, x.flatten(2).view(T * B, 1, 4, 4)).view(*x.shape[:2], 4, 2, 2),
        maps,
        0,
    ),
    "flat rows of samples first, reshaped": (
        lambda m, x: split(maps(m, x.flatten(2).reshape(-1, 1, 4, 4)), x.shape[:2]),
        maps,
        1,
    ),
    "rows of maps": (
        lambda m, x: m.linear(x.flatten(2)),
        lambda m, x: m.linear(x.flatten(1)),
        0,
    ),
    "rows by view, samples first": (
        lambda m, x: m.linear(x.view(*x.shape[:2], -1)),
        lambda m, x: m.linear(x.flatten(1)),
        1,
    ),
    "flattened maps": (lambda m, x: split(flat(m, x.flatten(0, 1)), x.shape[:2]), flat, 0),
    "viewed maps": (
        lambda m, x: split(flat_by_view(m, x.flatten(0, 1)), x.shape[:2]),
        flat,
        0,
    ),
}


def images(axis: int = 0) -> Tensor:
    x = 2 * torch.rand(T, B, 1, 4, 4, generator=torch.Generator().manual_seed(0)).double()
    return x.transpose(0, 1).contiguous() if axis else x


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_all_steps_as_one_batch(name: str, training: bool) -> None:
    """In training batch normalisations take the statistics of all steps, as those of LFP do."""
    before, at_step, axis = CASES[name]
    inside = strong(Net(at_step, inside=True), scale=0.8).train(training)
    expected, feedback = run(TemporalLFP(inside), images())
    for backend in ("torch", "events"):
        net = exact(strong(Net(before, axis), scale=0.8)).train(training)
        with torch.no_grad():
            assert torch.equal(net(images(axis)), expected)
        spikes, found = run(TemporalLFP(net, backend=backend), images(axis))
        assert spikes.any()
        assert torch.equal(spikes, expected)
        assert_same_feedback(found, feedback)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda v: v.flip(0), "Stage 'flip' mixes samples"),
        (lambda v: v.cumsum(0), "Stage 'cumsum' mixes samples"),
        (lambda v: v.softmax(0), "softmax over samples"),
        (lambda v: v[torch.arange(len(v) - 1, -1, -1)], "'getitem' takes the whole sequence"),
        (lambda v: v * torch.arange(len(v)).view(-1, 1, 1, 1), "'mul' takes the whole sequence"),
        (lambda v: v - v.mean(0), "is not the same as step"),
    ],
)
def test_what_mixes_steps_is_refused(change: Callable[[Tensor], Tensor], told: str) -> None:
    def before(net: Any, x: Tensor) -> Tensor:
        return split(change(maps(net, x.flatten(0, 1))), x.shape[:2])

    with pytest.raises(NetworkError, match=told):
        TemporalLFP(strong(Net(before))).forward(images())


def test_axes_that_change_places_are_refused() -> None:
    def before(net: Any, x: Tensor) -> Tensor:
        return split(maps(net, x.flatten(0, 1)), (x.shape[1], x.shape[0]))

    with pytest.raises(NetworkError, match="'flatten' takes the whole sequence before the loop"):
        TemporalLFP(strong(Net(before))).forward(images())
