"""Forwards that keep their neurons' states by hand, or loop over time: run unchanged.

Each is written as public code for snntorch writes it. Spikes must be those of the module, and the
feedback that of the equivalent network whose neurons keep their own state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import snntorch as snn
import torch
from snntorch import utils
from torch import Tensor, nn
from torch.nn import functional as F

from lfp_snn import Spikes, TemporalLFP
from lfp_snn.errors import NetworkError, ShapeError
from tests.engine.compare import assert_near, assert_same_feedback, currents, run, signals, strong

STEPS, BATCH, BETA = 6, 3, 0.9
Neuron = Callable[..., Any]


class Base(nn.Module):
    """Two layers, as in snntorch's tutorial 5; their neurons do not keep their state."""

    def __init__(self, neuron: Neuron = snn.Leaky, **options: Any) -> None:
        super().__init__()
        self.fc1 = nn.Linear(5, 8)
        self.lif1 = neuron(beta=BETA, **options)
        self.fc2 = nn.Linear(8, 3)
        self.lif2 = neuron(beta=BETA, **options)


class Tutorial5(Base):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mem1 = self.lif1.init_leaky()
        mem2 = self.lif2.init_leaky()

        spk2_rec = []
        mem2_rec = []

        for _step in range(STEPS):
            cur1 = self.fc1(x)
            spk1, mem1 = self.lif1(cur1, mem1)
            cur2 = self.fc2(spk1)
            spk2, mem2 = self.lif2(cur2, mem2)
            spk2_rec.append(spk2)
            mem2_rec.append(mem2)

        return torch.stack(spk2_rec, dim=0), torch.stack(mem2_rec, dim=0)


class OverSteps(Base):
    def forward(self, x: Tensor) -> Tensor:
        mem1, mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
        out = []
        for step in range(x.size(0)):
            spk1, mem1 = self.lif1(self.fc1(x[step]), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            out.append(spk2)
        return torch.stack(out)


class OverFrames(Base):
    """Sums what it sees in the loop."""

    def forward(self, x: Tensor) -> Tensor:
        mem1 = mem2 = None
        total: Any = 0
        for frame in x:
            spk1, mem1 = self.lif1(self.fc1(frame), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            total = total + spk2
        mean: Tensor = total / len(x)
        return mean


class BatchFirst(Base):
    """Writes into a record that was made beforehand."""

    def forward(self, x: Tensor) -> Tensor:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        record = torch.zeros(x.shape[0], x.shape[1], 3, dtype=x.dtype)
        for t in range(x.shape[1]):
            spk1, mem1 = self.lif1(self.fc1(x[:, t]), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            record[:, t] = spk2
        return record.mean(1)


class Permuted(Base):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = x.permute(1, 0, 2)
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        record = []
        for t in range(len(x)):
            spk1, mem1 = self.lif1(self.fc1(x[t, :]), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            record += [spk2]
        return torch.stack(record, 1).sum(1), spk2


class LastStep(Base):
    def forward(self, x: Tensor) -> Tensor:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        for frame in x.unbind(0):
            spk1, mem1 = self.lif1(self.fc1(frame), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
        out: Tensor = spk2
        return out


class States(Base):
    """States that are passed in and out, in another order."""

    def forward(self, x: Tensor, mem2: Tensor, mem1: Tensor) -> tuple[Tensor, ...]:
        spk1, mem1 = self.lif1(self.fc1(x), mem1)
        spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
        return mem1, spk2, mem2


class OptionalState(Base):
    def forward(self, x: Tensor, state: Any = None) -> Any:
        mem1, mem2 = state if state is not None else (None, None)
        spk1, mem1 = self.lif1(self.fc1(x), mem1)
        spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
        return spk2, (mem1, mem2)


class OnSelf(Base):
    """States kept on the module."""

    def __init__(self) -> None:
        super().__init__()
        self.mem1 = self.lif1.init_leaky()
        self.mem2: Any = None

    def forward(self, x: Tensor) -> Tensor:
        spk1, self.mem1 = self.lif1(self.fc1(x), self.mem1)
        if self.mem2 is None:
            self.mem2 = self.lif2.reset_mem()
        spk2, self.mem2 = self.lif2(self.fc2(spk1), self.mem2)
        out: Tensor = spk2
        return out


class Wrapped(nn.Module):
    """Tutorial 6's loop, around a network of one step."""

    def __init__(self) -> None:
        super().__init__()
        layers = [nn.Linear(5, 8), snn.Leaky(beta=BETA, init_hidden=True), nn.Linear(8, 3)]
        self.net = nn.Sequential(*layers, snn.Leaky(beta=BETA, init_hidden=True, output=True))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        utils.reset(self.net)
        spk_rec, mem_rec = [], []
        for step in range(x.size(0)):
            spk, mem = self.net(x[step])
            spk_rec.append(spk)
            mem_rec.append(mem)
        return torch.stack(spk_rec), torch.stack(mem_rec)


def exact(net: Any) -> Any:
    """Spikes in the type of the membrane; snntorch's are in float32, also in a float64 network."""
    for module in net.modules():
        if isinstance(module, snn.SpikingNeuron):
            module.spike_grad = lambda distance: (distance > 0).to(distance.dtype)
    return net


def one_step(net: Any) -> nn.Sequential:
    """The equivalent network whose neurons keep their own state, with the same weights."""
    if isinstance(net, Wrapped):
        return net.net
    first, second = (snn.Leaky(beta=BETA, init_hidden=True) for _ in range(2))
    return nn.Sequential(net.fc1, first, net.fc2, second)


FIRST = (OverSteps, OverFrames, LastStep, States, OptionalState, OnSelf, Wrapped)
SECOND = (BatchFirst, Permuted)


@pytest.mark.parametrize("backend", ["torch", "events"])
@pytest.mark.parametrize("kind", [Tutorial5, *FIRST, *SECOND])
def test_a_forward_by_hand_equals_neurons_that_keep_their_state(
    kind: type[nn.Module], backend: str
) -> None:
    net = strong(kind(), scale=0.8)
    constant = kind is Tutorial5
    x = currents(BATCH, 5) if constant else currents(STEPS, BATCH, 5)
    own = x.transpose(0, 1) if kind in SECOND else x
    equivalent = TemporalLFP(one_step(net), backend=backend)
    expected = equivalent.forward(x, steps=STEPS if constant else None)
    assert expected.any()
    reward = signals(expected)
    of_input = equivalent.backward(reward, input_relevance=True)
    feedback = [p.feedback.clone() for p in one_step(net).parameters()]  # type: ignore[attr-defined]
    lfp = TemporalLFP(net, backend=backend)
    assert torch.equal(lfp.forward(own), expected)
    relevance = lfp.backward(reward, input_relevance=True)
    assert relevance is not None
    assert of_input is not None
    assert_near(relevance, of_input.transpose(0, 1) if kind in SECOND else of_input)
    for parameter, known in zip(one_step(net).parameters(), feedback, strict=True):
        assert known.any()
        assert_near(parameter.feedback, known)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("kind", "read"),
    [
        (Tutorial5, lambda spikes: spikes),
        (OverSteps, lambda spikes: spikes),
        (OverFrames, lambda spikes: spikes.mean(0)),
        (BatchFirst, lambda spikes: spikes.mean(0)),
        (Permuted, lambda spikes: spikes.sum(0)),
        (LastStep, lambda spikes: spikes[-1]),
        (Wrapped, lambda spikes: spikes),
    ],
)
def test_spikes_are_those_of_the_module(
    kind: type[nn.Module], read: Callable[[Tensor], Tensor]
) -> None:
    net = exact(strong(kind(), seed=3, scale=0.8))
    x = currents(BATCH, 5) if kind is Tutorial5 else currents(STEPS, BATCH, 5)
    x = x.transpose(0, 1) if kind in SECOND else x
    spikes = TemporalLFP(net).forward(x)
    assert spikes.shape == (STEPS, BATCH, 3)
    with torch.no_grad():
        returned = net(x)
    assert_near(read(spikes), returned[0] if isinstance(returned, tuple) else returned)


class ByHand(nn.Module):
    """One layer of any neurons, whose states are threaded through a loop."""

    def __init__(self, neuron: Any) -> None:
        super().__init__()
        self.fc, self.lif = nn.Linear(5, 4), neuron

    def forward(self, x: Tensor) -> Tensor:
        rests = self.lif.reset_mem()
        states = rests if isinstance(rests, tuple) else (rests,)
        record = []
        for frame in x:
            spk, *behind = self.lif(self.fc(frame), *states)
            recurs = isinstance(self.lif, snn.RLeaky | snn.RSynaptic)
            states = (spk, *behind) if recurs else tuple(behind)
            record.append(spk)
        return torch.stack(record)


NEURONS: dict[str, Callable[..., Any]] = {
    "Leaky": lambda **o: snn.Leaky(beta=0.8, **o),
    "Leaky, zero": lambda **o: snn.Leaky(beta=0.8, reset_mechanism="zero", **o),
    "Lapicque": lambda **o: snn.Lapicque(beta=0.8, **o),
    "Synaptic": lambda **o: snn.Synaptic(alpha=0.7, beta=0.8, **o),
    "Alpha": lambda **o: snn.Alpha(alpha=0.9, beta=0.8, threshold=0.2, **o),
    "RLeaky": lambda **o: snn.RLeaky(beta=0.8, linear_features=4, **o),
    "RSynaptic": lambda **o: snn.RSynaptic(alpha=0.7, beta=0.8, linear_features=4, **o),
}


@pytest.mark.parametrize("kind", NEURONS)
def test_explicit_states_of_every_neuron(kind: str) -> None:
    net = exact(strong(ByHand(NEURONS[kind]()), scale=0.8))
    own = NEURONS[kind](init_hidden=True)
    own.double().load_state_dict(net.lif.state_dict())
    x = currents(STEPS, BATCH, 5)
    expected, feedback = run(TemporalLFP(nn.Sequential(net.fc, own)), x)
    spikes, found = run(TemporalLFP(net), x)
    assert expected.any()
    assert torch.equal(spikes, expected)
    with torch.no_grad():
        assert torch.equal(spikes, net(x))
    renamed = {
        name.replace("0.", "fc.").replace("1.", "lif."): each for name, each in feedback.items()
    }
    assert_same_feedback(found, renamed)


class Tutorial6(nn.Module):
    """Its convolutional network with its fixed batch size, in a loop."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 2, 5)
        self.lif1 = snn.Leaky(beta=BETA)
        self.conv2 = nn.Conv2d(2, 4, 5)
        self.lif2 = snn.Leaky(beta=BETA)
        self.fc1 = nn.Linear(4 * 4 * 4, 10)
        self.lif3 = snn.Leaky(beta=BETA)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mem1, mem2, mem3 = (lif.init_leaky() for lif in (self.lif1, self.lif2, self.lif3))
        spk3_rec, mem3_rec = [], []
        for _step in range(STEPS):
            cur1 = F.max_pool2d(self.conv1(x), 2)
            spk1, mem1 = self.lif1(cur1, mem1)
            cur2 = F.max_pool2d(self.conv2(spk1), 2)
            spk2, mem2 = self.lif2(cur2, mem2)
            cur3 = self.fc1(spk2.view(BATCH, -1))
            spk3, mem3 = self.lif3(cur3, mem3)
            spk3_rec.append(spk3)
            mem3_rec.append(mem3)
        return torch.stack(spk3_rec), torch.stack(mem3_rec)


@pytest.mark.parametrize("backend", ["torch", "events"])
def test_a_network_that_says_its_batch_size(backend: str) -> None:
    """Its structure is found out at the first pass, or from an example."""
    net = exact(strong(Tutorial6(), scale=0.4))
    x = torch.rand(BATCH, 1, 28, 28, generator=torch.Generator().manual_seed(0)).double()
    lfp = TemporalLFP(net, backend=backend)
    with pytest.raises(NetworkError, match="before the shape of its input is known.*example=x"):
        _ = lfp.layers
    assert len(TemporalLFP(net, backend=backend, example=x).layers) == 3
    spikes, feedback = run(lfp, x)
    with torch.no_grad():
        assert torch.equal(spikes, net(x)[0])
    assert spikes.any()
    assert feedback["conv1.weight"].any()
    assert [layer.name for layer in lfp.layers] == ["lif1", "lif2", "lif3"]


def test_a_sequence_as_spikes() -> None:
    x = (currents(STEPS, BATCH, 5) > 0.5).double()
    net = strong(OverSteps(), scale=0.8)
    lfp = TemporalLFP(net)
    expected, feedback = run(lfp, x)
    spikes, found = run(lfp, Spikes.from_dense(x))
    assert torch.equal(spikes, expected)
    assert_same_feedback(found, feedback)
    batch_first = TemporalLFP(strong(BatchFirst(), scale=0.8))
    assert torch.equal(batch_first.forward(Spikes.from_dense(x)), expected)
    permuted = TemporalLFP(strong(Permuted(), scale=0.8))
    assert torch.equal(permuted.forward(Spikes.from_dense(x)), expected)
    assert permuted.loop is not None


class TimeLast(Base):
    """Time is the last axis of maps, whose rows and columns change places where asked for."""

    def __init__(self, *order: int) -> None:
        super().__init__()
        self.fc1, self.order = nn.Linear(6, 8), order

    def forward(self, x: Tensor) -> Tensor:
        mem1, mem2, record = self.lif1.init_leaky(), self.lif2.init_leaky(), []
        for frame in x.permute(self.order):
            spk1, mem1 = self.lif1(self.fc1(frame.flatten(1)), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            record.append(spk2)
        return torch.stack(record)


def test_spikes_of_a_sequence_whose_time_is_last() -> None:
    x = (currents(STEPS, BATCH, 6) > 0.5).double().view(STEPS, BATCH, 2, 3)
    net = strong(TimeLast(3, 0, 1, 2), scale=0.8)
    expected, feedback = run(TemporalLFP(net), x.movedim(0, -1))
    spikes, found = run(TemporalLFP(net), Spikes.from_dense(x))
    assert spikes.any() and torch.equal(spikes, expected)
    assert_same_feedback(found, feedback)
    with pytest.raises(ShapeError, match=r"rearranges the axes of a frame.*x.dense\(\)"):
        TemporalLFP(strong(TimeLast(3, 0, 2, 1))).forward(Spikes.from_dense(x))


SAME_FRAME: dict[str, Callable[[Tensor], Tensor]] = {
    "flatten": lambda x: x.flatten(1),
    "torch.flatten": lambda x: torch.flatten(x, 1),
    "view": lambda x: x.view(x.size(0), -1),
    "reshape": lambda x: x.reshape(len(x), -1),
    "float": lambda x: x.double().contiguous(),
    "nn.Flatten": nn.Flatten(),
}


class Reshapes(Base):
    """Brings a constant input into another form, in the loop and again at each step."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = SAME_FRAME[how]

    def forward(self, x: Tensor) -> Tensor:
        mem1, mem2, record = self.lif1.init_leaky(), self.lif2.init_leaky(), []
        for _ in range(STEPS):
            spk1, mem1 = self.lif1(self.fc1(self.how(x)), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            record.append(spk2)
        return torch.stack(record)


@pytest.mark.parametrize("shape", [(BATCH, 5), (BATCH, 5, 1)])
@pytest.mark.parametrize("how", SAME_FRAME)
def test_a_constant_input_is_brought_into_form_at_each_step(
    how: str, shape: tuple[int, ...]
) -> None:
    """Where it has that form, torch gives what it was given, which is no call."""
    if how == "float" and len(shape) > 2:
        pytest.skip("it has the form that it has")
    x = 2 * torch.rand(shape, generator=torch.Generator().manual_seed(0)).double()
    net = exact(strong(Reshapes(how), scale=0.8))
    plain, feedback = run(TemporalLFP(strong(Tutorial5(), scale=0.8)), x.flatten(1))
    with torch.no_grad():
        assert torch.equal(net(x), plain)
    for backend in ("torch", "events"):
        spikes, found = run(TemporalLFP(net, backend=backend), x)
        assert spikes.any() and torch.equal(spikes, plain)
        assert_same_feedback(found, feedback)


def test_sequences_of_several_lengths_and_a_forward_that_says_its_own() -> None:
    net = exact(strong(OverSteps(), scale=0.8))
    lfp = TemporalLFP(net)
    for steps in (STEPS, 1, 9):
        x = currents(steps, BATCH, 5, seed=steps)
        with torch.no_grad():
            assert torch.equal(lfp.forward(x), net(x))
    fixed = TemporalLFP(strong(Tutorial5()))
    assert torch.equal(
        fixed.forward(currents(BATCH, 5), steps=STEPS), fixed.forward(currents(BATCH, 5))
    )
    with pytest.raises(ShapeError, match="steps is 4, but .* loops over 6 steps itself"):
        fixed.forward(currents(BATCH, 5), steps=4)


# ----------------------------------------------------------------------------- refused


def refused(forward: Callable[[Any, Tensor], Any], message: str, x: Tensor | None = None) -> None:
    class Net(Base):
        def forward(self, x: Tensor) -> Any:
            return forward(self, x)

    with pytest.raises(NetworkError, match=message):
        TemporalLFP(Net()).forward(torch.ones(4, 2, 5) if x is None else x)


def test_steps_that_are_not_alike_are_refused() -> None:
    def doubled(m: Any, x: Tensor) -> Tensor:
        mem, out = m.lif1.init_leaky(), []
        for t in range(x.size(0)):
            spk, mem = m.lif1(m.fc1(x[t]) * (2 if t == 1 else 1), mem)
            out.append(spk)
        return torch.stack(out)

    def late(m: Any, x: Tensor) -> Tensor:
        mem, out, before = m.lif1.init_leaky(), [], 0.0
        for frame in x:
            current = m.fc1(frame)
            spk, mem = m.lif1(current + before, mem)
            before = current
            out.append(spk)
        return torch.stack(out)

    def forgets(m: Any, x: Tensor) -> Tensor:
        mem, out = m.lif1.init_leaky(), []
        for t, frame in enumerate(x):
            spk, mem = m.lif1(m.fc1(frame), None if t else mem)
            mem = torch.zeros_like(mem) if t == 1 else mem
            out.append(m.lif2(m.fc2(spk), m.lif2.init_leaky())[0])
        return torch.stack(out)

    def reversed_(m: Any, x: Tensor) -> Tensor:
        mem, out = m.lif1.init_leaky(), []
        for t in range(x.size(0)):
            spk, mem = m.lif1(m.fc1(x[x.size(0) - 1 - t]), mem)
            out.append(spk)
        return torch.stack(out)

    refused(doubled, "Step . of Net is not the same as step .*'mul'")
    refused(late, "takes what 'fc1' made of another step; only the states of neurons")
    refused(forgets, "Neuron 'lif.' starts anew at step")
    refused(reversed_, "made of another step")


def test_layers_behind_the_loop_are_refused() -> None:
    def summed(m: Any, x: Tensor) -> Tensor:
        mem, total = m.lif1.init_leaky(), 0
        for frame in x:
            spk, mem = m.lif1(m.fc1(frame), mem)
            total = total + spk
        behind: Tensor = m.fc2(total)
        return behind

    refused(summed, r"'fc2' \(Linear\) comes behind the loop over time.*call it at every step")


def test_states_that_are_no_states_are_refused() -> None:
    class Gate(Base):
        def forward(self, x: Tensor, gate: Tensor) -> Tensor:
            spk, _ = self.lif1(self.fc1(x))
            out: Tensor = spk
            return out

    class Lost(Base):
        def forward(self, x: Tensor, mem: Tensor) -> Tensor:
            spk, mem = self.lif1(self.fc1(x), mem)
            out: Tensor = spk
            return out

    with pytest.raises(NetworkError, match="second input 'gate', which is no state of a neuron"):
        TemporalLFP(Gate())
    with pytest.raises(NetworkError, match="takes the state 'mem' and does not return it"):
        TemporalLFP(Lost())
    refused(lambda m, x: m.lif1(m.fc1(x), torch.ones(2, 8))[0], "begins with a 'mem' that is not z")
    refused(lambda m, x: m.lif1(m.fc1(x), m.fc1(x))[0], "a 'mem' that is not its own of the step")


class LayerBehindTheLoop(Base):
    """A layer takes the record of all steps; ``read`` makes of that what forward returns."""

    def __init__(self, read: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.read = read

    def forward(self, x: Tensor) -> Tensor:
        mem = self.lif1.init_leaky()
        record = []
        for frame in x:
            spikes, mem = self.lif1(self.fc1(frame), mem)
            record.append(spikes)
        return self.read(self.fc2(torch.stack(record)))


@pytest.mark.parametrize(
    "read", [lambda v: v, lambda v: v.sum(0), lambda v: v.mean(0), lambda v: v[-1],
             lambda v: v.permute(1, 0, 2), lambda v: v.sum(0) / STEPS],
)  # fmt: skip
def test_what_reads_a_layer_behind_the_loop_leaves_its_values(
    read: Callable[[Tensor], Tensor],
) -> None:
    torch.manual_seed(0)
    net, plain = LayerBehindTheLoop(read), LayerBehindTheLoop(lambda v: v)
    plain.load_state_dict(net.state_dict())
    x = 3 * currents(STEPS, BATCH, 5).float()
    assert_near(TemporalLFP(net).forward(x), plain(x).detach(), 1e-6)


@pytest.mark.parametrize(
    ("read", "name"),
    [
        (torch.relu, "relu"),
        (lambda v: 3 * v, "mul"),
        (lambda v: torch.log_softmax(v, -1), "log_softmax"),
    ],
)
def test_what_changes_a_layer_behind_the_loop_is_refused(
    read: Callable[[Tensor], Tensor], name: str
) -> None:
    with pytest.raises(NetworkError, match=rf"^{name}\(\) comes behind the loop .* 'fc2' gives"):
        TemporalLFP(LayerBehindTheLoop(read)).forward(currents(STEPS, BATCH, 5))


class Read(Base):
    """``read`` makes of the list of output spikes what forward returns."""

    def __init__(self, read: Callable[[list[Tensor]], Tensor]) -> None:
        super().__init__()
        self.read = read

    def forward(self, x: Tensor) -> Tensor:
        mem, record = self.lif1.init_leaky(), []
        for frame in x:
            spikes, mem = self.lif1(self.fc1(frame), mem)
            record.append(spikes)
        return self.read(record)


@pytest.mark.parametrize(
    ("read", "name"),
    [
        (lambda record: torch.stack(record) * 2 - 1, "sub"),
        (lambda record: 3 * torch.stack(record).sum(0), "mul"),
        (lambda record: torch.stack(record[::-1]), "stack"),
        (lambda record: torch.stack(record).flip(0), "flip"),
        (lambda record: torch.stack(record)[:3], "getitem"),
        (lambda record: sum(record[3:]), "add"),
        (lambda record: torch.stack(record).sum(-1), "sum"),
        (lambda record: torch.stack([*record, record[0]]), "stack"),
        (lambda record: torch.cummax(torch.stack(record), 0)[0], "cummax"),
        (lambda record: torch.stack(record).sum(0).clamp(max=2), "clamp"),
        (lambda record: torch.stack(record).sum(0).clamp(min=1), "clamp"),
        (lambda record: torch.minimum(torch.stack(record).sum(0), torch.ones(8)), "minimum"),
        (lambda record: -torch.stack(record).sum(0).abs(), "neg"),
        (lambda record: torch.stack(record) > 0, "gt"),
        (lambda record: torch.stack(record).bool(), "bool"),
        (lambda record: torch.relu(torch.stack(record)), "relu"),
        (lambda record: record[::-1], "lif1"),
        (lambda record: record[3:], "lif1"),
    ],
)
def test_what_is_no_reading_of_the_record_is_refused(
    read: Callable[[list[Tensor]], Any], name: str
) -> None:
    x = currents(STEPS, BATCH, 5)
    with pytest.raises(NetworkError, match=rf"^{name}\(\) comes behind the loop .* 'lif1' gives"):
        TemporalLFP(strong(Read(read))).forward(x)


def test_what_a_function_makes_of_the_record_belongs_outside() -> None:
    lfp = TemporalLFP(strong(Read(lambda record: torch.stack(record) > 0)))
    with pytest.raises(NetworkError, match=r"who reads the output, so gt\(\) outside of forward"):
        lfp.forward(currents(STEPS, BATCH, 5))


def test_a_record_without_the_last_step_is_refused() -> None:
    with pytest.raises(NetworkError, match="the last step is none of them.*return the record of a"):
        TemporalLFP(Read(lambda record: torch.stack(record[:3]))).forward(currents(6, 2, 5))


@pytest.mark.parametrize(
    "read",
    [
        torch.stack,
        sum,
        lambda record: torch.stack(record).permute(1, 2, 0),
        lambda record: torch.cat(record, 1),
        lambda record: torch.cat([spikes.unsqueeze(0) for spikes in record]),
        lambda record: torch.cat([spikes[:, None] for spikes in record], 1),
        lambda record: record[-1].view(1, BATCH, -1),
        lambda record: sum(record) / len(record),
        lambda record: torch.stack(record).float().mean(0),
        lambda record: torch.stack(record)[-1],
        lambda record: torch.stack(record, 1).flatten(0, 1),
        lambda record: record,
        tuple,
    ],
)
def test_a_reading_of_the_record_is_the_same_network(read: Callable[[list[Tensor]], Any]) -> None:
    x = currents(STEPS, BATCH, 5)
    expected = TemporalLFP(strong(Read(torch.stack))).forward(x)
    assert torch.equal(TemporalLFP(strong(Read(read))).forward(x), expected)


def test_membranes_alone_are_told_with_the_readout() -> None:
    def membranes(m: Any, x: Tensor) -> Tensor:
        mem, record = m.lif1.init_leaky(), []
        for frame in x:
            _, mem = m.lif1(m.fc1(frame), mem)
            record.append(mem)
        return torch.stack(record)

    told = r"'lif1' and not its spikes, which change them: return both.*readout.*membrane_coded"
    refused(membranes, told)
    refused(lambda m, x: m.lif1(m.fc1(x))[1], told, torch.ones(2, 5))


def test_a_batch_size_that_is_written_out_is_told() -> None:
    class Net(Base):
        def forward(self, x: Tensor) -> Any:
            return self.lif1(self.fc1(x.view(7, -1)))[0]

    with pytest.raises(ShapeError, match=r"'view' .*one size.*torch.flatten\(x, 1\)"):
        TemporalLFP(Net()).forward(torch.ones(4, 2, 5))
