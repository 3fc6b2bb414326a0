"""The deep networks of the field: their sizes, and that they run and learn on both backends."""

from __future__ import annotations

import functools
import warnings
from copy import deepcopy
from typing import Any

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from lfp_snn import TemporalLFP
from lfp_snn.data import Batch
from lfp_snn.errors import ConfigError, ShapeError
from lfp_snn.models import build
from lfp_snn.models.merge import Merge
from lfp_snn.rewards import RateCoded
from lfp_snn.rules import Epsilon
from lfp_snn.training import calibrate
from tests.engine.compare import (
    assert_near,
    assert_same_feedback,
    feedback_of,
    step_by_step,
)
from tests.models.test_published import weights

#: Small ones, for maps of the size beside them.
SMALL: dict[str, tuple[str, int, dict[str, Any]]] = {
    "add": ("sew_resnet", 8, {"channels": [4, 6], "blocks": [2, 1]}),
    "and": ("sew_resnet", 8, {"channels": [4, 6], "blocks": [1, 1], "connect": "and"}),
    "iand": ("sew_resnet", 8, {"channels": [4, 6], "blocks": [1, 1], "connect": "iand"}),
    "ms": ("ms_resnet", 8, {"channels": [4, 6], "blocks": [2, 1]}),
    "vgg": ("vgg11", 32, {"width": 0.05}),
    "gesture": ("dvs_gesture_net", 8, {"width": 0.05, "halvings": 2, "voters": 3}),
}
every = pytest.mark.parametrize("kind", SMALL)


def trains(kind: str) -> Tensor:
    side = SMALL[kind][1]
    draw = torch.Generator().manual_seed(1)
    return (torch.rand(5, 3, 2, side, side, generator=draw) < 0.3).double()


def small(kind: str) -> nn.Sequential:
    """One at which all neurons fire; float64."""
    return deepcopy(_calibrated(kind))


@functools.cache
def _calibrated(kind: str) -> nn.Sequential:
    name, side, own = SMALL[kind]
    torch.manual_seed(0)
    net = build(name, (2, side, side), 4, **own).double()
    with warnings.catch_warnings():  # a handful of neurons cannot fire at any rate
        warnings.simplefilter("ignore", RuntimeWarning)
        calibrate(TemporalLFP(net), Batch(trains(kind), torch.zeros(3, dtype=torch.int64)), 0.3)
    return net


def test_sizes_are_those_of_the_sources() -> None:
    body = [(64, 64, 3, 3)] * 4
    for before, after in ((64, 128), (128, 256), (256, 512)):
        block = [(after, before, 3, 3), (after, after, 3, 3), (after, before, 1, 1)]
        body += [*block, (after, after, 3, 3), (after, after, 3, 3)]
    for name in ("sew_resnet", "ms_resnet"):
        assert weights(build(name, (3, 32, 32), 10)) == [(64, 3, 3, 3), *body, (10, 512)]
        large = build(name, (3, 64, 64), 10, stem="large", width=0.125)
        assert weights(large)[0] == (8, 3, 7, 7)
        assert sum(isinstance(stage, nn.MaxPool2d) for stage in large) == 1
    sizes = (64, 128, 256, 256, 512, 512, 512, 512)
    expected = [(b, a, 3, 3) for a, b in zip((3, *sizes), sizes, strict=False)]
    assert weights(build("vgg11", (3, 32, 32), 10)) == [*expected, (10, 512)]
    gesture = weights(build("dvs_gesture_net", (2, 128, 128), 11))
    assert gesture == [(128, 2, 3, 3), *[(128, 128, 3, 3)] * 4, (512, 2048), (110, 512)]


def test_what_does_not_fit_is_told() -> None:
    with pytest.raises(ShapeError, match="vgg11 needs maps of at least 32 x 32"):
        build("vgg11", (3, 28, 28), 10, width=0.05)
    with pytest.raises(ShapeError, match="sew_resnet takes maps"):
        build("sew_resnet", (700,), 10)
    with pytest.raises(ConfigError, match="blocks of 2 stages and channels of 4"):
        build("ms_resnet", (3, 32, 32), 10, blocks=[1, 1])


@every
def test_a_pass_is_that_of_the_module_stepped_one_by_one(kind: str) -> None:
    net = small(kind).float().eval()
    x = trains(kind).float()
    lfp = TemporalLFP(net)
    spikes = lfp.forward(x, record=False)
    assert spikes.any()
    if kind == "gesture":  # ends in votes, which have no membrane
        with torch.no_grad():
            assert_near(spikes, torch.stack([net(frame) for frame in x]), 1e-6)
        return
    stepped = step_by_step(net, x)
    assert torch.equal(spikes, stepped.spikes)
    assert_near(lfp.membranes, stepped.membranes, 1e-5)


@every
def test_every_parameter_gets_feedback_and_both_backends_agree(kind: str) -> None:
    net = small(kind)
    found = []
    for backend in ("torch", "events"):
        lfp = TemporalLFP(net, Epsilon(0.1), backend)
        spikes = lfp.forward(trains(kind))
        lfp.backward(RateCoded()(spikes, torch.tensor([0, 1, 3])))
        found.append(feedback_of(net))
    assert_same_feedback(found[0], found[1])
    assert found[0].keys() == {key for key, p in net.named_parameters() if p.requires_grad}
    assert [key for key, feedback in found[0].items() if not feedback.any()] == []


TRUTH = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])  # r, x


@pytest.mark.parametrize(
    ("how", "expected", "credit"),
    [
        ("and", [0, 0, 0, 1], [[0.5, 0.5], [1, 0], [0, 1], [0.5, 0.5]]),
        ("iand", [0, 1, 0, 0], [[-0.5, 0.5], [-1, 1], [0, 0], [-0.5, 0.5]]),
        ("sum", [0, 1, 1, 2], [[1, 1]] * 4),
    ],
)
def test_merges_of_spikes(how: str, expected: list[float], credit: list[list[float]]) -> None:
    """What comes out, and the credit of each branch for a credit of 1, ties in halves."""
    branches = {name: nn.Linear(2, 1, bias=False) for name in ("r", "x")}
    for column, branch in enumerate(branches.values()):
        branch.weight.data = torch.eye(2)[[column]]
    merge = Merge(branches, how)
    both = TRUTH.clone().requires_grad_()
    merged = merge(both)
    assert merged.squeeze(1).tolist() == expected
    (found,) = torch.autograd.grad(merged.sum(), both)
    assert found.tolist() == credit


def test_options() -> None:
    net: Any = build("dvs_gesture_net", (2, 16, 16), 3, width=0.05, halvings=2, dropout=0.5,
                     learn_beta=True, norm="none")  # fmt: skip
    kinds = [type(stage) for stage in net]
    assert kinds.count(nn.Dropout) == 2 and nn.BatchNorm2d not in kinds
    assert all(m.beta.requires_grad for m in net.modules() if isinstance(m, snn.Leaky))
    averaged = build("vgg11", (2, 32, 32), 3, width=0.05, pool="avg", dropout=0.5)
    assert sum(isinstance(stage, nn.AvgPool2d) for stage in averaged) == 5
    assert sum(isinstance(stage, nn.Dropout) for stage in averaged) == 1
