"""Layers behind a loop over time: on the record, its mean, its sum or its last step; and sums.

Each network must be the one that calls the layer at every step, and its module's own reading of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lfp_snn import TemporalLFP
from lfp_snn.errors import NetworkError
from tests.engine.compare import assert_near, assert_same_feedback, currents, run, strong
from tests.engine.test_sequences import BATCH, BETA, STEPS, exact

Read = Callable[[Any, list[Tensor]], Any]


class Headed(nn.Module):
    """One layer of neurons in a loop; ``read`` makes of their spikes what forward returns."""

    def __init__(self, read: Read, *, bias: bool = True) -> None:
        super().__init__()
        self.fc, self.lif = nn.Linear(5, 8), snn.Leaky(beta=BETA)
        self.head = nn.Linear(8, 3, bias=bias)
        self.more = nn.Linear(3, 4)
        self.norm, self.batch_norm = nn.LayerNorm(8), nn.BatchNorm1d(8)
        self.dropout = nn.Dropout(0.5)
        self.read = read

    def forward(self, x: Tensor) -> Any:
        mem, record = self.lif.init_leaky(), []
        for frame in x:
            spk, mem = self.lif(self.fc(frame), mem)
            record.append(spk)
        return self.read(self, record)


def headed(read: Read, **options: Any) -> Any:
    return exact(strong(Headed(read, **options), scale=0.8))


def assert_equal(net: Any, at_every_step: Any, look: Callable[[Tensor], Tensor], x: Tensor) -> None:
    """A network is another one whose output is read, and what it returns is that reading."""
    for backend in ("torch", "events"):
        expected, feedback = run(TemporalLFP(at_every_step, backend=backend), x)
        values, found = run(TemporalLFP(net, backend=backend), x)
        assert values.any()
        assert torch.equal(values, expected)
        assert_same_feedback(found, feedback)
    with torch.no_grad():
        assert_near(look(values), net(x))


def mean(values: Tensor) -> Tensor:
    return values.mean(0)


def last(values: Tensor) -> Tensor:
    return values[-1]


HEADS: dict[str, tuple[Read, Callable[[Tensor], Tensor]]] = {
    "mean of the stack": (lambda m, s: m.head(torch.stack(s).mean(0)), mean),
    "mean of the stack, samples first": (lambda m, s: m.head(torch.stack(s, 1).mean(1)), mean),
    "mean as a sum": (lambda m, s: m.head(sum(s) / len(s)), mean),
    "last": (lambda m, s: m.head(s[-1]), last),
    "last of the stack": (lambda m, s: m.head(torch.stack(s)[-1]), last),
    "the record": (lambda m, s: m.head(torch.stack(s)), lambda values: values),
    "the record, samples first": (
        lambda m, s: m.head(torch.stack(s).permute(1, 0, 2)),
        lambda values: values.transpose(0, 1),
    ),
    "dropout before it": (lambda m, s: m.head(m.dropout(torch.stack(s).mean(0))), mean),
}


@pytest.mark.parametrize("steps", [1, STEPS])
@pytest.mark.parametrize("name", HEADS)
def test_a_head_behind_the_loop_is_one_at_every_step(name: str, steps: int) -> None:
    read, look = HEADS[name]
    inside = headed(lambda m, s: torch.stack([m.head(each) for each in s])).eval()
    assert_equal(headed(read).eval(), inside, look, currents(steps, BATCH, 5))


TWO: dict[str, tuple[Read, Read, Callable[[Tensor], Tensor]]] = {
    "linear, linear": (
        lambda m, s: m.more(m.head(torch.stack(s).mean(0))),
        lambda m, s: torch.stack([m.more(m.head(each)) for each in s]),
        mean,
    ),
    "anything on the last step": (
        lambda m, s: m.more(torch.relu(m.head(m.norm(s[-1])))) + 0.5 * m.more(m.head(s[-1])),
        lambda m, s: torch.stack(
            [m.more(torch.relu(m.head(m.norm(each)))) + 0.5 * m.more(m.head(each)) for each in s]
        ),
        last,
    ),
}


@pytest.mark.parametrize("name", TWO)
def test_several_layers_behind_the_loop(name: str) -> None:
    read, inside, look = TWO[name]
    assert_equal(headed(read), headed(inside), look, currents(STEPS, BATCH, 5))


def test_a_head_without_a_bias_on_the_sum() -> None:
    inside = headed(lambda m, s: torch.stack([m.head(each) for each in s]), bias=False)
    net = headed(lambda m, s: m.head(torch.stack(s).sum(0)), bias=False)
    assert_equal(net, inside, lambda values: values.sum(0), currents(STEPS, BATCH, 5))


@pytest.mark.parametrize(
    ("read", "name"),
    [
        (lambda m, s: m.head(sum(s)), "head"),  # which has a bias
        (lambda m, s: m.head(torch.stack(s).amax(0)), "head"),
        (lambda m, s: m.head(torch.stack(s[:3]).mean(0)), "head"),
        (lambda m, s: m.head(torch.stack(s[3:]).mean(0)), "head"),
        (lambda m, s: m.head(2 * torch.stack(s).mean(0)), "head"),
        (lambda m, s: m.head(m.norm(torch.stack(s).mean(0))), "norm"),
        (lambda m, s: m.head(m.batch_norm(torch.stack(s).mean(0))), "batch_norm"),
        (lambda m, s: m.more(torch.relu(m.head(torch.stack(s).mean(0)))), "more"),
    ],
)
def test_what_is_no_layer_of_every_step_is_refused(read: Read, name: str) -> None:
    told = rf"^'{name}' .*comes behind the loop .*call it at every step.*linear layer on the mean"
    with pytest.raises(NetworkError, match=told):
        TemporalLFP(headed(read)).forward(currents(STEPS, BATCH, 5))


def test_statistics_of_the_last_step_alone_are_refused() -> None:
    with pytest.raises(NetworkError, match="'head' gives the output at the last step and not at"):
        TemporalLFP(headed(lambda m, s: m.head(m.batch_norm(s[-1]))))


class Total(nn.Module):
    """Sums what a layer gives; ``begin`` makes what the sum begins with, ``add`` adds to it."""

    def __init__(self, begin: Any, add: Any = lambda total, each: total + each) -> None:
        super().__init__()
        self.fc, self.lif = nn.Linear(5, 8), snn.Leaky(beta=BETA)
        self.head = nn.Linear(8, 3)
        self.begin, self.add = begin, add

    def forward(self, x: Tensor) -> Any:
        mem, total = self.lif.init_leaky(), self.begin(x)
        for frame in x:
            spk, mem = self.lif(self.fc(frame), mem)
            total = self.add(total, self.head(spk))
        return total


def in_place(total: Any, each: Tensor) -> Any:
    total += each
    return total


@pytest.mark.parametrize(
    "add", [lambda total, each: total + each, in_place], ids=["new", "in place"]
)
@pytest.mark.parametrize(
    "begin",
    [
        lambda x: 0,
        lambda x: 0.0,
        lambda x: torch.zeros(BATCH, 3, dtype=x.dtype),
        lambda x: x.new_zeros(BATCH, 3),
        lambda x: torch.zeros_like(x[0, :, :3]),
    ],
)
@pytest.mark.parametrize("steps", [1, STEPS])
def test_a_sum_of_what_a_layer_gives(begin: Any, add: Any, steps: int) -> None:
    net = exact(strong(Total(begin, add), scale=0.8))
    inside = headed(lambda m, s: torch.stack([m.head(each) for each in s]))
    for own, other in ((inside.fc, net.fc), (inside.head, net.head)):
        own.load_state_dict(other.state_dict())
    x = currents(steps, BATCH, 5)
    expected, feedback = run(TemporalLFP(inside), x)
    values, found = run(TemporalLFP(net), x)
    assert torch.equal(values, expected)
    assert_same_feedback(found, {name: feedback[name] for name in found})
    with torch.no_grad():
        assert_near(values.sum(0), net(x))


@pytest.mark.parametrize("begin", [lambda x: 1, lambda x: torch.ones(BATCH, 3, dtype=x.dtype)])
def test_a_sum_that_begins_elsewhere_is_refused(begin: Any) -> None:
    with pytest.raises(NetworkError, match="^Step 0 of Total is not the same as step .*'add'"):
        TemporalLFP(Total(begin))


# ----------------------------------------------------------------------------- crossings


class Recurrent(nn.Module):
    """Layers of which a forward makes what the test says."""

    def __init__(self, forward: Callable[[Any, Tensor], Any]) -> None:
        super().__init__()
        self.fc, self.rec, self.back = nn.Linear(5, 8), nn.Linear(8, 8), nn.Linear(3, 8)
        self.out = nn.Linear(8, 3)
        self.lif1, self.lif2 = snn.Leaky(beta=BETA), snn.Leaky(beta=BETA)
        self.own, self.last = (snn.Leaky(beta=BETA, init_hidden=True) for _ in range(2))
        self.run = forward

    def forward(self, x: Tensor) -> Any:
        return self.run(self, x)


def by_hand(m: Any, x: Tensor) -> Tensor:
    mem1, mem2, record = m.lif1.init_leaky(), m.lif2.init_leaky(), []
    spk = torch.zeros(x.shape[1], 8)
    for frame in x:
        spk, mem1 = m.lif1(m.fc(frame) + m.rec(spk), mem1)
        out, mem2 = m.lif2(m.out(spk), mem2)
        record.append(out)
    return torch.stack(record)


def from_above(m: Any, x: Tensor) -> Tensor:
    mem1, mem2, record = m.lif1.init_leaky(), m.lif2.init_leaky(), []
    out = torch.zeros(x.shape[1], 3)
    for frame in x:
        spk, mem1 = m.lif1(m.fc(frame) + m.back(out), mem1)
        out, mem2 = m.lif2(m.out(spk), mem2)
        record.append(out)
    return torch.stack(record)


def of_membranes(m: Any, x: Tensor) -> Tensor:
    mem1, record = m.lif1.init_leaky(), []
    for frame in x:
        spk, mem1 = m.lif1(m.fc(frame) + (m.rec(mem1) if mem1.numel() else 0), mem1)
        record.append(spk)
    return torch.stack(record)


def smoothed(m: Any, x: Tensor) -> Tensor:
    mem1, record, current = m.lif1.init_leaky(), [], 0
    for frame in x:
        current = 0.9 * current + m.fc(frame)
        spk, mem1 = m.lif1(current, mem1)
        record.append(spk)
    return torch.stack(record)


def twice(m: Any, x: Tensor) -> Tensor:
    mem1, record = m.lif1.init_leaky(), []
    for frame in x:
        spk, mem1 = m.lif1(m.fc(frame), mem1)
        spk, mem1 = m.lif1(m.rec(spk), mem1)
        record.append(spk)
    return torch.stack(record)


@pytest.mark.parametrize(
    ("forward", "told"),
    [
        (by_hand, "Step 1 takes the spikes of neuron 'lif1' of another step, through 'rec'; only "
         ".*let 'lif1' be snn.RLeaky or snn.RSynaptic"),
        (from_above, "Step 1 takes the spikes of neuron 'lif2' of another step, through 'back'.*"
         "no rule for those of another layer"),
        (of_membranes, "Step 1 takes a state of neuron 'lif1' of another step, through 'rec'.*"
         "no rule for membranes that feed"),
        (smoothed, "Step 1 takes what 'mul' made of another step; only the states of neurons"),
        (twice, "Neuron 'lif1' is called in several places of one step .behind 'fc' and behind "
         "'rec'.*build one neuron for each place"),
        (lambda m, x: m.own(m.rec(m.own(m.fc(x)))),
         "Neuron 'own' is called in several places of one step .behind 'fc' and behind 'rec'"),
        (lambda m, x: m.last(m.out(m.own(m.rec(m.own(m.fc(x)))))),
         "Neuron 'own' is called in several places of one step .behind 'fc' and behind 'rec'"),
    ],
)  # fmt: skip
def test_steps_that_hear_others_are_told_what_to_do(
    forward: Callable[[Any, Tensor], Any], told: str
) -> None:
    with pytest.raises(NetworkError, match=told):
        TemporalLFP(Recurrent(forward)).forward(torch.ones(STEPS, 2, 5))


def test_a_softmax_by_its_function_is_that_of_the_module() -> None:
    class Net(nn.Module):
        def __init__(self, softmax: Callable[[Tensor], Tensor]) -> None:
            super().__init__()
            self.fc, self.lif = nn.Linear(5, 8), snn.Leaky(beta=BETA, init_hidden=True)
            self.softmax = softmax

        def forward(self, x: Tensor) -> Any:
            return self.lif(self.softmax(self.fc(x)) * 4)

    x = currents(STEPS, BATCH, 5)
    expected, feedback = run(TemporalLFP(strong(Net(nn.Softmax(-1)))), x)
    spikes, found = run(TemporalLFP(strong(Net(lambda v: F.softmax(v, dim=-1)))), x)
    assert torch.equal(spikes, expected)
    assert_same_feedback(found, feedback)
