"""The surrogate gradient by layer: as by step, but for norms, which train as the engine's do."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from lfp_snn import TemporalLFP
from lfp_snn.data import Batch
from lfp_snn.errors import NetworkError, ShapeError
from lfp_snn.learners import LEARNERS
from lfp_snn.learners.by_layer import unroll_by_layer
from lfp_snn.learners.losses import make_loss, make_surrogate
from lfp_snn.learners.surrogate import BPTT, Unroll
from lfp_snn.learners.unrolled import rest, unroll
from lfp_snn.norms import PerStep
from lfp_snn.spikes import Spikes

STEPS, BATCH = 6, 5
LENGTHS = torch.tensor([6, 2, 4, 6, 1])


def spikes(*feature: int) -> Tensor:
    """Input spikes, float64."""
    generator = torch.Generator().manual_seed(0)
    return (torch.rand(STEPS, BATCH, *feature, generator=generator) > 0.5).double()


def leaky(**options: Any) -> Any:
    """A neuron whose spikes have the type of its membrane, which snntorch's own have not."""
    spike = make_surrogate("atan", None)
    return snn.Leaky(beta=0.8, threshold=0.5, init_hidden=True, spike_grad=spike, **options)


def flat(middle: Callable[[], nn.Module], *between: nn.Module) -> nn.Sequential:
    """Two layers of synapses and neurons, in float64."""
    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(8, 7), *between, middle(), nn.Linear(7, 3), leaky(output=True))
    return net.double()


def conv() -> nn.Sequential:
    """Convolutions with batch normalisation, in float64."""
    torch.manual_seed(1)
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        leaky(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(36, 6),
        nn.BatchNorm1d(6),
        leaky(),
        nn.Linear(6, 3),
        leaky(output=True),
    )
    return net.double()


def learnt(net: nn.Module, x: Tensor, way: Unroll, **options: Any) -> dict[str, Tensor]:
    """The gradients of a batch, by name."""
    learner = BPTT(
        net, make_loss("ce_count_loss", {}), make_surrogate("atan", None), unroll=way, **options
    )
    labels = torch.tensor([0, 1, 2, 0, 1])
    learner.feedback(Batch(Spikes.from_dense(x), labels, lengths=LENGTHS))
    return {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}


NEURONS: dict[str, Callable[[], nn.Module]] = {
    "Leaky": leaky,
    "Leaky, reset to zero": lambda: leaky(reset_mechanism="zero"),
    "Lapicque": lambda: snn.Lapicque(beta=0.8, threshold=0.05, init_hidden=True),
    "Synaptic": lambda: snn.Synaptic(alpha=0.7, beta=0.8, threshold=0.5, init_hidden=True),
    "Alpha": lambda: snn.Alpha(alpha=0.8, beta=0.6, threshold=0.2, init_hidden=True),
    "RLeaky": lambda: snn.RLeaky(beta=0.8, linear_features=7, threshold=0.5, init_hidden=True),
    "RSynaptic": lambda: snn.RSynaptic(
        alpha=0.7, beta=0.8, linear_features=7, threshold=0.5, init_hidden=True
    ),
}


@pytest.mark.parametrize("truncate", [None, 4])
@pytest.mark.parametrize("neuron", NEURONS)
def test_without_norms_the_gradient_is_that_by_step(neuron: str, truncate: int | None) -> None:
    net = flat(NEURONS[neuron])
    other = copy.deepcopy(net)
    by_layer = learnt(net, spikes(8), "layers", truncate=truncate)
    by_step = learnt(other, spikes(8), "steps", truncate=truncate)
    assert len(by_layer) >= 4 and all(each.abs().sum() > 0 for each in by_layer.values())
    torch.testing.assert_close(by_layer, by_step, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["equal", "lengths"])
def test_norms_of_each_step_train_as_in_the_engine(lengths: Tensor | None) -> None:
    net = flat(leaky, PerStep(snn.BatchNormTT1d(7, STEPS)))
    other, x = copy.deepcopy(net), spikes(8)
    out = unroll_by_layer(net, x, lengths, last=net[-1])
    expected = TemporalLFP(other).forward(x, lengths=lengths)
    assert torch.equal(out.spikes.detach(), expected) and expected.any()
    for name, buffer in other.named_buffers():
        if "running" in name:
            torch.testing.assert_close(net.get_buffer(name), buffer)


def test_a_forward_that_asks_for_the_number_of_samples_is_refused() -> None:
    class Asks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.lif = nn.Linear(8, 3), leaky()

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.lif(self.fc(x) * (4 / len(x)))
            return out

    torch.manual_seed(0)
    net = Asks().double()
    held = copy.deepcopy(net.state_dict())
    with pytest.raises(NetworkError, match="^Asks computes something else of 6 steps in one call"):
        learnt(net, spikes(8), "layers")
    assert all(torch.equal(held[name], value) for name, value in net.state_dict().items())
    assert net.training
    assert learnt(net, spikes(8), "steps")


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["equal", "lengths"])
def test_norms_train_as_in_the_engine(lengths: Tensor | None) -> None:
    net, x = conv(), spikes(2, 6, 6)
    stepped, other = copy.deepcopy(net), copy.deepcopy(net)
    out = unroll_by_layer(net, x, lengths)
    engine = TemporalLFP(other)
    expected = engine.forward(x, lengths=lengths)
    assert torch.equal(out.spikes.detach(), expected) and expected.any()
    for name, buffer in other.named_buffers():
        if "running" in name:
            torch.testing.assert_close(net.get_buffer(name), buffer)
            begun = conv().get_buffer(name)
            assert not torch.allclose(buffer, begun)
    by_step = unroll(stepped, x, lengths)
    assert not torch.equal(by_step.spikes, out.spikes)  # with statistics of each step


def test_in_evaluation_norms_are_those_by_step() -> None:
    net, x = conv().eval(), spikes(2, 6, 6)
    expected = unroll(copy.deepcopy(net), x, LENGTHS)
    out = unroll_by_layer(net, x, LENGTHS)
    assert torch.equal(out.spikes, expected.spikes) and out.spikes.any()
    torch.testing.assert_close(out.membranes[:, 0], expected.membranes[:, 0])


def test_modules_have_their_own_forward_again_also_after_an_error() -> None:
    net = flat(leaky, PerStep(snn.BatchNormTT1d(7, STEPS - 1)))
    with pytest.raises(ShapeError, match="PerStep holds normalisations for 5 steps"):
        unroll_by_layer(net, spikes(8), LENGTHS)
    assert not any("forward" in module.__dict__ for module in net.modules())
    rest(net)
    assert net(spikes(8)[0])[0].shape == (BATCH, 3)


class InAnyOrder(nn.Module):
    """Two layers that are held in another order than they run, beside neurons that nothing uses."""

    fc: Callable[[Tensor], Tensor]
    lif: Callable[[Tensor], Tensor]
    out: Callable[[Tensor], Tensor]
    last: Callable[[Tensor], Tensor]

    def __init__(self, order: str) -> None:
        super().__init__()
        torch.manual_seed(1)
        made = {"fc": nn.Linear(8, 7), "lif": leaky(), "out": nn.Linear(7, 3), "last": leaky()}
        for name in order.split():
            self.add_module(name, made.get(name) or leaky())

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.out(self.lif(self.fc(x))))


@pytest.mark.parametrize("order", ["last out lif fc", "fc lif out last unused"])
@pytest.mark.parametrize("name", ["surrogate", "dfa", "steps", "ottt"])
def test_the_output_is_what_runs_last_and_not_what_is_held_last(name: str, order: str) -> None:
    x = Spikes.from_dense(spikes(8))
    found = []
    for given in ("fc lif out last", order):
        net = InAnyOrder(given).double()
        options = {"unroll": name} if name == "steps" else {}
        options |= {} if name == "ottt" else {"loss": "ce_max_membrane_loss"}
        kind = LEARNERS["surrogate" if name == "steps" else name]
        learner = kind.from_options(
            net, kind.Options.model_validate({"name": kind.name, **options})
        )
        learner.feedback(Batch(x, torch.tensor([0, 1, 2, 0, 1]), lengths=LENGTHS))
        found.append({key: p.grad for key, p in net.named_parameters()})
    assert all(each is not None and each.any() for each in found[1].values())
    torch.testing.assert_close(found[1], found[0])


@pytest.mark.parametrize("lengths", [[1, 0, 0, 0, 0], [2, 0, 0, 0, 0], [0, 0, 0, 0, 0]])
def test_norms_over_a_single_frame_train_as_in_the_engine(lengths: list[int]) -> None:
    net, x = flat(leaky, nn.BatchNorm1d(7)), spikes(8)
    other, steps = copy.deepcopy(net), torch.tensor(lengths)
    out = unroll_by_layer(net, x, steps)
    assert torch.equal(out.spikes.detach(), TemporalLFP(other).forward(x, lengths=steps))
    for name, buffer in other.named_buffers():
        if name.startswith("1."):
            torch.testing.assert_close(net.get_buffer(name), buffer)


class SizeWritten(nn.Module):
    """A network with its number of samples written into it."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 3)
        self.lif = leaky()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.lif(self.fc(x.view(BATCH, -1)))
        return out


class SizeMerged(SizeWritten):
    """One whose steps would be taken for something else of a sample, without an error of torch."""

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.lif(self.fc(x.view(BATCH, -1, 8)).mean(1))
        return out


@pytest.mark.parametrize("make", [SizeWritten, SizeMerged])
def test_a_network_with_a_number_of_samples_written_into_it_is_told_what_to_do(
    make: Callable[[], nn.Module],
) -> None:
    net = make().double()
    told = rf"^{type(net).__name__} fails on 6 steps of 5 samples as 30 samples in one call \(.+\):"
    with pytest.raises(NetworkError, match=told):
        unroll_by_layer(net, spikes(8))
    rest(net)
    assert unroll(net, spikes(8)).spikes.any()
