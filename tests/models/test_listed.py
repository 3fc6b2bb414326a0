"""Networks written down as a list of layers."""

from __future__ import annotations

from typing import Any

import pytest
import snntorch as snn
import torch
from torch import nn

from lfp_snn import TemporalLFP
from lfp_snn.errors import ConfigError, ShapeError
from lfp_snn.models import build
from lfp_snn.models.layer import KINDS
from lfp_snn.models.neurons import LifSpec
from lfp_snn.models.norms import NormSpec
from lfp_snn.training.config import Config
from lfp_snn.training.configfile import dump_config, make_config, parse_yaml
from tests.engine.compare import assert_equal_to_oracle, strong
from tests.models.test_neurons import NEURONS

#: Every kind, for maps of 2 x 12 x 12.
EVERY = [
    {"conv": 4, "kernel": [3, 5], "stride": 1, "padding": [1, 2], "groups": 2},
    "batchnorm",
    {"lif": {"beta": 0.7, "learn_beta": True}},
    {"maxpool": 2},
    {
        "residual": [{"conv": 6, "kernel": 3, "padding": "same"}, "lif"],
        "shortcut": [{"conv": 6, "kernel": 1}, "lif"],
    },
    {"parallel": [[{"conv": 3, "kernel": 3, "padding": 1}, "lif"], ["identity"]]},
    {"dropout": 0.1, "maps": True},
    {"avgpool": 3, "stride": 2, "padding": 1, "ceil": True},
    {"adaptive_maxpool": 2},
    {"adaptive_avgpool": [1, 2]},
    "flatten",
    {"unflatten": [1, 18]},
    {"conv": 2, "kernel": 3},
    {"lif": {"threshold": 0.5, "reset": "zero", "reset_delay": False}},
    {"flatten": None},
    {"linear": 7, "bias": False},
    "lif",
    {"linear": "classes"},
    {"lif": None},
]


def config_of(layers: Any, **options: Any) -> Config:
    model = {"name": "layers", "layers": layers, **options}
    return make_config(Config, {"name": "x", "data": {"name": "digits"}, "model": model})


def test_every_kind_is_used_here() -> None:
    used = {
        next(iter(layer)) if isinstance(layer, dict) else layer
        for layer in (*EVERY, *EVERY[5]["parallel"][1])  # type: ignore[index]
    }
    norms = {name for name, kind in KINDS.items() if issubclass(kind, NormSpec)}
    assert used | norms | set(NEURONS) | set(ACTIVATIONS) | {"votes", "attention"} == set(KINDS)


def test_votes_are_means_over_the_voters_of_each_class() -> None:
    net = build("layers", (6,), 3, layers=[{"linear": 12}, "lif", {"votes": 4}])
    x = torch.rand(5, 2, 6)
    net[0].weight.data.mul_(4)  # type: ignore[operator]
    lfp = TemporalLFP(net)
    votes = lfp.forward(x)
    assert votes.any()
    expected = lfp.layer_spikes()["1"].view(5, 2, 3, 4).mean(-1)
    assert torch.equal(votes, expected)
    for step, frame in enumerate(x):
        assert torch.equal(net(frame), votes[step])


#: Those are networks of their own, and what torch or this project calls them.
ACTIVATIONS = {
    "relu": "ReLU()",
    "elu": "ELU(alpha=1.0)",
    "gelu": "GELU(approximate='none')",
    "silu": "SiLU()",
    "tanh": "Tanh()",
    "sigmoid": "Sigmoid()",
    "sign": "Sign()",
    "leaky_relu": "LeakyReLU(negative_slope=0.01)",
    "step": "Step(threshold=0)",
}


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_activations_by_name(kind: str) -> None:
    net = build("layers", (6,), 3, layers=[{"linear": 4}, kind, {"linear": "classes"}])
    assert str(net[1]) == ACTIVATIONS[kind]
    assert TemporalLFP(net).forward(torch.rand(2, 6), steps=1).shape == (1, 2, 3)


def test_options_of_activations() -> None:
    layers = [{"leaky_relu": {"slope": 0.2}}, {"step": {"threshold": 0.5, "noise": 0.1}}]
    net = build("layers", (3,), 3, layers=layers)
    assert str(net[0]) == "LeakyReLU(negative_slope=0.2)"
    assert str(net[1]) == "Step(threshold=0.5, noise=0.1)"
    with pytest.raises(ConfigError, match=r"layers\[0\]\.threshold.* -1"):
        config_of([{"step": {"threshold": -1.0}}])


def test_shapes_are_inferred() -> None:
    net: Any = build("layers", (2, 12, 12), 5, layers=EVERY)
    assert net[0].weight.shape == (4, 1, 3, 5)
    assert net[4].residual[0].in_channels == net[4].shortcut[0].in_channels == 4
    assert net[5].parallel0[0].weight.shape == (3, 6, 3, 3)
    assert isinstance(net[12], nn.Conv1d)
    assert net[15].weight.shape == (7, 32)
    assert net[17].weight.shape == (5, 7)
    spikes, membranes = net(torch.rand(3, 2, 12, 12))
    assert spikes.shape == membranes.shape == (3, 5)


def test_neurons_are_those_of_the_network_but_for_what_a_layer_says() -> None:
    net: Any = build(
        "layers", (2, 12, 12), 5, layers=EVERY, beta=0.6, threshold=2.0, learn_threshold=True
    )
    first, plain, own, last = net[2], net[4].residual[1], net[13], net[18]
    assert [round(each.beta.item(), 5) for each in (first, plain, own)] == [0.7, 0.6, 0.6]
    assert [each.threshold.item() for each in (first, plain, own)] == [2.0, 2.0, 0.5]
    assert (own.reset_mechanism, own.reset_delay) == ("zero", False)
    assert (plain.reset_mechanism, plain.reset_delay) == ("subtract", True)
    learnt = {name for name, p in net.named_parameters() if name.endswith("beta")}
    assert learnt == {"2.beta"}
    assert all(isinstance(n.threshold, nn.Parameter) for n in net.modules() if type(n) is snn.Leaky)
    assert [n.output for n in (first, plain, own, last)] == [False, False, False, True]


def test_the_scale_is_of_synapses_and_norms_and_not_of_neurons() -> None:
    layers = [{"linear": "classes"}, {"lif": {"learn_beta": True, "learn_threshold": True}}]
    torch.manual_seed(0)
    one: Any = build("layers", (6,), 3, layers=layers, scale=1.0)
    torch.manual_seed(0)
    three: Any = build("layers", (6,), 3, layers=layers, scale=3.0)
    assert torch.equal(three[0].weight, 3 * one[0].weight)
    assert three[1].beta == one[1].beta
    assert three[1].threshold == one[1].threshold


@pytest.mark.parametrize(
    ("merge", "first", "second"),
    [
        ("max", [{"conv": 2, "kernel": 2}, "lif"], [{"maxpool": 2, "stride": 1}]),
        ("sum", [{"conv": 2, "kernel": 2}, "lif"], [{"conv": 2, "kernel": 2}, "lif"]),
        ("concat", [{"conv": 1, "kernel": 2}, "lif"], [{"avgpool": 2, "stride": 1}]),
    ],
)
def test_branches_equal_the_oracle(merge: str, first: Any, second: Any) -> None:
    layers = [{"parallel": [first, second], "merge": merge}, "flatten", {"linear": 3}, "lif"]
    net = strong(build("layers", (2, 3, 3), 3, layers=layers, threshold=0.5))
    torch.manual_seed(2)
    assert_equal_to_oracle(net, (torch.rand(6, 2, 2, 3, 3) < 0.5).double())


def test_a_maximum_of_three_and_a_nested_residual_equal_the_oracle() -> None:
    conv = [{"conv": 2, "kernel": 3, "padding": 1}, "lif"]
    layers = [
        {"parallel": [conv, [{"residual": conv, "merge": "sum"}], []], "merge": "max"},
        "flatten",
        {"linear": 3},
        "lif",
    ]
    net = strong(build("layers", (2, 3, 3), 3, layers=layers, threshold=0.5))
    torch.manual_seed(2)
    assert_equal_to_oracle(net, (torch.rand(5, 2, 2, 3, 3) < 0.5).double())


def test_a_network_with_learnt_neurons_and_norm_equals_the_oracle() -> None:
    layers = [
        {"conv": 2, "kernel": 2, "bias": False},
        "batchnorm",
        "lif",
        {"avgpool": 2},
        "flatten",
        {"linear": 3},
        "lif",
    ]
    options = {"layers": layers, "threshold": 0.3, "learn_beta": True, "learn_threshold": True}
    net = strong(build("layers", (1, 3, 3), 3, **options)).eval()
    torch.manual_seed(2)
    assert_equal_to_oracle(net, (torch.rand(12, 3, 1, 3, 3) < 0.7).double())


def test_a_list_over_one_axis() -> None:
    layers = [{"unflatten": [1, 700]}, {"conv": 4, "kernel": 9, "stride": 4}, "lif"]
    layers += [{"maxpool": 4}, "flatten", {"linear": "classes"}, "lif"]
    net: Any = build("layers", (700,), 20, layers=layers)
    assert net[5].in_features == 4 * 43
    spikes = TemporalLFP(net).forward((torch.rand(4, 2, 700) < 0.1).float())
    assert spikes.shape == (4, 2, 20)


# ------------------------------------------------------------------------- from a config


def test_what_is_written_reads_back_equal() -> None:
    config = config_of(EVERY, beta=0.8)
    text = dump_config(config)
    again = make_config(Config, parse_yaml(text, "x"))
    assert again == config
    assert dump_config(again) == text
    assert isinstance(config.model.layers[-1], LifSpec)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("layer", "problem"),
    [
        ({"conv": 3}, r"model\.layers\[1\]\.kernel is missing"),
        ({"conv": 3, "kernal": 5}, r"layers\[1\]\.kernal is no known key, did you mean .*\.kernel"),
        (
            {"conv": 0, "kernel": 5},
            r"layers\[1\]\.conv is 0, expected a number greater than or equal",
        ),
        ({"conv": 3, "kernel": "x"}, r"layers\[1\]\.kernel: found 'x', expected a whole number"),
        ({"conv": 3, "kernel": None}, r"layers\[1\]\.kernel: found None"),
        ({"conf": 3}, r"layers\[1\]: found conf, expected one kind .*did you mean conv\?"),
        ("lin", r"layers\[1\]: found lin, expected one kind"),
        ({"lif": {}, "beta": 0.5}, r"layers\[1\]: write the options of lif under its name"),
        ({"lif": {"beta": 2.0}}, r"layers\[1\]\.beta is 2\.0, expected"),
        ({"conv": 3, "kernel": 1, "maxpool": 2}, "found the kinds conv and maxpool in one layer"),
        (
            {"linear": True},
            r"layers\[1\]\.linear: found True, expected a number of outputs, or the",
        ),
        ({"residual": ["lif", {"conv": 3}]}, r"layers\[1\]\.residual\[1\]\.kernel is missing"),
        ({"parallel": [["lif"], ["lef"]]}, r"layers\[1\]\.parallel\[1\]\[0\]: found lef"),
        (
            {"residual": ["lif"], "merge": "min"},
            r"layers\[1\]\.merge is 'min', expected 'max', '",
        ),
        (7, r"layers\[1\]: found 7, expected a layer such as"),
    ],
)
def test_a_mistake_is_named_by_its_position(layer: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        config_of(["flatten", layer, "lif"])


def test_the_list_is_not_empty() -> None:
    with pytest.raises(ConfigError, match=r"model\.layers is \[\]"):
        config_of([])


# -------------------------------------------------------------------- shapes that do not fit


@pytest.mark.parametrize(
    ("shape", "layers", "problem"),
    [
        (
            (2, 4, 4),
            [{"conv": 3, "kernel": 3}, "lif", {"conv": 3, "kernel": 3}],
            r"layers\[2\] \(conv\) cannot take its input of 3 x 2 x 2: .*[Kk]ernel",
        ),
        ((2, 4, 4), [{"linear": 3}], r"layers\[0\] \(linear\) .* 2 x 4 x 4: .*put flatten before"),
        ((9,), [{"conv": 3, "kernel": 3}], r"layers\[0\] \(conv\) .* of 9: it takes maps"),
        ((2, 4, 4), [{"maxpool": [2]}], r"window has 1 sizes, but the maps have 2 axes"),
        ((3, 4, 4), [{"conv": 4, "kernel": 1, "groups": 2}], r"layers\[0\] \(conv\) .*groups"),
        ((9,), [{"votes": 2}], r"layers\[0\] \(votes\) .*it takes flat inputs, 2 for each output"),
        ((9,), [{"unflatten": [2, 4]}], r"layers\[0\] \(unflatten\) .* it takes 8 flat inputs"),
        (
            (2, 4, 4),
            ["identity", {"residual": [{"conv": 3, "kernel": 1}]}],
            r"layers\[1\] \(residual\) .*\(residual 3 x 4 x 4, shortcut 2 x 4 x 4\)",
        ),
        (
            (2, 4, 4),
            [{"residual": ["lif", {"conv": 3, "kernel": 5}]}],
            r"^layers\[0\]\.residual\[1\] \(conv\) cannot take its input of 2 x 4 x 4",
        ),
        ((2, 4, 4), [], r"layers\[0\], the output, has the shape 2 x 4 x 4 .*flatten and"),
        ((6,), [{"linear": 7}], r"layers\[1\], the output, .*7 neurons.*but there are 3 classes"),
    ],
)
def test_a_shape_that_does_not_fit_is_named(shape: Any, layers: list[Any], problem: str) -> None:
    with pytest.raises(ShapeError, match=problem):
        build("layers", shape, 3, layers=[*layers, "lif"])
