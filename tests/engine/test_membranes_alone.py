"""Networks whose forward gives the membranes of their last neuron, and no spikes.

They are written as snntorch's tutorials on regression write them, or as a leaky-integrator readout.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import snntorch as snn
import torch
from snntorch import utils
from torch import Tensor, nn
from torch.nn import functional as F

from lfp_snn import TemporalLFP
from lfp_snn.data import Batch
from lfp_snn.errors import ConfigError, NetworkError
from lfp_snn.learners.homeostasis import Homeostasis, HomeostasisOptions
from lfp_snn.learners.lfp import LFP
from lfp_snn.rewards import FromMembraneLoss, MembraneCoded, RateCoded
from lfp_snn.rules import Epsilon, Rescale
from tests.engine.compare import assert_near, assert_same_feedback, currents, run, strong
from tests.engine.test_sequences import BATCH, BETA, STEPS, exact

READOUT: dict[str, Any] = {"threshold": math.inf, "reset_mechanism": "none"}
UNHEARD: dict[str, Any] = {"reset_mechanism": "none"}
Read = Callable[[list[Tensor]], Any]


class Regression(nn.Module):
    """Two layers as in the tutorial; ``read`` makes of the membranes what forward returns."""

    def __init__(self, read: Read = torch.stack, **options: Any) -> None:
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(5, 8), snn.Leaky(beta=BETA)
        self.fc2, self.lif2 = nn.Linear(8, 3), snn.Leaky(beta=BETA, **options)
        self.read = read

    def forward(self, x: Tensor) -> Any:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        record = []
        for step in range(x.shape[0]):
            spk1, mem1 = self.lif1(self.fc1(x[step]), mem1)
            _, mem2 = self.lif2(self.fc2(spk1), mem2)
            record.append(mem2)
        return self.read(record)


def network(read: Read = torch.stack, **options: Any) -> Any:
    return exact(strong(Regression(read, **options), scale=0.8))


def kept(net: Any) -> nn.Sequential:
    """The equivalent network whose neurons keep their own state, ending in a readout."""
    first = snn.Leaky(beta=BETA, init_hidden=True)
    readout = snn.Leaky(beta=BETA, init_hidden=True, output=True, **READOUT)
    return nn.Sequential(net.fc1, first, net.fc2, readout).double()


def log_softmax(membranes: Tensor) -> Tensor:
    return F.log_softmax(membranes, dim=-1)


READINGS: dict[str, Read] = {
    "stacked": torch.stack,
    "a list": lambda record: record,
    "sum": sum,
    "mean": lambda record: torch.stack(record).mean(0),
    "last": lambda record: record[-1],
    "last of the record": lambda record: torch.stack(record, 1)[:, -1],
    "max": lambda record: torch.stack(record).max(0).values,
    "amax": lambda record: torch.stack(record, 1).amax(1),
    "running max": lambda record: torch.stack(record).cummax(0)[0][-1],
    "log-softmax": lambda record: log_softmax(torch.stack(record)),
    "sum of log-softmax": lambda record: sum(log_softmax(each) for each in record),
    "log-softmax of each": lambda record: torch.stack([log_softmax(each) for each in record]),
    "log-softmax of the last": lambda record: log_softmax(record[-1]),
    "log-softmax of the max": lambda record: log_softmax(torch.stack(record).max(0)[0]),
}


@pytest.mark.parametrize("backend", ["torch", "events"])
@pytest.mark.parametrize("options", [READOUT, UNHEARD], ids=["readout", "unheard"])
@pytest.mark.parametrize("name", READINGS)
def test_every_reading_of_membranes_is_the_same_network(
    name: str, options: dict[str, Any], backend: str
) -> None:
    net, x = network(READINGS[name], **options), currents(STEPS, BATCH, 5)
    lfp = TemporalLFP(net, backend=backend)
    membranes, feedback = run(lfp, x)
    with torch.no_grad():
        stacked = torch.stack(_record(net, x))
        returned = net(x)
    assert torch.equal(membranes, stacked)
    read = READINGS[name](list(membranes))
    for ours, theirs in zip(read, returned, strict=True):
        assert torch.equal(ours, theirs)
    assert lfp.emits == "membranes"
    assert torch.equal(lfp.membranes, membranes)
    equivalent = TemporalLFP(kept(net), backend=backend)
    spikes, expected = run(equivalent, x)
    assert not spikes.any()
    assert torch.equal(equivalent.membranes, membranes)
    named = {"0": "fc1", "1": "lif1", "2": "fc2", "3": "lif2"}
    renamed = {named[key[0]] + key[1:]: each for key, each in expected.items()}
    assert_same_feedback(feedback, renamed)


def _record(net: Any, x: Tensor) -> list[Tensor]:
    read, net.read = net.read, lambda record: record
    found: list[Tensor] = net(x)
    net.read = read
    return found


@pytest.mark.parametrize("rule", [Epsilon(0.1), Rescale()], ids=["epsilon", "rescale"])
def test_a_threshold_that_nothing_looks_at_plays_no_part(rule: Any) -> None:
    x = currents(STEPS, BATCH, 5)
    expected, feedback = run(TemporalLFP(network(**READOUT), rule=rule), x)
    for threshold in (0.1, 1.0, 50.0):
        lfp = TemporalLFP(network(threshold=threshold, **UNHEARD), rule=rule)
        membranes, found = run(lfp, x)
        assert torch.equal(membranes, expected)
        assert_same_feedback(found, feedback)
        assert lfp.populations == ("lif1",)
        assert list(lfp.firing) == ["lif1"]


NEURONS: dict[str, Callable[..., Any]] = {
    "Leaky, learning": lambda **o: snn.Leaky(beta=0.8, learn_beta=True, **o),
    "Lapicque": lambda **o: snn.Lapicque(beta=0.8, **o),
    "Synaptic": lambda **o: snn.Synaptic(alpha=0.7, beta=0.8, **o),
    "Alpha": lambda **o: snn.Alpha(alpha=0.9, beta=0.8, **o),
    "RLeaky": lambda **o: snn.RLeaky(beta=0.8, linear_features=4, **o),
    "RSynaptic": lambda **o: snn.RSynaptic(alpha=0.7, beta=0.8, linear_features=4, **o),
}


class OneLayer(nn.Module):
    """One layer of any neurons, of whose states ``part`` is returned."""

    def __init__(self, neuron: Any, part: int = -1) -> None:
        super().__init__()
        self.fc, self.lif, self.part = nn.Linear(5, 4), neuron, part

    def forward(self, x: Tensor) -> Tensor:
        rests = self.lif.reset_mem()
        states = rests if isinstance(rests, tuple) else (rests,)
        record = []
        for frame in x:
            given = self.lif(self.fc(frame), *states)
            recurs = isinstance(self.lif, snn.RLeaky | snn.RSynaptic)
            states = given if recurs else given[1:]
            record.append(given[self.part])
        return torch.stack(record)


@pytest.mark.parametrize("kind", NEURONS)
def test_every_neuron_as_a_readout(kind: str) -> None:
    x, recurs = currents(STEPS, BATCH, 5), kind.startswith("R")
    for options in (READOUT, UNHEARD):
        net = exact(strong(OneLayer(NEURONS[kind](**options))))
        if recurs and options is UNHEARD:  # its spikes are heard by itself
            with pytest.raises(NetworkError, match="membranes of neuron 'lif' and not its spikes"):
                TemporalLFP(net)
            continue
        membranes, feedback = run(TemporalLFP(net), x)
        with torch.no_grad():
            assert_near(membranes, net(x))
        same, expected = run(TemporalLFP(net, backend="torch"), x)
        assert torch.equal(same, membranes)
        assert_same_feedback(feedback, expected)


def test_what_is_no_membrane_or_says_what_spikes_do_is_refused() -> None:
    def refused(neuron: Any, told: str, part: int = -1) -> None:
        with pytest.raises(NetworkError, match=told):
            TemporalLFP(OneLayer(neuron, part).double()).forward(currents(STEPS, BATCH, 5))

    refused(snn.Leaky(beta=0.8), "membranes of neuron 'lif' and not its spikes, which change them")
    learns = snn.Leaky(beta=0.8, learn_threshold=True, **UNHEARD)
    refused(learns, "'lif' .Leaky. has a threshold that learns, and the network gives its membr")
    graded = snn.Leaky(beta=0.8, graded_spikes_factor=2.0, **UNHEARD)
    refused(graded, "'lif' .Leaky. has graded spikes, and the network gives its membranes")
    refused(NEURONS["Synaptic"](**READOUT), "must return the spikes of its last neuron, its mem", 1)


@pytest.mark.parametrize(
    ("read", "name"),
    [
        (lambda record: torch.softmax(torch.stack(record), -1), "softmax"),
        (lambda record: torch.relu(torch.stack(record)), "relu"),
        (lambda record: torch.stack(record).round(), "round"),
        (lambda record: torch.stack(record) - torch.stack(record).amax(-1, True), "sub"),
        (lambda record: 2 * torch.stack(record), "mul"),
        (lambda record: F.log_softmax(torch.stack(record), 0), "log_softmax"),
        (lambda record: torch.stack(record).amin(0), "amin"),
        (lambda record: torch.stack(record).amax(-1), "amax"),
        (lambda record: torch.stack(record).max(0), "max"),
        (lambda record: torch.stack(record[::-1]), "stack"),
    ],
)
def test_what_is_no_reading_of_membranes_is_refused(read: Read, name: str) -> None:
    with pytest.raises(NetworkError, match=rf"^{name}\(\) comes behind the loop .* 'lif2' gives"):
        TemporalLFP(network(read, **READOUT)).forward(currents(STEPS, BATCH, 5))


class OneStep(nn.Module):
    """A forward of one time step, whose neurons keep their state."""

    def __init__(self, read: Callable[[Tensor], Tensor] = lambda membrane: membrane) -> None:
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(5, 8), snn.Leaky(beta=BETA, init_hidden=True)
        self.fc2 = nn.Linear(8, 3)
        self.lif2 = snn.Leaky(beta=BETA, init_hidden=True, output=True, **UNHEARD)
        self.read = read

    def forward(self, x: Tensor) -> Tensor:
        _, mem = self.lif2(self.fc2(self.lif1(self.fc1(x))))
        return self.read(mem)


def test_a_forward_of_one_step() -> None:
    x = currents(STEPS, BATCH, 5)
    expected, feedback = run(TemporalLFP(network(**UNHEARD)), x)
    for read in (lambda membrane: membrane, log_softmax):
        net = exact(strong(OneStep(read), scale=0.8))
        membranes, found = run(TemporalLFP(net), x)
        assert torch.equal(membranes, expected)
        assert_same_feedback(found, feedback)
        utils.reset(net)
        with torch.no_grad():
            assert torch.equal(torch.stack([net(frame) for frame in x]), read(expected))
    with pytest.raises(NetworkError, match="calls 'log_softmax'"):
        TemporalLFP(OneStep(lambda membrane: F.log_softmax(membrane, 0)))
    with pytest.raises(NetworkError, match="'softmax' takes the membrane of neuron 'lif2'"):
        TemporalLFP(OneStep(lambda membrane: F.softmax(membrane, 1)))


def test_the_check_compares_membranes() -> None:
    class Counting(OneStep):
        count = 0

        def forward(self, x: Tensor) -> Tensor:
            self.count += 1
            current = self.fc2(self.lif1(self.fc1(x)))
            mem: Tensor = self.lif2(current if self.count < 4 else current.detach() + 1e-3)[1]
            return mem

    with pytest.raises(NetworkError, match=r"stage 'lif2' .* gives something else first"):
        TemporalLFP(strong(Counting(), scale=0.8)).forward(currents(STEPS, BATCH, 5))


def test_chunks_and_lengths() -> None:
    x = currents(STEPS, BATCH, 5)
    lengths = torch.tensor([STEPS, 2, 4])
    whole = TemporalLFP(network(**UNHEARD))
    membranes = whole.forward(x, lengths=lengths)
    assert torch.equal(membranes[1, 1], membranes[-1, 1])
    chunked = TemporalLFP(network(**UNHEARD), memory="chunked", chunk=2)
    assert torch.equal(chunked.forward(x, lengths=lengths), membranes)
    with pytest.raises(NetworkError, match="gives the membranes of neuron 'lif2' and no spikes"):
        TemporalLFP(OneStep()).online()


def labelled(seed: int = 0) -> Batch:
    """Three classes by which inputs are active."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (30,), generator=draw)
    active = F.one_hot(labels, 5)[:, :5].float()
    x = (torch.rand(8, 30, 5, generator=draw) < 0.1 + 0.7 * active).float()
    return Batch(x, labels)


@pytest.mark.parametrize("how", ["mean", "last", "max"])
def test_a_class_is_read_as_forward_reads_the_membranes(how: str) -> None:
    net = network(READINGS[how], **UNHEARD).float()
    learner = LFP(net, Epsilon(0.1), MembraneCoded())
    batch = labelled()
    with torch.no_grad():
        expected = net(batch.x).argmax(-1)
    assert torch.equal(learner.predict(batch).classes, expected)
    short = Batch(batch.x, batch.labels, lengths=torch.full((30,), 5))
    with torch.no_grad():
        cut = net(batch.x[:5])
    assert_near(learner.scores(short), cut, 1e-6)
    assert_near(learner.estimate(short), cut, 1e-6)


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mean": lambda mem, y: F.cross_entropy(mem.mean(0), y, reduction="sum"),
    "last": lambda mem, y: F.cross_entropy(mem[-1], y, reduction="sum"),
    "max": lambda mem, y: F.cross_entropy(mem.amax(0), y, reduction="sum"),
}


@pytest.mark.parametrize("how", LOSSES)
def test_the_reward_of_a_loss_of_membranes_lowers_it(how: str) -> None:
    torch.manual_seed(0)
    net, batch = Regression(READINGS[how], **UNHEARD), labelled()
    learner = LFP(net, Rescale(), FromMembraneLoss(LOSSES[how]))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    losses = []
    for _ in range(40):
        learner.feedback(batch)
        optimizer.step()
        losses.append(float(LOSSES[how](learner.engine.membranes, batch.labels)))
    assert losses[-1] < 0.5 * losses[0]
    assert (learner.predict(labelled(1)).classes == labelled(1).labels).float().mean() > 0.9


def test_the_reward_of_cross_entropy_is_membrane_coded() -> None:
    net, batch = network(**UNHEARD).float(), labelled()
    lfp = TemporalLFP(net)
    mem = lfp.forward(batch.x)
    own = FromMembraneLoss(LOSSES["mean"])(mem, batch.labels, membranes=mem)
    assert_near(own, MembraneCoded()(mem, batch.labels, membranes=mem), 1e-6)
    with pytest.raises(ConfigError, match="leave at_silence out"):
        FromMembraneLoss(LOSSES["mean"], at_silence=True)


def test_a_regression_follows_its_targets() -> None:
    """The tutorial's: one membrane at every step, and the squared error of it."""
    torch.manual_seed(0)
    net = Regression(**UNHEARD)
    x, target = currents(20, 4, 5).float(), torch.linspace(0, 1, 20)[:, None, None].expand(20, 4, 3)
    reward = FromMembraneLoss(lambda mem, y: F.mse_loss(mem, y, reduction="sum"))
    lfp, optimizer = TemporalLFP(net), torch.optim.Adam(net.parameters(), lr=0.02)
    losses = []
    for _ in range(60):
        mem = lfp.forward(x)
        losses.append(float(F.mse_loss(mem, target)))
        lfp.backward(reward(mem, targets=target, membranes=mem))
        optimizer.step()
    assert min(losses[-5:]) < 0.3 * losses[0]


def test_it_is_neither_calibrated_nor_woken_nor_rewarded_for_spikes() -> None:
    lfp = TemporalLFP(network(**UNHEARD).float())
    assert [layer.spikes for layer in lfp.layers] == [True, False]
    woken = Homeostasis(lfp, HomeostasisOptions())
    assert [layer.name for layer in woken.layers] == ["lif1"]
    with pytest.raises(ConfigError, match="looks at spikes.*never spike"):
        LFP(network(**UNHEARD), Epsilon(), RateCoded())
