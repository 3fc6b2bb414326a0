"""Normalisations in a list of layers."""

from __future__ import annotations

from typing import Any

import pytest
import snntorch as snn
import torch
from torch import nn

from lfp_snn import TemporalLFP, published
from lfp_snn.errors import ConfigError, ShapeError
from lfp_snn.models import build
from lfp_snn.models.layer import KINDS
from lfp_snn.models.norms import NormSpec
from lfp_snn.norms import PerStep, statistics_of, with_statistics
from lfp_snn.rules import CreditRule, Epsilon, Rescale, Rule
from lfp_snn.training.config import Config
from lfp_snn.training.configfile import dump_config, make_config, parse_yaml
from tests.engine.compare import assert_same_feedback, run, trains

T, FLAT, LINES, MAPS = 4, (6,), (4, 5), (4, 3, 3)
#: Every kind on every shape that it takes, and what stands for it.
NORMS: list[tuple[Any, tuple[int, ...], nn.Module]] = [
    ("batchnorm", FLAT, nn.BatchNorm1d(6)),
    ({"batchnorm": {"momentum": 0.3, "eps": 1e-3}}, LINES, nn.BatchNorm1d(4, 1e-3, 0.3)),
    ("batchnorm", MAPS, nn.BatchNorm2d(4)),
    ({"batchnorm_through_time": T}, FLAT, PerStep(snn.BatchNormTT1d(6, T))),
    (
        {"batchnorm_through_time": T, "momentum": 0.3, "affine": False},
        MAPS,
        PerStep(snn.BatchNormTT2d(4, T, momentum=0.3, affine=False)),
    ),
    ("layernorm", FLAT, nn.LayerNorm(6)),
    ({"layernorm": {"eps": 0.1, "affine": False}}, MAPS, nn.LayerNorm((4, 3, 3), 0.1, False)),
    ({"groupnorm": 3}, FLAT, nn.GroupNorm(3, 6)),
    ({"groupnorm": 2, "eps": 0.1}, MAPS, nn.GroupNorm(2, 4, 0.1)),
    ("instancenorm", LINES, nn.InstanceNorm1d(4, affine=True)),
    ({"instancenorm": {"affine": False}}, MAPS, nn.InstanceNorm2d(4)),
]


def kind_of(layer: Any) -> str:
    return layer if isinstance(layer, str) else next(iter(layer))


def said(layer: Any, statistics: str | None) -> dict[str, Any]:
    """The same layer with its statistics."""
    given = {layer: None} if isinstance(layer, str) else layer
    kind = kind_of(layer)
    if isinstance(given[kind], int):
        return {**given, "statistics": statistics}
    return {kind: {**(given[kind] or {}), "statistics": statistics}}


def network(layer: Any, shape: tuple[int, ...]) -> Any:
    """A synapse that keeps the shape, the norm, and what reads its neurons; float64."""
    keeps = {"linear": shape[0]} if len(shape) == 1 else {"conv": shape[0], "kernel": 1}
    layers = [keeps, layer, "lif", "flatten", {"linear": "classes"}, "lif"]
    torch.manual_seed(0)
    net = build("layers", shape, 3, layers=layers, threshold=0.5).double()
    for synapse in net:
        if isinstance(synapse, nn.Linear | nn.Conv1d | nn.Conv2d):
            synapse.weight.data *= 3
    return net


def test_every_norm_is_here() -> None:
    known = {name for name, kind in KINDS.items() if issubclass(kind, NormSpec)}
    assert {kind_of(layer) for layer, *_ in NORMS} == known


@pytest.mark.parametrize(("layer", "shape", "expected"), NORMS, ids=str)
def test_what_stands_for_it(layer: Any, shape: tuple[int, ...], expected: nn.Module) -> None:
    norm = network(layer, shape)[1]
    assert str(norm) == str(expected)
    assert {name for name, _ in norm.named_parameters()} == {
        name for name, _ in expected.named_parameters()
    }
    assert statistics_of(norm) is None
    for name, parameter in norm.named_parameters():
        if name.endswith("bias"):  # none is zero, which would never learn
            assert parameter.all() and float(parameter.detach().abs().max()) <= 0.2  # scale is 2


@pytest.mark.parametrize("rule", [Epsilon(0.1), Rescale()], ids=repr)
@pytest.mark.parametrize(("layer", "shape", "expected"), NORMS, ids=str)
def test_its_statistics_go_before_those_of_all(
    layer: Any, shape: tuple[int, ...], expected: nn.Module, rule: Rule
) -> None:
    """Then comes what the engine is told, and last the rule: credit goes through, relevance not."""
    x = trains(T, 3, *shape, density=0.6)
    found: dict[Any, Any] = {}
    for own in ("fixed", "through", None):
        for of_all in ("fixed", "through", None):
            lfp = TemporalLFP(network(said(layer, own), shape), rule, statistics=of_all)
            _, found[own, of_all] = run(lfp, x)
    untold = "through" if isinstance(rule, CreditRule) else "fixed"
    assert_same_feedback(found[None, None], found[None, untold])
    for of_all in ("fixed", "through", None):
        assert_same_feedback(found["fixed", of_all], found[None, "fixed"])
        assert_same_feedback(found["through", of_all], found[None, "through"])
    fixed, through = (found[None, each]["0.weight"] for each in ("fixed", "through"))
    assert not torch.allclose(fixed, through)


def test_the_rule_of_a_pass_decides_it_for_this_pass() -> None:
    net = network("layernorm", (6,))
    x = trains(T, 3, 6, density=0.6)
    found = []
    for rule, told in ((Rescale(), None), (Epsilon(0.1), "fixed")):
        lfp = TemporalLFP(net, rule, statistics=told)  # type: ignore[arg-type]
        spikes = lfp.forward(x)
        found.append(lfp.backward(spikes, rule=Epsilon(0.1), input_relevance=True))
    torch.testing.assert_close(*found, rtol=0, atol=0)
    assert "through statistics" not in published(net).summary()


def test_a_norm_of_ones_own_may_say_it_too() -> None:
    norm = with_statistics(nn.LayerNorm(6), "through")
    assert statistics_of(norm) == "through"
    assert "through statistics" in TemporalLFP(nn.Sequential(nn.Linear(6, 6), norm)).summary()
    assert statistics_of(with_statistics(norm, None)) is None


def config_of(*layers: Any) -> Config:
    model = {"name": "layers", "layers": [{"linear": 3}, *layers, "lif"]}
    return make_config(Config, {"name": "x", "data": {"name": "digits"}, "model": model})


def test_what_is_written_reads_back_equal() -> None:
    config = config_of(*(said(layer, "through") for layer, *_ in NORMS))
    assert make_config(Config, parse_yaml(dump_config(config), "x")) == config


@pytest.mark.parametrize(
    ("layer", "problem"),
    [
        ({"layernorm": {"statistics": "moving"}}, r"layers\[1\]\.statistics is 'moving', expected"),
        ({"layernorm": {"shift": 0.0}}, r"layers\[1\]\.shift is 0"),
        ({"groupnorm": 0}, r"layers\[1\]\.groupnorm is 0"),
        ("groupnorm", r"layers\[1\]\.groupnorm is None"),
        ({"batchnorm": {"groups": 2}}, r"layers\[1\]\.groups is no known key"),
    ],
)
def test_mistakes_are_told(layer: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        config_of(layer)


@pytest.mark.parametrize(
    ("layer", "shape", "problem"),
    [
        ({"groupnorm": 4}, FLAT, r"\(groupnorm\) cannot take .* 6 channels are no 4 groups"),
        ("instancenorm", FLAT, r"\(instancenorm\) cannot take its input of 6: it takes maps"),
    ],
)
def test_shapes_that_do_not_fit_are_told(layer: Any, shape: Any, problem: str) -> None:
    with pytest.raises(ShapeError, match=problem):
        network(layer, shape)


def test_other_steps_than_the_data_has_are_told() -> None:
    lfp = TemporalLFP(network({"batchnorm_through_time": T}, FLAT))
    with pytest.raises(ShapeError, match=r"'1' has normalisations for 4 steps, but runs for 5"):
        lfp.forward(trains(T + 1, 3, *FLAT))
