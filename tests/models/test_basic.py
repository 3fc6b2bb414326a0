"""The named architectures."""

from __future__ import annotations

from typing import Any

import pytest
import snntorch as snn
import torch
from torch import nn

from lfp_snn.errors import ConfigError, ShapeError
from lfp_snn.models import MODELS, build


def kinds(net: nn.Sequential) -> list[str]:
    return [type(stage).__name__ for stage in net]


def test_mlp_has_the_sizes_asked_for() -> None:
    net = build("mlp", (12,), 3, hidden=[7, 5])
    assert kinds(net) == ["Linear", "Leaky"] * 3
    linears = [stage for stage in net if isinstance(stage, nn.Linear)]
    assert [(each.in_features, each.out_features) for each in linears] == [(12, 7), (7, 5), (5, 3)]


def test_mlp_flattens_maps_only() -> None:
    assert kinds(build("mlp", (2, 3, 4), 2, hidden=[]))[0] == "Flatten"
    assert kinds(build("mlp", (24,), 2, hidden=[]))[0] == "Linear"


@pytest.mark.parametrize(("pool", "stage"), [("max", "MaxPool2d"), ("avg", "AvgPool2d")])
def test_csnn_is_the_published_shape(pool: str, stage: str) -> None:
    net: Any = build("csnn", (2, 34, 34), 10, pool=pool)
    conv = ["Conv2d", "Leaky", stage]
    assert kinds(net) == [*conv, *conv, "Flatten", "Linear", "Leaky"]
    assert net[0].weight.shape == (12, 2, 5, 5)
    assert net[3].weight.shape == (32, 12, 5, 5)
    assert net[7].weight.shape == (10, 32 * 5 * 5)


@pytest.mark.parametrize(("name", "shape"), [("mlp", (2, 6, 6)), ("csnn", (1, 16, 16))])
def test_one_step_gives_spikes_and_membranes_of_the_classes(
    name: str, shape: tuple[int, ...]
) -> None:
    spikes, membranes = build(name, shape, 4)(torch.rand(3, *shape))
    assert spikes.shape == membranes.shape == (3, 4)


def test_neurons_are_as_configured() -> None:
    net = build("mlp", (4,), 2, beta=0.7, threshold=0.5, reset="zero", reset_delay=False)
    neurons = [stage for stage in net if isinstance(stage, snn.Leaky)]
    for neuron in neurons:
        assert float(neuron.beta) == pytest.approx(0.7)
        assert float(neuron.threshold) == 0.5
        assert neuron.reset_mechanism == "zero"
        assert not neuron.reset_delay
        assert neuron.init_hidden
    assert [neuron.output for neuron in neurons] == [False, True]


def test_scale_multiplies_every_parameter() -> None:
    torch.manual_seed(3)
    small = build("mlp", (5,), 2, scale=1.0)
    torch.manual_seed(3)
    large = build("mlp", (5,), 2, scale=3.0)
    for one, three in zip(small.parameters(), large.parameters(), strict=True):
        assert torch.equal(three, 3 * one)
        assert bool((one != 0).all())


@pytest.mark.parametrize(
    ("shape", "problem"),
    [((15, 16), "channels, height, width"), ((2, 15, 34), "at least 16 x 16"), ((9,), "use mlp")],
)
def test_csnn_says_what_is_wrong_with_its_input(shape: tuple[int, ...], problem: str) -> None:
    with pytest.raises(ShapeError, match=problem):
        build("csnn", shape, 10)


@pytest.mark.parametrize(
    ("name", "options", "problem"),
    [
        ("mpl", {}, "did you mean 'mlp'"),
        ("mlp", {"hiden": [3]}, "did you mean 'hidden'"),
        ("mlp", {"hidden": [0]}, "greater than or equal to 1"),
        ("mlp", {"beta": 1.5}, "less than or equal to 1"),
        ("mlp", {"threshold": 0.0}, "greater than 0"),
        ("csnn", {"pool": "median"}, "'max' or 'avg'"),
    ],
)
def test_bad_options_are_named(name: str, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        build(name, (2, 34, 34), 10, **options)


def test_every_model_is_documented() -> None:
    assert all(options.__doc__ for options in MODELS.values())


def test_a_number_of_units_is_no_shape() -> None:
    given: Any = 64
    with pytest.raises(ShapeError, match=r"input_shape is 64; expected a shape, \(64,\)"):
        build("mlp", given, 10)
