"""What a user hands to a pass by hand: what is not finite, of half precision, or no tensor."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from lfp_snn import TemporalLFP
from lfp_snn.errors import NetworkError, NotFiniteError, ShapeError
from lfp_snn.rewards import RateCoded
from tests.engine.compare import assert_same_feedback, feedback_of, strong, trains

LABELS = torch.tensor([0, 1, 2, 0])
BACKENDS = pytest.mark.parametrize("backend", ["torch", "events"])


def leaky(**options: Any) -> snn.Leaky:
    return snn.Leaky(beta=0.9, init_hidden=True, **options)


def linear() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(36, 8), leaky(), nn.Linear(8, 3), leaky(output=True))


def convolutional() -> nn.Sequential:
    torch.manual_seed(0)
    head = (nn.Flatten(), nn.Linear(64, 3), leaky(output=True))
    return nn.Sequential(nn.Unflatten(1, (1, 6, 6)), nn.Conv2d(1, 4, 3), leaky(), *head)


NETWORKS = pytest.mark.parametrize("make", [linear, convolutional])


def spikes() -> Tensor:
    torch.manual_seed(1)
    return (torch.rand(6, 4, 36) < 0.4).float()


def feedback(net: nn.Module, backend: str, x: Tensor) -> list[Tensor]:
    lfp = TemporalLFP(net, backend=backend)
    out = lfp.forward(x)
    lfp.backward(RateCoded()(out, LABELS))
    return [parameter.grad for parameter in net.parameters() if parameter.grad is not None]


@BACKENDS
@NETWORKS
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("what", ["weight", "bias"])
def test_a_weight_that_is_not_finite_is_told(
    make: Callable[[], nn.Sequential], backend: str, value: float, what: str
) -> None:
    net = make()
    synapse = next(m for m in net if isinstance(m, nn.Linear | nn.Conv2d))
    with torch.no_grad():
        getattr(synapse, what).view(-1)[:2] = value
    with pytest.raises(NotFiniteError, match=r"membranes of layer '\d' are not finite"):
        feedback(net, backend, torch.ones(3, 4, 36))


@BACKENDS
@NETWORKS
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_weight_that_is_not_finite_is_told_though_its_input_is_silent(
    make: Callable[[], Any], backend: str, value: float
) -> None:
    net = make()
    with torch.no_grad():
        net[-2].weight[0, 0] = value
        net[-5 if len(net) > 4 else 0].bias[0] = -10  # what feeds it never fires
    with pytest.raises(NotFiniteError, match=r"parameter '\d\.weight'|membranes of layer"):
        feedback(net, backend, spikes())
    assert all(parameter.grad is None for parameter in net.parameters())


@BACKENDS
def test_an_infinite_weight_is_told_though_a_reset_to_zero_hides_it(backend: str) -> None:
    net: Any = nn.Sequential(nn.Linear(36, 3), leaky(output=True, reset_mechanism="zero"))
    with torch.no_grad():
        net[0].weight[0, 0] = math.inf
    x = torch.zeros(4, 4, 36)
    x[0] = 1
    with pytest.raises(NotFiniteError, match=r"parameter '0\.weight'|membranes of layer '1'"):
        feedback(net, backend, x)


@BACKENDS
@pytest.mark.parametrize("what", ["beta", "threshold"])
def test_a_constant_that_is_not_a_number_is_told(backend: str, what: str) -> None:
    net = linear()
    setattr(net[1], what, torch.tensor(math.nan))
    with pytest.raises((NotFiniteError, NetworkError), match=r"not finite|threshold nan"):
        feedback(net, backend, spikes())


@BACKENDS
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_reward_that_is_not_finite_is_told(backend: str, value: float) -> None:
    net = linear()
    lfp = TemporalLFP(net, backend=backend)
    reward = torch.zeros_like(lfp.forward(spikes()))
    reward[2, 1, 0] = value
    with pytest.raises(NotFiniteError, match="reward holds NaN or infinite"):
        lfp.backward(reward)
    assert all(parameter.grad is None for parameter in net.parameters())
    lfp.backward(torch.zeros_like(reward))  # the pass is not lost


@NETWORKS
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_runs_on_torch(
    make: Callable[[], nn.Sequential], dtype: torch.dtype
) -> None:
    net = make().to(dtype)
    lfp = TemporalLFP(net)
    assert lfp.backend == "torch"
    assert all(grad.dtype == dtype for grad in feedback(net, "auto", spikes()))
    with pytest.raises(NetworkError, match=r"computes in float32 or float64.*backend='auto'"):
        TemporalLFP(net, backend="events").forward(spikes())


@BACKENDS
@NETWORKS
def test_weights_that_are_not_contiguous(make: Callable[[], nn.Sequential], backend: str) -> None:
    net, other = make(), make()
    for module in other:
        if isinstance(module, nn.Conv2d):
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if isinstance(module, nn.Linear):
            module.weight = nn.Parameter(module.weight.detach().t().contiguous().t())
            module.bias = nn.Parameter(module.bias.detach().repeat_interleave(2)[::2])
    assert not cast(nn.Linear, other[-2]).weight.is_contiguous()
    pairs = zip(feedback(net, backend, spikes()), feedback(other, backend, spikes()), strict=True)
    for expected, found in pairs:
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "labels",
    [
        [0, 1, 2, 0],
        (0, 1, 2, 0),
        np.array([0, 1, 2, 0]),
        np.array([0, 1, 2, 0], np.uint8),
        LABELS.int(),
    ],
)
def test_labels_of_any_kind(labels: Any) -> None:
    out = torch.ones(6, 4, 3)
    assert torch.equal(RateCoded()(out, labels), RateCoded()(out, LABELS))
    lengths = [6, 3, 2, 6]
    cut = RateCoded()(out, labels, lengths=lengths)
    assert torch.equal(cut, RateCoded()(out, LABELS, lengths=torch.tensor(lengths)))


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (["a", "b", "c", "d"], "expected integers, one for each sample"),
        ([0, 1, 2], r"shape \(3,\); expected integers of shape \(4,\)"),
        ([0, 1, 2, 3], "network has 3 outputs"),
        ([[0], [1], [2], [0]], r"shape \(4, 1\)"),
        ([0.0, 1.0, 2.0, 0.0], "type torch.float32; expected integers"),
        ([True, False, True, False], "type torch.bool; expected integers"),
        (None, "needs labels"),
    ],
)
def test_labels_that_are_none_are_told(labels: Any, told: str) -> None:
    with pytest.raises(ShapeError, match=told):
        RateCoded()(torch.ones(6, 4, 3), labels)


@pytest.mark.parametrize("backend", ["torch", "events"])
def test_a_refused_pass_leaves_running_statistics_as_they_were(backend: str) -> None:
    net: Any = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), leaky())
    before = {name: tensor.clone() for name, tensor in net[1].state_dict().items()}
    lfp = TemporalLFP(net, backend=backend)
    with torch.no_grad():
        net[0].weight[1, 2] = math.nan
    with pytest.raises(NotFiniteError):
        lfp.forward(torch.ones(5, 2, 4))
    assert all(torch.equal(tensor, before[name]) for name, tensor in net[1].state_dict().items())


# ------------------------------------------------------------------------------ without time


@BACKENDS
def test_images_without_steps_are_told_of_steps(backend: str) -> None:
    flat, maps = torch.rand(6, 36), torch.rand(6, 1, 6, 6)
    net = nn.Sequential(nn.Conv2d(1, 2, 3), leaky(), nn.Flatten(), nn.Linear(32, 3), leaky())
    for lfp, x in ((linear(), flat), (net, maps)):
        engine = TemporalLFP(lfp, backend=backend)
        with pytest.raises(ShapeError, match="An input without time.* give steps=25"):
            engine.forward(x)
        assert engine.forward(x, steps=2).shape == (2, 6, 3)


def test_what_fits_in_no_way_is_not_told_of_steps() -> None:
    with pytest.raises(ShapeError) as told:
        TemporalLFP(linear()).forward(torch.rand(6, 35))
    assert "steps=25" not in str(told.value)


def test_a_frame_that_is_not_flattened_is_told() -> None:
    with pytest.raises(ShapeError, match=r"has the shape \(6, 6\).*: flatten it first"):
        TemporalLFP(linear()).forward(torch.rand(4, 2, 6, 6))


@pytest.mark.parametrize(
    ("x", "told"),
    [
        ([torch.zeros(4, 36), LABELS], "is a list.*x, labels = batch"),
        (np.zeros((6, 4, 36)), r"is a ndarray.*torch.as_tensor\(x\)"),
        (iter(()), r"x, labels = next\(iter\(loader\)\)"),
        (torch.zeros(6, 4, 36, dtype=torch.complex64), "is complex numbers.*x.real"),
        (torch.zeros(6, 4, 36).to_sparse(), r"a sparse tensor.*x.to_dense\(\)"),
        (torch.tensor(1.0), r"shape \(\); expected \[T, B, ...\].*one unit\.$"),
        (torch.zeros(0, 4, 36), r"shape \(0, 4, 36\); expected.*one unit\.$"),
    ],
)
def test_an_input_that_is_no_tensor_is_told(x: Any, told: str) -> None:
    with pytest.raises(ShapeError, match=told):
        TemporalLFP(linear()).forward(x)


# ------------------------------------------------------------------------------ no reward


@pytest.mark.parametrize(
    ("reward", "told"),
    [
        (LABELS, r"shape \(4,\).*labels are not.*reward\(spikes, labels\)"),
        (torch.tensor(0.7), "one number, as a loss is.*backward.loss=loss_fn"),
        ([1.0], "is a list.*RateCoded"),
        (torch.zeros(4, 6, 3), r"steps first: reward.transpose\(0, 1\)"),
        (torch.zeros(4, 3), r"shape \(4, 3\).*needs one value\.$"),
    ],
)
def test_what_is_no_reward_is_told_how_one_is_made(reward: Any, told: str) -> None:
    lfp = TemporalLFP(linear())
    lfp.forward(spikes())
    with pytest.raises(ShapeError, match=told):
        lfp.backward(reward)


@pytest.mark.parametrize("steps", [4.0, "4", 0])
def test_steps_are_a_whole_number(steps: Any) -> None:
    with pytest.raises(ShapeError, match=f"steps is {steps!r}; expected at least one"):
        TemporalLFP(linear()).forward(torch.rand(4, 36), steps=steps)


def test_lengths_that_are_no_numbers_are_told() -> None:
    given: Any = ["long", "short", "long", "short"]
    with pytest.raises(ShapeError, match=r"lengths are \['long'.*expected 4 integers"):
        TemporalLFP(linear()).forward(spikes(), lengths=given)


def test_a_sparse_reward_is_one() -> None:
    net = strong(nn.Sequential(nn.Linear(5, 3), leaky()))
    lfp, x = TemporalLFP(net), trains(6, 4, 5)
    reward = torch.ones_like(lfp.forward(x)).tril()
    lfp.backward(reward)
    dense = feedback_of(net)
    lfp.forward(x)
    lfp.backward(reward.to_sparse())
    assert_same_feedback(feedback_of(net), dense)
