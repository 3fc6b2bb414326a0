"""Tracing: which networks are taken, and what is said about those that are not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lfp_snn import TemporalLFP
from lfp_snn.engine.supported import kind_of
from lfp_snn.errors import NetworkError
from tests.engine.compare import feedback_of, leaky, signals, step_by_step, strong, trains

ONE_STEP = r"a forward\(x\) that is one time step.*init_hidden=True.*loops over time"


class Step(nn.Module):
    """A synapse and neurons whose forward is given."""

    def __init__(self, forward: Callable[[Any, Any], Any], **options: Any) -> None:
        super().__init__()
        self.fc, self.lif = nn.Linear(4, 4), leaky(**options)
        self.again, self.pool = nn.Linear(4, 4), nn.MaxPool1d(2)
        self.gain = nn.Parameter(torch.ones(4))
        self.formula = forward

    def forward(self, x: Tensor) -> Any:
        return self.formula(self, x)


def pair(m: Any, x: Any) -> tuple[Any, Any]:
    """Spikes and membrane of the neurons, unpacked as users do."""
    spikes, membrane = m.lif(m.fc(x))
    return spikes, membrane


def refused(forward: Callable[[Any, Any], Any], message: str, **options: Any) -> None:
    with pytest.raises(NetworkError, match=message):
        TemporalLFP(Step(forward, **options))


# ------------------------------------------------------------------------------ taken


@pytest.mark.parametrize(
    ("forward", "options"),
    [
        (lambda m, x: m.lif(m.fc(x)), {}),
        (lambda m, x: m.lif(m.fc(x)), {"output": True}),
        (lambda m, x: m.lif(input_=m.fc(x)), {}),
        (lambda m, x: m.lif(m.fc(x))[0], {"output": True}),
        (lambda m, x: pair(m, x)[:1], {"output": True}),
        (lambda m, x: pair(m, x), {"output": True}),
        (lambda m, x: m.lif(m.fc(x))[0], {"init_hidden": False}),
    ],
)
def test_a_network_may_return_spikes_or_spikes_and_membrane(
    forward: Callable[[Any, Any], Any], options: dict[str, Any]
) -> None:
    x = trains(4, 2, 4)
    plain = strong(Step(lambda m, x: m.lif(m.fc(x))))
    expected = TemporalLFP(plain).forward(x)
    assert expected.any()
    assert torch.equal(TemporalLFP(strong(Step(forward, **options))).forward(x), expected)


def test_nested_modules_and_single_neurons() -> None:
    inner = nn.Sequential(nn.Linear(4, 3), leaky())
    outer = strong(nn.Sequential(nn.Identity(), inner))
    assert [layer.name for layer in TemporalLFP(outer).layers] == ["1.1"]
    alone = TemporalLFP(leaky())
    assert torch.equal(alone.forward(torch.full((2, 1, 3), 2.0)), torch.ones(2, 1, 3))


def test_what_does_not_lead_to_the_output_is_left_out() -> None:
    def forward(m: Any, x: Any) -> Any:
        m.again(x)
        return m.lif(m.fc(x))

    net = strong(Step(forward))
    lfp = TemporalLFP(net)
    lfp.backward(signals(lfp.forward(trains(4, 2, 4))))
    assert hasattr(net.fc.weight, "feedback")
    assert not hasattr(net.again.weight, "feedback")
    assert net.again.weight.grad is None


def test_the_module_stays_as_it_was() -> None:
    net = strong(Step(lambda m, x: m.lif(m.fc(x)), output=True)).float()
    x = trains(5, 2, 4).float()
    before = step_by_step(net, x)
    attributes, state = set(vars(net)), set(net.state_dict())
    lfp = TemporalLFP(net)
    lfp.backward(signals(lfp.forward(x)))
    assert set(vars(net)) == attributes
    assert set(net.state_dict()) == state
    assert torch.equal(step_by_step(net, x).spikes, before.spikes)


FUNCTIONAL: dict[str, tuple[Callable[[Any], Any], nn.Module]] = {
    "max_pool2d": (lambda x: F.max_pool2d(x, 2), nn.MaxPool2d(2)),
    "max_pool2d by position": (
        lambda x: torch.max_pool2d(x, 3, 2, 1, 1, True),
        nn.MaxPool2d(3, 2, 1, 1, ceil_mode=True),
    ),
    "max_pool2d by name": (
        lambda x: F.max_pool2d(input=x, kernel_size=3, ceil_mode=True, stride=2),
        nn.MaxPool2d(3, 2, ceil_mode=True),
    ),
    "avg_pool2d": (
        lambda x: F.avg_pool2d(x, 3, 2, 1, True, False),
        nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False),
    ),
    "avg_pool2d by name": (lambda x: F.avg_pool2d(input=x, kernel_size=2), nn.AvgPool2d(2)),
    "adaptive_max_pool2d": (lambda x: F.adaptive_max_pool2d(x, 3), nn.AdaptiveMaxPool2d(3)),
    "adaptive_avg_pool2d": (
        lambda x: F.adaptive_avg_pool2d(x, output_size=(3, 2)),
        nn.AdaptiveAvgPool2d((3, 2)),
    ),
    "max_pool1d": (lambda x: F.max_pool1d(x.flatten(2), 3, padding=1), nn.MaxPool1d(3, padding=1)),
    "avg_pool1d": (lambda x: F.avg_pool1d(x.flatten(2), 3), nn.AvgPool1d(3)),
    "adaptive_max_pool1d": (
        lambda x: F.adaptive_max_pool1d(x.flatten(2), 3),
        nn.AdaptiveMaxPool1d(3),
    ),
    "adaptive_avg_pool1d": (
        lambda x: F.adaptive_avg_pool1d(x.flatten(2), 3),
        nn.AdaptiveAvgPool1d(3),
    ),
}


class Pooled(nn.Module):
    def __init__(self, pool: Callable[[Any], Any], units: int) -> None:
        super().__init__()
        self.pool, self.fc, self.lif = pool, nn.Linear(units, 3), leaky()

    def forward(self, x: Tensor) -> Any:
        return self.lif(self.fc(self.pool(x).flatten(1)))


@pytest.mark.parametrize("case", FUNCTIONAL)
def test_functional_pools_equal_their_modules(case: str) -> None:
    function, module = FUNCTIONAL[case]
    series = "1d" in type(module).__name__
    x = trains(4, 2, 2, 6, 5)
    units = module(torch.zeros(2, 30) if series else torch.zeros(2, 6, 5)).numel()
    by_module = nn.Sequential(nn.Flatten(2), module) if series else module
    found = []
    for pool in (function, by_module):
        lfp = TemporalLFP(strong(Pooled(pool, units)))
        spikes = lfp.forward(x)
        assert spikes.any()
        found.append((spikes, lfp.backward(signals(spikes), input_relevance=True)))
    (spikes, relevance), (expected, of_module) = found
    assert torch.equal(spikes, expected)
    assert relevance is not None
    assert of_module is not None
    assert torch.equal(relevance, of_module)


# ----------------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    "formula",
    [
        lambda x: x if x.sum() > 0 else 2 * x,
        lambda x: x * x.max().item(),
        lambda x: x * float(x.sum()),
        lambda x: x if bool((x > 0).any()) else 0 * x,
        lambda x: x + torch.from_numpy(x.numpy()),
    ],
)
def test_reading_a_value_is_refused(formula: Callable[[Any], Any]) -> None:
    refused(lambda m, x: m.lif(formula(m.fc(x))), "reads values that it computed.*no rule")


@pytest.mark.parametrize(
    "formula",
    [
        lambda x: x if x.dim() == 2 else x.flatten(1),
        lambda x: x if isinstance(x, Tensor) and torch.is_tensor(x) else 2 * x,
        lambda x: x.view(len(x), x.shape[1] // 2, -1).flatten(1),
        lambda x: x.to(x.device).type_as(x).detach(),
        lambda x: x if x is not None and x.dtype.is_floating_point else 2 * x,
        lambda x: x[:, :],
    ],
)
def test_shapes_and_types_are_what_they_are(formula: Callable[[Any], Any]) -> None:
    x = trains(4, 2, 4)
    expected = TemporalLFP(strong(Step(lambda m, x: m.lif(m.fc(x))))).forward(x)
    net = strong(Step(lambda m, x: m.lif(formula(m.fc(x)))))
    assert torch.equal(TemporalLFP(net).forward(x), expected)


def test_one_neuron_behind_two_synapses_is_refused() -> None:
    refused(
        lambda m, x: m.lif(m.again(m.lif(m.fc(x)))),
        "'lif' is called in several places.*'fc' and behind 'again'",
    )


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (nn.LogSoftmax(-1), "LogSoftmax"),
        (nn.LocalResponseNorm(4), "LocalResponseNorm"),
        (snn.DeltaLeaky(beta=0.9, init_hidden=True), "DeltaLeaky"),
        (nn.Bilinear(4, 4, 4), "Bilinear"),
    ],
)
def test_a_module_without_a_rule_is_refused(layer: nn.Module, kind: str) -> None:
    with pytest.raises(NetworkError, match=rf"Stage '1' \({kind}\) has no rule: .*from_snntorch"):
        TemporalLFP(nn.Sequential(nn.Linear(4, 4), layer, leaky()))


@pytest.mark.parametrize(
    ("neuron", "reason"),
    [
        (snn.LeakyParallel(4, 4), r"over all T steps.*nn.Linear\(.* and snn.Leaky\(.*rectified"),
        (snn.SLSTM(4, 4, init_hidden=True), "its gates.*snn.RLeaky"),
        (nn.GRU(4, 4), "its gates.*snn.RLeaky"),
        (nn.RNN(4, 4), "no membrane.*snn.RLeaky"),
    ],
)
def test_neurons_that_can_have_no_rule_are_refused_with_the_reason(
    neuron: nn.Module, reason: str
) -> None:
    with pytest.raises(NetworkError, match=rf"'1' \({type(neuron).__name__}\) .*{reason}"):
        TemporalLFP(nn.Sequential(nn.Linear(4, 4), neuron, leaky()))


class Scaled(nn.Linear):
    """A layer of a user's, with a constructor of its own."""

    def __init__(self, inputs: int, outputs: int, scale: float) -> None:
        super().__init__(inputs, outputs)
        with torch.no_grad():
            self.weight.mul_(scale)


class Doubled(Scaled):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * nn.functional.linear(x, self.weight, self.bias)


class Positive(nn.Linear):
    weight = property(lambda self: self.raw.abs())

    def __init__(self, inputs: int, outputs: int) -> None:
        nn.Module.__init__(self)
        self.raw = nn.Parameter(torch.randn(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))


def test_a_layer_that_extends_one_of_torch_is_that_layer() -> None:
    torch.manual_seed(0)
    layer = Scaled(4, 3, scale=3.0)
    plain = nn.Linear(4, 3)
    plain.load_state_dict(layer.state_dict())
    x = trains(5, 2, 4)
    found = []
    for each in (layer, plain):
        net = nn.Sequential(each, leaky()).double()
        lfp = TemporalLFP(net)
        lfp.backward(signals(lfp.forward(x)))
        found.append(feedback_of(net)["0.weight"])
        assert lfp.kernels["0"].startswith("events")
    assert torch.equal(*found) and found[0].any()
    assert kind_of(layer) is nn.Linear
    for other in (Doubled(4, 3, scale=3.0), Positive(4, 3)):
        assert kind_of(other) is type(other)


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ("spikingjelly.activation_based.neuron.lif", r"neuron of SpikingJelly: put snn.Leaky\("),
        ("spikingjelly.activation_based.neuron", r"neuron of SpikingJelly: put snn.Leaky\("),
        ("norse.torch.module.lif", r"module of Norse: put snn.Leaky\("),
        ("sinabs.layers.lif", r"layer of sinabs: put snn.Leaky\("),
    ],
)
def test_neurons_of_other_simulators_are_refused_by_name(module: str, reason: str) -> None:
    foreign = type("LIFNode", (nn.Identity,), {"__module__": module})
    with pytest.raises(NetworkError, match=rf"Module '1' \(LIFNode\) is a {reason}"):
        TemporalLFP(nn.Sequential(nn.Linear(4, 4), foreign(), leaky()))


@pytest.mark.parametrize(
    ("formula", "name"),
    [
        (lambda x: torch.exp(x), "exp"),
        (lambda x: x.logsumexp(1), "logsumexp"),
        (lambda x: x.int().float(), "int"),
    ],
)
def test_a_function_without_a_rule_is_refused(formula: Callable[[Any], Any], name: str) -> None:
    refused(lambda m, x: m.lif(formula(m.fc(x))), f"calls '{name}'.*no rule.*concatenation")


def test_what_is_no_tensor_is_refused() -> None:
    refused(lambda m, x: m.lif(m.fc(x).dtype), r"'lif' \(Leaky\) is called with torch.float32")


@pytest.mark.parametrize("formula", [lambda m, x: x / m.fc(x), lambda m, x: 2 / x])
def test_quotients_of_values_are_refused(formula: Callable[[Any, Any], Any]) -> None:
    refused(lambda m, x: m.lif(formula(m, m.fc(x))), "divides by a value.*multiply")


@pytest.mark.parametrize("last", [nn.Linear(3, 2), nn.Dropout()])
def test_a_last_stage_that_is_no_neuron_is_read_out(last: nn.Module) -> None:
    lfp = TemporalLFP(nn.Sequential(nn.Linear(4, 3), leaky(), last))
    assert (lfp.emits, lfp.without_neurons) == ("values", ["(readout) (Readout)"])
    assert not lfp.ends_in_neurons


def test_returning_the_input_is_refused() -> None:
    refused(lambda m, x: x, "returns its own input.*end with a synapse.*or with a neuron")


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda spk, mem: mem, "Step returns the membranes of neuron 'lif' and not its spikes"),
        (lambda spk, mem: (spk, torch.ones(3)), "Step must return the spikes of its last neuron"),
        (lambda spk, mem: None, "Step must return the spikes of its last neuron"),
    ],
)
def test_returning_anything_else_is_refused(
    returned: Callable[[Any, Any], Any], message: str
) -> None:
    refused(lambda m, x: returned(*pair(m, x)), message, output=True)


@pytest.mark.parametrize(
    "returned",
    [
        lambda spk, mem: (mem, spk),
        lambda spk, mem: (spk, [mem, spk]),
        lambda spk, mem: {"membrane": mem, "spikes": spk},
    ],
)
def test_what_is_returned_beside_the_spikes_does_not_matter(
    returned: Callable[[Any, Any], Any],
) -> None:
    x = trains(4, 2, 4)
    expected = TemporalLFP(strong(Step(lambda m, x: m.lif(m.fc(x))))).forward(x)
    net = strong(Step(lambda m, x: returned(*pair(m, x)), output=True))
    assert torch.equal(TemporalLFP(net).forward(x), expected)


def test_spikes_of_hidden_neurons_may_be_returned_too() -> None:
    def forward(m: Any, x: Any) -> Any:
        hidden = m.lif(m.fc(x))
        return hidden, m.again(hidden)

    lfp = TemporalLFP(Step(forward))
    assert (lfp.output, [layer.name for layer in lfp.layers]) == ("(readout)", ["lif"])


def test_two_outputs_are_refused() -> None:
    def forward(m: Any, x: Any) -> Any:
        hidden = m.lif(m.fc(x))
        return m.again(hidden), m.pool(hidden)

    refused(forward, "must return the spikes of its last neuron")


def test_a_pair_in_the_middle_is_refused() -> None:
    layers = [nn.Linear(4, 3), leaky(output=True), nn.Linear(3, 2), leaky()]
    with pytest.raises(NetworkError, match=r"'2' \(Linear\) is called with a pair.*without output"):
        TemporalLFP(nn.Sequential(*layers))


def test_a_membrane_as_input_is_refused() -> None:
    def forward(m: Any, x: Any) -> Any:
        _, membrane = m.lif(m.fc(x))
        return m.again(membrane)

    refused(forward, "'again' takes the membrane of neuron 'lif'.*only spikes", output=True)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_wrapped_modules_say_what_to_give() -> None:
    with pytest.raises(NetworkError, match="DataParallel: give it net.module"):
        TemporalLFP(nn.DataParallel(leaky()))
    with pytest.raises(NetworkError, match="torch.compile made: give it the module itself"):
        TemporalLFP(cast(nn.Module, torch.compile(leaky())))
