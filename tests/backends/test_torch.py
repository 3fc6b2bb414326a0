"""The reference kernels against autograd: their way back is the transpose of their way forward."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lfp_snn.backends import torch as kernels


def noise(*shape: int, seed: int = 0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=draw, dtype=torch.float64)


def gradients(output: Tensor, of: list[Tensor], credit: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(output, of, credit)


def close(ours: Tensor | None, expected: Tensor) -> None:
    assert ours is not None
    torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("bias", [True, False])
def test_linear(bias: bool) -> None:
    synapse, x = nn.Linear(5, 3, bias=bias).double(), noise(4, 2, 5).requires_grad_()
    current = kernels.linear_current(x, synapse.weight, synapse.bias)
    n = noise(4, 2, 3, seed=1)
    expected = gradients(current, [synapse.weight, x, *synapse.parameters()][: 3 + bias], n)
    with torch.no_grad():
        found = kernels.linear_backward(x, n, synapse.weight, feedback=True, credit=True)
    close(found[0], expected[0])
    close(found[2], expected[1])
    if bias:
        close(found[1], expected[3])


CONVOLUTIONS: list[Any] = [
    nn.Conv1d(2, 4, 3, stride=2, padding=1),
    nn.Conv1d(2, 4, 3, dilation=2, groups=2, bias=False),
    nn.Conv2d(2, 4, 3, padding=(1, 2)),
    nn.Conv2d(2, 4, (3, 2), stride=(2, 1), groups=2),
]


@pytest.mark.parametrize("conv", CONVOLUTIONS, ids=repr)
def test_convolution(conv: Any) -> None:
    conv = conv.double()
    size = (9,) if isinstance(conv, nn.Conv1d) else (6, 5)
    x = noise(3, 2, *size).requires_grad_()
    current = kernels.conv_current(x, conv.weight, conv.bias, conv)
    n = noise(*current.shape, seed=1)
    expected = gradients(current, [x, *conv.parameters()], n)
    with torch.no_grad():
        weight, bias, of_input = kernels.conv_backward(
            x, n, conv.weight, conv, conv.padding, feedback=True, credit=True
        )
    close(of_input, expected[0])
    close(weight, expected[1])
    if conv.bias is not None:
        close(bias, expected[2])


@pytest.mark.parametrize("feedback", [True, False])
@pytest.mark.parametrize("credit", [True, False])
def test_only_what_is_wanted_is_computed(feedback: bool, credit: bool) -> None:
    linear, conv = nn.Linear(5, 3).double(), nn.Conv2d(2, 4, 3).double()
    with torch.no_grad():
        of_linear = kernels.linear_backward(
            noise(4, 5), noise(4, 3), linear.weight, feedback=feedback, credit=credit
        )
        of_conv = kernels.conv_backward(
            noise(3, 2, 5, 5),
            noise(3, 4, 3, 3),
            conv.weight,
            conv,
            (0, 0),
            feedback=feedback,
            credit=credit,
        )
    for found in (of_linear, of_conv):
        assert [part is not None for part in found] == [feedback, feedback, credit]


MAX_POOLS: list[Any] = [
    nn.MaxPool2d(2),
    nn.MaxPool2d(3, stride=1),
    nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True),
    nn.MaxPool2d(2, stride=1, dilation=2),
    nn.AdaptiveMaxPool2d((3, 2)),
]
AVG_POOLS: list[Any] = [
    nn.AvgPool2d(2),
    nn.AvgPool2d(3, stride=1, padding=1),
    nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False),
    nn.AvgPool2d(2, divisor_override=3),
    nn.AdaptiveAvgPool2d((3, 2)),
]


@pytest.mark.parametrize("pool", MAX_POOLS, ids=repr)
def test_max_pool(pool: Any) -> None:
    x = noise(3, 2, 6, 5).requires_grad_()  # no two are equal: the winner is beyond doubt
    expected = pool(x)
    credit = noise(*expected.shape, seed=1)
    pooled, winners = kernels.max_pool(x.detach(), pool)
    close(pooled, expected.detach())
    close(kernels.max_pool_credit(credit, winners, x.shape), gradients(expected, [x], credit)[0])


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_first_maximum_wins_in_every_layout(layout: torch.memory_format) -> None:
    draw = torch.Generator().manual_seed(0)
    x = (torch.rand(4, 3, 6, 6, generator=draw) < 0.4).float().contiguous(memory_format=layout)
    _, winners = kernels.max_pool(x, nn.MaxPool2d(3, stride=1))
    for b in range(4):
        for c in range(3):
            for row in range(4):
                for column in range(4):
                    window = x[b, c, row : row + 3, column : column + 3].reshape(-1).tolist()
                    first = window.index(max(window))
                    at = (row + first // 3) * 6 + column + first % 3
                    assert winners[b, c, row, column] == at


@pytest.mark.parametrize("pool", AVG_POOLS, ids=repr)
def test_avg_pool(pool: Any) -> None:
    x = noise(3, 2, 6, 5).requires_grad_()
    expected = pool(x)
    credit = noise(*expected.shape, seed=1)
    close(kernels.avg_pool(x.detach(), pool), expected.detach())
    close(kernels.avg_pool_credit(credit, pool, x.shape), gradients(expected, [x], credit)[0])
