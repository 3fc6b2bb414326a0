"""Spiking stages: every option of ``snn.Leaky`` against the oracle and the module itself."""

from __future__ import annotations

from typing import Any

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from lfp_snn import TemporalLFP
from lfp_snn.errors import NetworkError, ShapeError
from tests.crossed import crossed
from tests.engine.compare import (
    BACKENDS,
    assert_equal_to_oracle,
    assert_near,
    assert_same_feedback,
    currents,
    feedback_of,
    leaky,
    run,
    signals,
    step_by_step,
    strong,
    trains,
)

VARIANTS = [
    pytest.param({"reset_mechanism": reset, "reset_delay": delay}, id=f"{reset}-{name}")
    for reset in ("subtract", "zero", "none")
    for delay, name in ((True, "delayed"), (False, "at once"))
]
PER_UNIT = [
    pytest.param({}, id="scalars"),
    pytest.param({"beta": torch.tensor([0.5])}, id="one entry"),
    pytest.param(
        {"beta": torch.tensor([0.0, 0.3, 0.7, 0.9, 1.0, 0.95]), "threshold": torch.arange(6) / 4},
        id="per neuron",
    ),
    pytest.param({"threshold": 0.0}, id="threshold 0"),
    pytest.param({"beta": 1.3}, id="beta above 1"),
    pytest.param({"beta": -0.2}, id="beta below 0"),
]


def mlp(options: dict[str, Any]) -> Any:
    """Hidden neurons with the given options, plain ones at the output."""
    layers = [nn.Linear(7, 6), leaky(**options), nn.Linear(6, 3), leaky(threshold=0.5, output=True)]
    return strong(nn.Sequential(*layers))


def at_the_output(options: dict[str, Any]) -> Any:
    layers = [nn.Linear(7, 5), leaky(), nn.Linear(5, 6), leaky(**options, output=True)]
    return strong(nn.Sequential(*layers))


def maps(options: dict[str, Any]) -> Any:
    """Neurons over maps, with constants per channel."""
    channels = torch.tensor([0.4, 0.9]).view(2, 1, 1)
    neuron = leaky(**(options | {"beta": channels, "threshold": channels / 2}))
    tail = [nn.Flatten(), nn.Linear(18, 3), leaky(threshold=0.5, output=True)]
    return strong(nn.Sequential(nn.Conv2d(1, 2, 2), neuron, *tail))


@crossed(("variant", VARIANTS), ("constants", PER_UNIT[::-1]))
def test_hidden_neurons_equal_the_oracle(
    variant: dict[str, Any], constants: dict[str, Any]
) -> None:
    assert_equal_to_oracle(mlp(variant | constants), trains(6, 2, 7))


@pytest.mark.parametrize("variant", VARIANTS)
def test_output_neurons_equal_the_oracle(variant: dict[str, Any]) -> None:
    net = at_the_output(variant | {"threshold": torch.arange(1, 7) / 4})
    assert_equal_to_oracle(net, currents(6, 2, 7))


@pytest.mark.parametrize("variant", VARIANTS)
def test_constants_per_channel_equal_the_oracle(variant: dict[str, Any]) -> None:
    assert_equal_to_oracle(maps(variant), trains(5, 2, 1, 4, 4))


@pytest.mark.parametrize("variant", VARIANTS)
def test_learnable_beta_and_threshold_equal_the_oracle(variant: dict[str, Any]) -> None:
    learnable = variant | {"threshold": 0.3, "learn_beta": True, "learn_threshold": True}
    subtracts = variant["reset_mechanism"] == "subtract"
    silent = [] if subtracts else ["1.threshold"]
    assert_equal_to_oracle(mlp(learnable), trains(6, 3, 7), silent=silent)
    per_neuron = {"beta": torch.linspace(0.2, 0.9, 6), "threshold": torch.full((6,), 0.6)}
    assert_equal_to_oracle(mlp(learnable | per_neuron), trains(6, 3, 7), silent=silent)
    assert_equal_to_oracle(maps(learnable), trains(5, 2, 1, 4, 4), silent=silent)
    output = at_the_output(learnable | {"beta": torch.tensor([[0.7]])})
    silent = [] if subtracts else ["3.threshold"]
    assert_equal_to_oracle(output, trains(6, 3, 7), silent=silent)


def test_beta_learns_nothing_where_it_is_clamped() -> None:
    beta = torch.tensor([-0.5, 0.5, 1.5, 0.8, 0.9, 2.0])
    net = mlp({"beta": beta, "learn_beta": True})
    lfp = TemporalLFP(net)
    lfp.backward(signals(lfp.forward(trains(6, 2, 7))))
    outside = torch.tensor([0, 2, 5])
    assert (feedback_of(net)["1.beta"][outside] == 0).all()
    assert (feedback_of(net)["1.beta"] != 0).any()


@pytest.mark.parametrize("variant", VARIANTS)
def test_lengths_equal_the_oracle(variant: dict[str, Any]) -> None:
    net = mlp(variant | {"learn_beta": True})
    assert_equal_to_oracle(net, trains(6, 4, 7), lengths=[6, 1, 4, 3])


@pytest.mark.parametrize("lengths", [None, [4, 2, 1]], ids=["whole", "lengths"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_given_state_equals_the_oracle(
    variant: dict[str, Any], lengths: list[int] | None
) -> None:
    net = mlp(variant | {"learn_threshold": True})
    # Membranes above and below threshold: some resets are pending.
    state = {"1": 2 * currents(3, 6, seed=3), "3": currents(3, 3, seed=4)}
    silent = [] if variant["reset_mechanism"] == "subtract" else ["1.threshold"]
    assert_equal_to_oracle(net, trains(4, 3, 7), lengths=lengths, state=state, silent=silent)


# ------------------------------------------------- the module itself, one step at a time


def exact(net: nn.Module) -> Any:
    """Weights that are multiples of 1/64: currents are exact in float32, whatever the order."""
    strong(net)
    for module in net.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            for parameter in module.parameters():
                parameter.data = (parameter.data * 64).round() / 64
    return net.float()


@crossed(("build", [mlp, at_the_output]), ("variant", VARIANTS), ("constants", PER_UNIT))
def test_forward_equals_the_module_stepped(
    build: Any, variant: dict[str, Any], constants: dict[str, Any]
) -> None:
    net = exact(build(variant | constants)).eval()
    x = trains(12, 3, 7).float()
    before = step_by_step(net, x)
    for backend in BACKENDS:
        lfp = TemporalLFP(net, backend=backend)
        spikes = lfp.forward(x)
        assert before.spikes.any()
        assert spikes.dtype == torch.float32
        assert torch.equal(spikes, before.spikes)
        assert_near(lfp.membranes, before.membranes, 1e-5)
        lfp.backward(signals(spikes))
    after = step_by_step(net, x)
    assert torch.equal(after.spikes, before.spikes)
    assert torch.equal(after.membranes, before.membranes)


@pytest.mark.parametrize("variant", VARIANTS)
def test_forward_of_maps_equals_the_module_stepped(variant: dict[str, Any]) -> None:
    net = exact(maps(variant)).eval()
    x = trains(12, 3, 1, 4, 4).float()
    stepped = step_by_step(net, x)
    assert stepped.spikes.any()
    for backend in BACKENDS:
        lfp = TemporalLFP(net, backend=backend)
        assert torch.equal(lfp.forward(x), stepped.spikes)
        assert_near(lfp.membranes, stepped.membranes, 1e-5)


class Network(nn.Module):
    """A convolution, normalisation, pool and dropout: what evaluation mode must get right."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.lif = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), leaky(threshold=0.4)
        self.drop, self.fc = nn.Dropout(0.5), nn.Linear(16, 3)
        self.pool, self.out = nn.MaxPool2d(2), leaky(threshold=0.4, output=True)

    def forward(self, x: Tensor) -> Any:
        hidden = self.pool(self.lif(self.norm(self.conv(x))))
        return self.out(self.fc(self.drop(hidden.flatten(1))))


def test_forward_of_a_whole_network_in_evaluation_equals_the_module_stepped() -> None:
    net = strong(Network()).float().eval()
    x = trains(10, 3, 1, 6, 6).float()
    stepped = step_by_step(net, x)
    assert stepped.spikes.any()
    for backend in BACKENDS:
        lfp = TemporalLFP(net, backend=backend)
        assert torch.equal(lfp.forward(x), stepped.spikes)
        assert_near(lfp.membranes, stepped.membranes, 1e-5)


def test_no_neuron_is_touched() -> None:
    net, other = mlp({}), mlp({})
    marks = {}
    for number, neuron in enumerate(m for n in (net, other) for m in n.modules()):
        if isinstance(neuron, snn.Leaky):
            neuron.mem = torch.full((2, 6), float(number))
            marks[neuron] = neuron.mem
    lfp = TemporalLFP(net)
    lfp.backward(signals(lfp.forward(trains(5, 2, 7))))
    assert len(marks) == 4
    for number, neuron in enumerate(m for n in (net, other) for m in n.modules()):
        if isinstance(neuron, snn.Leaky):
            assert neuron.mem is marks[neuron]
            assert (neuron.mem == number).all()


def test_a_forward_that_resets_its_neurons_leaves_them_alone_when_traced() -> None:
    class Resetting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.lif = nn.Linear(7, 6), leaky()

        def forward(self, x: Tensor) -> Any:
            self.lif.reset_mem()
            return self.lif(self.fc(x))

    net = Resetting()
    net.lif.mem = mark = torch.ones(2, 6)
    with pytest.raises(NetworkError, match="rest in every call"):
        TemporalLFP(net)
    assert net.lif.mem is mark
    assert (mark == 1).all()


# ---------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("neuron", "option"),
    [
        (lambda: leaky(state_quant=lambda mem: mem), "state_quant"),
    ],
)
def test_options_without_a_rule_are_refused(neuron: Any, option: str) -> None:
    with pytest.raises(NetworkError, match=rf"'1' \(Leaky\) uses {option}.*without it"):
        TemporalLFP(nn.Sequential(nn.Linear(7, 3), neuron()))


@pytest.mark.filterwarnings("ignore:Inhibition is an unstable feature")
def test_inhibition_is_refused() -> None:
    with pytest.raises(NetworkError, match=r"'1' \(Leaky\) uses inhibition.*without it"):
        TemporalLFP(nn.Sequential(nn.Linear(7, 3), leaky(inhibition=True)))


@pytest.mark.parametrize("what", ["beta", "threshold"])
@pytest.mark.parametrize("shape", [(5,), (4, 1), (2, 1, 6)])
def test_constants_that_would_enlarge_the_current_are_refused(
    what: str, shape: tuple[int, ...]
) -> None:
    lfp = TemporalLFP(mlp({what: torch.full(shape, 0.5)}))
    with pytest.raises(ShapeError, match=rf"'1' has {what} of shape .*give one value"):
        lfp.forward(trains(3, 2, 7))


@pytest.mark.parametrize("what", ["beta", "threshold"])
def test_constants_of_each_sample_are_refused(what: str) -> None:
    """Two samples are what a network is tried out on."""
    for backend in ("torch", "events"):
        lfp = TemporalLFP(mlp({what: torch.full((2, 6), 0.5)}), backend=backend)
        with pytest.raises(ShapeError, match=rf"'1' has {what} of shape .*to a sample of its"):
            lfp.forward(trains(3, 2, 7))


@pytest.mark.parametrize("what", ["beta", "threshold"])
def test_constants_may_have_an_axis_of_the_batch_that_is_one(what: str) -> None:
    constants = torch.linspace(0.2, 0.9, 6).double()
    found = []
    for backend in ("torch", "events"):
        for shape in ((6,), (1, 6)):
            net = mlp({what: constants.view(shape)})
            found.append(run(TemporalLFP(net, backend=backend), trains(5, 3, 7)))
    for spikes, feedback in found[1:]:
        assert torch.equal(spikes, found[0][0])
        assert_same_feedback(feedback, found[0][1])


@pytest.mark.parametrize("shape", [(1, 2, 1, 1), (1, 2, 3, 3), (2, 1, 1), (1, 1, 1, 1)])
def test_constants_of_maps_are_the_same_on_both_backends(shape: tuple[int, ...]) -> None:
    draw = torch.Generator().manual_seed(3)
    beta, x = torch.rand(shape, generator=draw).double(), trains(5, 3, 1, 5, 5)
    found = []
    for backend in ("torch", "events"):
        layers = (nn.Conv2d(1, 2, 3), leaky(beta=beta), nn.Flatten(), nn.Linear(18, 3), leaky())
        found.append(run(TemporalLFP(strong(nn.Sequential(*layers)), backend=backend), x))
    assert torch.equal(found[0][0], found[1][0])
    assert_same_feedback(found[0][1], found[1][1])


def test_a_negative_threshold_is_refused() -> None:
    lfp = TemporalLFP(mlp({"threshold": torch.tensor([0.5, 1, 1, -0.25, 1, 1])}))
    with pytest.raises(NetworkError, match=r"'1' has the threshold -0.25; expected 0 or more"):
        lfp.forward(trains(3, 2, 7))


def test_a_state_of_the_wrong_shape_is_refused() -> None:
    lfp = TemporalLFP(mlp({}))
    with pytest.raises(ShapeError, match=r"state of neuron '1' has the shape \(2, 5\).*\(2, 6\)"):
        lfp.forward(trains(3, 2, 7), state={"1": torch.zeros(2, 5)})
