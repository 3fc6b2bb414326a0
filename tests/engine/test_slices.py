"""What a loop over time does outside of it, or with a list: called at each step, or refused.

Each network is held against an equivalent one of a single step, and against stepping the module.
"""

from __future__ import annotations

from typing import Any

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from lfp_snn import Spikes, TemporalLFP
from lfp_snn.errors import NetworkError
from lfp_snn.norms import PerStep
from tests.engine.compare import (
    assert_near,
    currents,
    mlp,
    signals,
    strong,
    trains,
)

STEPS, BATCH, BETA = 6, 3, 0.9


def leaky(**options: Any) -> snn.Leaky:
    neuron = snn.Leaky(beta=BETA, **options)
    neuron.spike_grad = lambda distance: (distance > 0).to(distance.dtype)  # in the type given
    return neuron


class Loop(nn.Module):
    """Two layers in a loop over a sequence; ``before`` and ``behind`` stand outside of it."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(5, 8), nn.Linear(8, 3)
        self.lif1, self.lif2 = leaky(), leaky()

    def before(self, x: Tensor) -> Tensor:
        return x

    def behind(self, record: Tensor) -> Tensor:
        return record

    def current(self, x: Tensor, t: int) -> Tensor:
        return self.fc1(x[t])  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        mem1, mem2, record = self.lif1.init_leaky(), self.lif2.init_leaky(), []
        x = self.before(x)
        for t in range(STEPS):
            spk, mem1 = self.lif1(self.current(x, t), mem1)
            spk, mem2 = self.lif2(self.fc2(spk), mem2)
            record.append(spk)
        return self.behind(torch.stack(record))


class LayerBefore(Loop):
    def before(self, x: Tensor) -> Tensor:
        return torch.relu(self.fc1(x) / 2)

    def current(self, x: Tensor, t: int) -> Tensor:
        return x[t]


class BatchFirst(LayerBefore):
    def current(self, x: Tensor, t: int) -> Tensor:
        return x[:, t]


class Unbound(LayerBefore):
    def forward(self, x: Tensor) -> Tensor:
        mem1, mem2, record = self.lif1.init_leaky(), self.lif2.init_leaky(), []
        for frame in self.before(x.transpose(0, 1)).unbind(1):
            spk, mem1 = self.lif1(frame, mem1)
            spk, mem2 = self.lif2(self.fc2(spk), mem2)
            record.append(spk)
        return torch.stack(record)


class Half(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x / 2


def whole(net: Loop) -> nn.Sequential:
    """The network of one step with the layers of a :class:`LayerBefore`."""
    first, second = leaky(init_hidden=True), leaky(init_hidden=True)
    return nn.Sequential(net.fc1, Half(), nn.ReLU(), first, net.fc2, second)


def compare(net: nn.Module, equivalent: nn.Module, *, batch_first: bool = False) -> None:
    """Spikes of the module; feedback and relevance of the network of one step, which shares its
    parameters."""
    equivalent.double()
    frames = currents(STEPS, BATCH, 5)
    x = frames.transpose(0, 1) if batch_first else frames
    for backend in ("torch", "events"):
        other = TemporalLFP(equivalent, backend=backend)
        expected = other.forward(frames)
        assert expected.any()
        reward = signals(expected)
        its_relevance = other.backward(reward, input_relevance=True)
        feedback = [p.feedback.clone() for p in equivalent.parameters()]  # type: ignore[attr-defined]
        lfp = TemporalLFP(net, backend=backend)
        assert torch.equal(lfp.forward(x), expected)
        relevance = lfp.backward(reward, input_relevance=True)
        assert relevance is not None and its_relevance is not None
        assert_near(relevance.transpose(0, 1) if batch_first else relevance, its_relevance)
        for parameter, known in zip(equivalent.parameters(), feedback, strict=True):
            assert known.any()
            assert_near(parameter.feedback, known)  # type: ignore[attr-defined]
    with torch.no_grad():
        assert torch.equal(net(x), expected)


@pytest.mark.parametrize(
    ("kind", "batch_first"), [(LayerBefore, False), (BatchFirst, True), (Unbound, False)]
)
def test_layers_before_the_loop_are_layers_of_the_step(kind: type[Loop], batch_first: bool) -> None:
    net = strong(kind(), scale=0.9)
    compare(net, whole(net), batch_first=batch_first)


def test_a_list_of_spikes_reaches_them_too() -> None:
    net, x = strong(LayerBefore(), scale=0.9), trains(STEPS, BATCH, 5)
    lfp = TemporalLFP(net)
    expected = lfp.forward(x)
    assert expected.any() and torch.equal(lfp.forward(Spikes.from_dense(x)), expected)


def test_a_layer_on_the_record_of_all_steps_is_a_layer_of_the_step() -> None:
    class LayerBehind(Loop):
        def __init__(self) -> None:
            super().__init__()
            self.out = nn.Linear(3, 4)

        def behind(self, record: Tensor) -> Tensor:
            out: Tensor = self.out(record)
            return out

    net = strong(LayerBehind(), scale=0.9)
    hidden = (net.fc1, leaky(init_hidden=True), net.fc2, leaky(init_hidden=True))
    compare(net, nn.Sequential(*hidden, net.out))


class PerStepNorms(Loop):
    """One normalisation for each step, taken from a list by the step."""

    def __init__(self) -> None:
        super().__init__()
        self.bn = nn.ModuleList(nn.BatchNorm1d(8) for _ in range(STEPS))
        for norm in self.bn:
            nn.init.uniform_(norm.weight, 0.5, 1.5)  # type: ignore[arg-type]
            nn.init.uniform_(norm.bias, 0.2, 0.6)  # type: ignore[arg-type]

    def current(self, x: Tensor, t: int) -> Tensor:
        return self.bn[t](self.fc1(x))  # type: ignore[no-any-return]


@pytest.mark.parametrize("training", [True, False])
def test_a_norm_for_each_step_taken_from_a_list(training: bool) -> None:
    torch.manual_seed(0)
    net = strong(PerStepNorms(), scale=0.9).double()
    equivalent = nn.Sequential(
        net.fc1, PerStep(net.bn), leaky(init_hidden=True), net.fc2, leaky(init_hidden=True)
    )
    x = currents(BATCH, 5)
    for each in (net, equivalent):
        each.train(training)
    lfp, other = TemporalLFP(net), TemporalLFP(equivalent)
    expected = other.forward(x, steps=STEPS)
    reward = signals(expected)
    other.backward(reward)
    feedback = {name: p.feedback.clone() for name, p in net.named_parameters()}
    spikes = lfp.forward(x)
    assert expected.any() and torch.equal(spikes, expected)
    lfp.backward(reward)
    for name, parameter in net.named_parameters():
        assert feedback[name].any(), name
        assert_near(parameter.feedback, feedback[name])
    # In training too: the statistics of a step are of that step alone.
    with torch.no_grad():
        assert torch.equal(net(x), lfp.forward(x))


def refused(net: nn.Module, message: str, x: Tensor | None = None) -> None:
    with pytest.raises(NetworkError, match=message):
        TemporalLFP(net).forward(torch.ones(STEPS, 2, 5) if x is None else x)


def test_what_mixes_steps_outside_the_loop_is_refused() -> None:
    class Flat(LayerBefore):
        def before(self, x: Tensor) -> Tensor:
            return super().before(x.flatten(0, 1)).view(-1, STEPS, 8).transpose(0, 1)

    class OverTime(LayerBefore):
        def before(self, x: Tensor) -> Tensor:
            return torch.cumsum(super().before(x), 0)

    class ALayerEach(Loop):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.ModuleList(nn.Linear(5, 8) for _ in range(STEPS))

        def current(self, x: Tensor, t: int) -> Tensor:
            return self.fc[t](x[t])  # type: ignore[no-any-return]

    class MeanBehind(Loop):
        def behind(self, record: Tensor) -> Tensor:
            wide = nn.functional.pad(record.mean(0), (0, 5))
            return self.fc2(wide)  # type: ignore[no-any-return]

    refused(Loop(), "loops over 6 steps, but takes them from an axis with 9", torch.ones(9, 2, 5))
    outside = "takes the whole sequence before the loop over time.*call it in the loop"
    refused(Flat(), f"'transpose' {outside}")
    refused(OverTime(), f"'cumsum' {outside}")
    refused(ALayerEach(), "Step 0 of ALayerEach is not the same as step 5: they differ at 'fc.0'")
    refused(MeanBehind(), r"'fc2' \(Linear\) comes behind the loop over time")


def test_one_step_that_begins_at_rest_in_every_call_is_refused() -> None:
    """As the class of tutorial 6 is written, whose loop stands elsewhere."""

    class AtRest(Loop):
        def forward(self, x: Tensor) -> Any:
            spk, _ = self.lif1(self.fc1(x), self.lif1.init_leaky())
            return self.lif2(self.fc2(spk), self.lif2.init_leaky())

    refused(AtRest(), "Neuron 'lif2' begins at rest in every call of the forward of AtRest .*init_")


@pytest.mark.parametrize("backend", ["torch", "events"])
def test_an_output_that_is_changed_in_place_is_noticed(backend: str) -> None:
    """As autograd notices it."""
    lfp = TemporalLFP(strong(mlp()), backend=backend)
    spikes = lfp.forward(trains(STEPS, BATCH, 6))
    reward = signals(spikes)
    spikes.clone().mul_(0)
    lfp.backward(reward, retain=True)
    spikes.mul_(0)
    with pytest.raises(NetworkError, match="The output was changed in place between forward and"):
        lfp.backward(reward)
