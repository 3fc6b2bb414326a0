"""Weighted stages against the oracle: linear, convolutions, batch normalisation."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from lfp_snn import TemporalLFP
from lfp_snn.errors import NetworkError, ShapeError
from tests.engine.compare import (
    Case,
    assert_equal_to_oracle,
    assert_near,
    currents,
    feedback_of,
    leaky,
    signals,
    strong,
    trains,
)


def conv1d(**options: Any) -> Case:
    conv = nn.Conv1d(2, 4, **({"kernel_size": 3} | options))
    units = conv(torch.zeros(1, 2, 9)).numel()
    return nn.Sequential(conv, leaky(), nn.Flatten(), nn.Linear(units, 3), leaky()), (2, 9)


def conv2d(**options: Any) -> Case:
    conv = nn.Conv2d(2, 4, **({"kernel_size": 3} | options))
    units = conv(torch.zeros(1, 2, 6, 5)).numel()
    return nn.Sequential(conv, leaky(), nn.Flatten(), nn.Linear(units, 3), leaky()), (2, 6, 5)


def mlp(*, bias: bool = True) -> Case:
    layers = [nn.Linear(9, 8, bias=bias), leaky(), nn.Linear(8, 6, bias=bias), leaky(beta=0.6)]
    return nn.Sequential(*layers, nn.Linear(6, 3, bias=bias), leaky(threshold=0.7)), (9,)


def over_last_axis() -> Case:
    rows = [nn.Linear(5, 4), leaky(threshold=0.5), nn.Linear(4, 3), leaky(threshold=0.5)]
    return nn.Sequential(*rows, nn.Flatten(), nn.Linear(6, 3), leaky()), (2, 5)


CASES: dict[str, Callable[[], Case]] = {
    "linear": mlp,
    "linear without bias": lambda: mlp(bias=False),
    "linear over the last of two axes": over_last_axis,
    "conv1d": conv1d,
    "conv1d stride, padding, dilation": lambda: conv1d(stride=2, padding=2, dilation=2),
    "conv1d same": lambda: conv1d(padding="same"),
    "conv1d groups, no bias": lambda: conv1d(groups=2, bias=False),
    "conv2d": conv2d,
    "conv2d stride and padding": lambda: conv2d(stride=(2, 1), padding=(1, 2)),
    "conv2d dilation": lambda: conv2d(dilation=2),
    "conv2d groups": lambda: conv2d(groups=2),
    "conv2d uneven kernel, no bias": lambda: conv2d(kernel_size=(3, 2), bias=False),
    "conv2d same": lambda: conv2d(padding="same", dilation=2),
    "conv2d valid": lambda: conv2d(padding="valid"),
}


@pytest.mark.parametrize("case", CASES)
def test_equal_to_the_oracle(case: str) -> None:
    net, shape = CASES[case]()
    assert_equal_to_oracle(strong(net), trains(5, 2, *shape))


@pytest.mark.parametrize("case", ["linear", "conv2d stride and padding"])
def test_a_constant_current_is_the_same_as_its_repetition(case: str) -> None:
    net, shape = CASES[case]()
    assert_equal_to_oracle(strong(net), currents(2, *shape), steps=5)


@pytest.mark.parametrize("case", ["linear", "conv1d"])
def test_real_valued_input(case: str) -> None:
    net, shape = CASES[case]()
    assert_equal_to_oracle(strong(net), currents(5, 2, *shape), eps=0.1)


# ------------------------------------------------------------------- batch normalisation


def normalised(axes: int, *, affine: bool = True) -> Case:
    if axes == 0:
        hidden = [nn.Linear(8, 6), nn.BatchNorm1d(6, affine=affine), leaky(), nn.Linear(6, 3)]
        return nn.Sequential(*hidden, nn.BatchNorm1d(3, affine=affine), leaky(threshold=0.5)), (8,)
    conv, norm, size = (
        (nn.Conv1d(2, 3, 3), nn.BatchNorm1d(3, affine=affine), (2, 6))
        if axes == 1
        else (nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3, affine=affine), (2, 4, 5))
    )
    units = conv(torch.zeros(1, *size)).numel()
    hidden = [conv, norm, leaky(threshold=0.5), nn.Flatten(), nn.Linear(units, 3)]
    return nn.Sequential(*hidden, leaky()), size


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("affine", [True, False], ids=["affine", "plain"])
@pytest.mark.parametrize("axes", [0, 1, 2])
def test_batch_norm_equals_the_oracle(axes: int, affine: bool, training: bool) -> None:
    net, shape = normalised(axes, affine=affine)
    assert_equal_to_oracle(strong(net).train(training), trains(5, 3, *shape))


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_batch_norm_with_lengths(training: bool) -> None:
    net, shape = normalised(2)
    assert_equal_to_oracle(strong(net).train(training), trains(5, 3, *shape), lengths=[5, 2, 3])


@pytest.mark.parametrize("lengths", [None, [4, 1, 3]], ids=["whole", "lengths"])
def test_batch_norm_in_training_of_a_constant_input(lengths: list[int] | None) -> None:
    net, shape = normalised(0)
    x = currents(3, *shape)
    assert_equal_to_oracle(strong(net).train(), x, steps=4, lengths=lengths)


def test_batch_norm_without_running_statistics() -> None:
    """In training all take the batch; in evaluation the module takes it step by step."""
    norm = nn.BatchNorm1d(6, track_running_stats=False)
    net = nn.Sequential(nn.Linear(8, 6), norm, leaky(), nn.Linear(6, 3), leaky())
    assert_equal_to_oracle(strong(net).train(), trains(5, 3, 8))
    with pytest.raises(NetworkError, match="'1' .* no running statistics .* at each step"):
        TemporalLFP(net.eval())


def test_norms_that_share_running_statistics_are_refused() -> None:
    first, second = nn.BatchNorm1d(6), nn.BatchNorm1d(6)
    second.running_mean = first.running_mean
    net = nn.Sequential(nn.Linear(8, 6), first, leaky(), nn.Linear(6, 6), second, leaky())
    with pytest.raises(NetworkError, match="'1' and '4' share their running statistics"):
        TemporalLFP(net)


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("constant", [False, True])
def test_running_statistics_are_those_of_torch_over_all_frames(
    momentum: float | None, constant: bool
) -> None:
    norm = nn.BatchNorm2d(3, momentum=momentum)
    net = strong(nn.Sequential(nn.Conv2d(2, 3, 3), norm, leaky(), nn.Flatten())).train()
    net.append(nn.Linear(18, 2)).append(leaky()).double()
    synapse, torch_norm = copy.deepcopy(net[0]), copy.deepcopy(norm)
    lfp = TemporalLFP(net)
    for seed in range(2):
        frames = trains(4, 3, 2, 4, 5, seed=seed)
        if constant:
            frames = frames[:1].expand(4, -1, -1, -1, -1)
            lfp.forward(frames[0], steps=4)
        else:
            lfp.forward(frames)
        torch_norm(synapse(frames.flatten(0, 1)))
    assert norm.num_batches_tracked == torch_norm.num_batches_tracked == 2
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert torch_norm.running_mean is not None
    assert torch_norm.running_var is not None
    assert_near(norm.running_mean, torch_norm.running_mean, 1e-12)
    assert_near(norm.running_var, torch_norm.running_var, 1e-12)


def test_batch_norm_acts_as_if_folded_into_the_synapse_before_it() -> None:
    plain = nn.Linear(8, 6)
    norm = nn.BatchNorm1d(6)
    net = strong(nn.Sequential(plain, norm, leaky(), nn.Linear(6, 3), leaky())).eval()
    folded = copy.deepcopy(net)
    assert isinstance(norm.running_var, torch.Tensor)
    assert isinstance(norm.running_mean, torch.Tensor)
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    folded[0].weight.data = scale[:, None] * plain.weight
    folded[0].bias.data = scale * (plain.bias - norm.running_mean) + norm.bias
    folded[1] = nn.Identity()
    found = []
    for network in (net, folded):
        lfp = TemporalLFP(network)
        spikes = lfp.forward(trains(6, 3, 8))
        relevance = lfp.backward(signals(spikes), input_relevance=True)
        assert relevance is not None
        found.append((spikes, relevance, feedback_of(network)))
    (spikes, relevance, ours), (theirs, expected, folded_feedback) = found
    assert torch.equal(spikes, theirs)
    assert_near(relevance, expected)
    assert_near(ours["0.weight"], folded_feedback["0.weight"])


# ---------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("first", "shape", "expected"),
    [
        (nn.Linear(8, 4), (7,), r"'0' \(Linear\) expects 8 inputs.*\(7,\)"),
        (nn.Conv2d(2, 4, 3), (3, 6, 6), r"'0' \(Conv2d\) expects 2 channels.*\(3, 6, 6\)"),
        (nn.Conv2d(2, 4, 3), (8,), r"'0' \(Conv2d\) expects 2 channels of 2-dim.*\(8,\)"),
        (nn.Conv2d(2, 4, 3), (2, 2, 6), r"'0' \(Conv2d\) expects maps at least as large.*\(3, 3\)"),
        (nn.Conv1d(2, 4, 3), (2, 6, 6), r"'0' \(Conv1d\) expects 2 channels of 1-dim.*\(2, 6, 6\)"),
        (nn.BatchNorm1d(4), (5,), r"'0' \(BatchNorm1d\) expects 4 channels.*\(5,\)"),
        (nn.BatchNorm2d(2), (2, 5), r"'0' \(BatchNorm2d\) expects 2 channels.*\(2, 5\)"),
    ],
)
def test_an_input_of_the_wrong_shape_is_refused(
    first: nn.Module, shape: tuple[int, ...], expected: str
) -> None:
    lfp = TemporalLFP(nn.Sequential(first, leaky()))
    with pytest.raises(ShapeError, match=expected):
        lfp.forward(torch.ones(3, 2, *shape))


def test_padding_that_is_not_of_zeros_is_refused() -> None:
    conv = nn.Conv2d(1, 2, 3, padding=1, padding_mode="circular")
    with pytest.raises(NetworkError, match=r"'0' \(Conv2d\).*circular.*use 'zeros'"):
        TemporalLFP(nn.Sequential(conv, leaky()))


def test_uneven_padding_is_refused() -> None:
    conv = nn.Conv1d(1, 2, 4, padding="same")
    with pytest.raises(NetworkError, match=r"'0' \(Conv1d\).*unevenly.*odd kernel"):
        TemporalLFP(nn.Sequential(conv, leaky()))
