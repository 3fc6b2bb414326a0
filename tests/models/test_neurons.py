"""Kinds of neurons in a network that is written down."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import snntorch as snn
import torch

from lfp_snn import TemporalLFP
from lfp_snn.errors import ShapeError
from lfp_snn.models import build
from lfp_snn.models.layer import KINDS
from lfp_snn.models.neurons import LifSpec
from lfp_snn.training.config import Config
from lfp_snn.training.configfile import dump_config, make_config, parse_yaml

#: A layer of each kind, its class, and what must have come of its options.
NEURONS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "lif": ({"lif": {"beta": 0.7}}, snn.Leaky, {"beta": 0.7}),
    "rlif": ({"rlif": {"recurrent": "one"}}, snn.RLeaky, {"beta": 0.6, "all_to_all": False}),
    "synaptic": ({"synaptic": {"alpha": 0.5}}, snn.Synaptic, {"alpha": 0.5, "beta": 0.6}),
    "rsynaptic": ({"rsynaptic": {"beta": 0.3}}, snn.RSynaptic, {"alpha": 0.8, "beta": 0.3}),
    "alpha_lif": ({"alpha_lif": {"threshold": 0.2}}, snn.Alpha, {"alpha": 0.9, "threshold": 0.2}),
    "lapicque": ({"lapicque": {"R": 2.0, "C": 4.0}}, snn.Lapicque, {"R": 2, "C": 4}),
    "readout": ("readout", snn.Leaky, {"threshold": torch.inf, "beta": 0.6}),
}


@pytest.mark.parametrize("kind", NEURONS)
def test_every_kind_is_built_as_it_is_written(kind: str) -> None:
    layer, module, expected = NEURONS[kind]
    hidden = "lif" if kind == "readout" else layer
    layers = [{"linear": 8}, hidden, {"linear": "classes"}, layer]
    net: Any = build("layers", (6,), 3, layers=layers, beta=0.6, threshold=0.4)
    assert type(net[3]) is module and net[3].output and net[3].init_hidden
    for name, value in expected.items():
        assert getattr(net[3], name) == pytest.approx(value), name
    if kind not in ("alpha_lif", "readout"):
        assert net[3].threshold.item() == pytest.approx(0.4)
    assert net[3].reset_mechanism == ("none" if kind == "readout" else "subtract")
    lfp = TemporalLFP(net)
    assert lfp.is_readout == (kind == "readout")
    assert lfp.forward(torch.rand(5, 2, 6)).shape == (5, 2, 3)


def test_maps_recur_through_a_convolution() -> None:
    layers: list[Any] = [{"conv": 4, "kernel": 3}, {"rlif": {"kernel": 3}}, "flatten"]
    layers += [{"linear": "classes"}, "lif"]
    net: Any = build("layers", (2, 6, 6), 3, layers=layers, scale=3.0)
    assert net[1].recurrent.weight.shape == (4, 4, 3, 3)
    # The scale is of synapses before the neurons; their own stays as PyTorch makes it.
    assert net[1].recurrent.weight.abs().max() <= 1 / 6
    assert TemporalLFP(net).forward(torch.rand(3, 2, 2, 6, 6)).shape == (3, 2, 3)


@pytest.mark.parametrize(
    ("layer", "options", "problem"),
    [
        ("rlif", {}, r"layers\[1\] \(rlif\) .* 4 x 4 x 4: .*kernel: 3; .*recurrent: one"),
        ({"rlif": {"kernel": 2}}, {}, "with an odd kernel"),
        ({"rlif": {"kernel": 3, "recurrent": "one"}}, {}, "a kernel is for maps"),
        ({"alpha_lif": {"beta": 0.95}}, {}, r"\(alpha_lif\) .*alpha is 0.9 and beta 0.95"),
        (
            {"rsynaptic": {"kernel": 3}},
            {"reset_delay": False},
            r"snntorch's RSynaptic resets one step after",
        ),
    ],
)
def test_what_does_not_fit_is_named(layer: Any, options: Any, problem: str) -> None:
    layers = [{"conv": 4, "kernel": 3}, layer, "flatten", {"linear": "classes"}, "lif"]
    with pytest.raises(ShapeError, match=problem):
        build("layers", (2, 6, 6), 3, layers=layers, **options)


def test_what_is_written_reads_back_equal() -> None:
    layers = [each for layer, _, _ in NEURONS.values() for each in ({"linear": 8}, layer)]
    model = {"name": "layers", "layers": [*layers, {"linear": "classes"}, "readout"]}
    config = make_config(Config, {"name": "x", "data": {"name": "digits"}, "model": model})
    assert make_config(Config, parse_yaml(dump_config(config), "x")) == config


def test_a_kind_of_a_program_may_name_its_class_of_neurons() -> None:
    class Slow(snn.Leaky):  # type: ignore[misc]
        pass

    class SlowSpec(LifSpec):
        kind: ClassVar[str] = "slow"
        neuron: ClassVar[Any] = Slow

    try:
        net = build("layers", (4,), 3, layers=[{"linear": 3}, "slow"])
        assert isinstance(list(net.children())[-1], Slow)
    finally:
        del KINDS["slow"]
