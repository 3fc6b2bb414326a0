"""Tracing: which networks are taken, and what is said about those that are not."""

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
from tests.engine.compare import leaky, signals, step_by_step, strong, trains

ONE_STEP = r"whose forward is ONE time step.*init_hidden=True"


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


def test_a_decision_on_values_is_refused() -> None:
    refused(lambda m, x: m.lif(m.fc(x)) if x.sum() > 0 else x, f"Step cannot be traced.*{ONE_STEP}")


def test_a_loop_over_time_is_refused() -> None:
    def over_steps(m: Any, x: Any) -> Any:
        return torch.stack([m.lif(m.fc(x[t])) for t in range(x.shape[0])])

    def over_frames(m: Any, x: Any) -> Any:
        return torch.stack([m.lif(m.fc(frame)) for frame in x])

    def fixed(m: Any, x: Any) -> Any:
        for _ in range(3):
            spikes = m.lif(m.fc(x))
        return spikes

    refused(over_steps, f"Step cannot be traced.*{ONE_STEP}")
    refused(over_frames, f"Step cannot be traced.*{ONE_STEP}")
    refused(fixed, f"Neuron 'lif' is called 3 times in one forward.*{ONE_STEP}")


def test_one_neuron_behind_two_synapses_is_refused() -> None:
    refused(lambda m, x: m.lif(m.again(m.lif(m.fc(x)))), "Neuron 'lif' is called 2 times")


def test_a_state_threaded_by_hand_is_refused() -> None:
    class Threaded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.lif = nn.Linear(4, 4), snn.Leaky(beta=0.9)

        def forward(self, x: Tensor, mem: Tensor) -> Any:
            return self.lif(self.fc(x), mem)

    message = "'lif' .*state threaded by hand|takes a second input 'mem'"
    with pytest.raises(NetworkError, match=message) as caught:
        TemporalLFP(Threaded())
    assert "init_hidden=True" in str(caught.value)

    def from_reset(m: Any, x: Any) -> Any:
        mem = m.lif.reset_mem()
        return m.lif(m.fc(x), mem)

    refused(from_reset, f"'lif'.*state threaded by hand.*{ONE_STEP}", init_hidden=False)


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (nn.Softmax(-1), "Softmax"),
        (nn.LocalResponseNorm(4), "LocalResponseNorm"),
        (snn.DeltaLeaky(beta=0.9, init_hidden=True), "DeltaLeaky"),
        (nn.ConvTranspose1d(4, 4, 1), "ConvTranspose1d"),
    ],
)
def test_a_module_without_a_rule_is_refused(layer: nn.Module, kind: str) -> None:
    with pytest.raises(NetworkError, match=rf"Stage '1' \({kind}\) has no rule.*Conv2d.*Leaky"):
        TemporalLFP(nn.Sequential(nn.Linear(4, 4), layer, leaky()))


@pytest.mark.parametrize(
    ("neuron", "reason"),
    [
        (snn.LeakyParallel(4, 4), r"over all T steps.*nn.Linear\(.* and snn.Leaky\(.*rectified"),
        (snn.SLSTM(4, 4, init_hidden=True), "its gates.*snn.RLeaky"),
    ],
)
def test_neurons_that_can_have_no_rule_are_refused_with_the_reason(
    neuron: nn.Module, reason: str
) -> None:
    with pytest.raises(NetworkError, match=rf"'1' \({type(neuron).__name__}\) .*{reason}"):
        TemporalLFP(nn.Sequential(nn.Linear(4, 4), neuron, leaky()))


@pytest.mark.parametrize(
    ("formula", "name"),
    [
        (lambda x: torch.exp(x), "exp"),
        (lambda x: x > 0, "gt"),
        (lambda x: F.dropout(x, 0.5), "dropout"),
        (lambda x: x.max(1)[0], "max"),
        (lambda x: torch.div(x, 2, rounding_mode="floor"), "div"),
        (lambda x: x.transpose(0, 1), "transpose"),
        (lambda x: torch.stack([x, x]), "stack"),
        (lambda x: x**2, "pow"),
    ],
)
def test_a_function_without_a_rule_is_refused(formula: Callable[[Any], Any], name: str) -> None:
    refused(lambda m, x: m.lif(formula(m.fc(x))), f"calls '{name}'.*no rule.*concatenation")


@pytest.mark.parametrize("formula", [lambda x: x[0], lambda x: x[:, 1:], lambda x: x.dtype])
def test_indexing_a_value_is_refused(formula: Callable[[Any], Any]) -> None:
    refused(lambda m, x: m.lif(formula(m.fc(x))), f"indexes or inspects a value.*{ONE_STEP}")


@pytest.mark.parametrize(
    "formula",
    [lambda m, x: x * x, lambda m, x: x * m.gain, lambda m, x: x / m.fc(x), lambda m, x: 2 / x],
)
def test_products_of_values_are_refused(formula: Callable[[Any, Any], Any]) -> None:
    refused(
        lambda m, x: m.lif(formula(m, m.fc(x))), "multiplies or divides.*only products with num"
    )


def test_a_parameter_outside_of_a_module_is_refused() -> None:
    refused(lambda m, x: m.lif(m.fc(x) + m.gain), "parameter or buffer 'gain' itself.*nn.Linear")


def test_a_size_that_depends_on_another_value_is_refused() -> None:
    message = "'reshape' reshapes to a size that is not known.*torch.flatten"
    refused(lambda m, x: m.lif(m.fc(x).reshape(x.size(0), x.size(1))), message)


@pytest.mark.parametrize("last", [nn.Linear(3, 2), nn.Dropout()])
def test_a_last_stage_that_is_no_neuron_is_read_out(last: nn.Module) -> None:
    lfp = TemporalLFP(nn.Sequential(nn.Linear(4, 3), leaky(), last))
    assert (lfp.emits, lfp.without_neurons) == ("values", ["(readout) (Readout)"])
    assert not lfp.ends_in_neurons


def test_returning_the_input_is_refused() -> None:
    refused(lambda m, x: x, "returns its own input.*end with a synapse.*or with a neuron")


@pytest.mark.parametrize(
    "returned",
    [
        lambda spk, mem: mem,
        lambda spk, mem: (mem, spk),
        lambda spk, mem: (spk, spk),
        lambda spk, mem: (spk, mem, spk),
        lambda spk, mem: {"spikes": spk},
        lambda spk, mem: None,
    ],
)
def test_returning_anything_else_is_refused(returned: Callable[[Any, Any], Any]) -> None:
    message = "Step must return the spikes of its last neuron"
    refused(lambda m, x: returned(*pair(m, x)), message, output=True)


def test_a_pair_in_the_middle_is_refused() -> None:
    layers = [nn.Linear(4, 3), leaky(output=True), nn.Linear(3, 2), leaky()]
    with pytest.raises(NetworkError, match=r"'2' takes the pair .* of neuron '1'.*without output"):
        TemporalLFP(nn.Sequential(*layers))


def test_a_membrane_as_input_is_refused() -> None:
    def forward(m: Any, x: Any) -> Any:
        _, membrane = m.lif(m.fc(x))
        return m.again(membrane)

    refused(forward, "'again' takes the membrane of neuron 'lif'.*only spikes", output=True)
