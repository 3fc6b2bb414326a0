"""Products in each precision against float64, and the parts that numbers are split into."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lfp_snn.backends import precision
from lfp_snn.backends import torch as kernels
from lfp_snn.backends.precision import (
    Precision,
    computed_in,
    product,
    spikes_travel_as,
    split,
    split_product,
    to_tf32,
)

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def tensor_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU takes the ways of a device, its float32 products standing in for tensor cores."""
    monkeypatch.setattr(precision, "_has_tensor_cores", lambda device: True)


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)))


def spiking(*shape: int, rate: float = 0.1) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(7)) < rate


def together(parts: list[Tensor]) -> Tensor:
    return torch.stack([part.double() for part in parts]).sum(0)


def error(found: Tensor, exact: Tensor) -> float:
    """Length of the difference as a share of that of the exact result."""
    return float((found.double() - exact).norm() / exact.norm())


def test_three_parts_in_bfloat16_are_a_float32_number() -> None:
    numbers = drawn(100_000) * torch.logspace(-20, 20, 100_000)
    parts = split(numbers, 3, Tensor.bfloat16)
    assert all(part.dtype == torch.bfloat16 for part in parts)
    assert torch.equal(together(parts), numbers.double())
    assert 2**-19 < error(together(parts[:2]), numbers.double()) < 2**-17


def test_two_parts_in_tf32_leave_the_last_bit_open() -> None:
    numbers = drawn(100_000)
    large, small = split(numbers, 2, to_tf32)
    for part in (large, small):
        assert not bool((part.view(torch.int32) & 0x1FFF).any())  # 13 bits are not there
    assert 2**-14 < error(large, numbers.double()) < 2**-11
    left = (numbers.double() - large.double() - small.double()).abs()
    assert bool((left <= 2**-23 * numbers.abs()).all())


def test_tf32_is_the_nearest_number() -> None:
    one = torch.tensor([1.0, 1 + 2**-11 - 2**-20, 1 + 2**-11 + 2**-20, -1 - 3 * 2**-11])
    assert to_tf32(one).tolist() == [1.0, 1.0, 1 + 2**-10, -1 - 2 * 2**-10]


def test_a_split_product_of_spikes_is_as_near_as_float32() -> None:
    spikes, weights, shift = spiking(400, 1000), drawn(1000, 50), drawn(50)
    exact = spikes.double() @ weights.double() + shift.double()
    ours = error(split_product(spikes, weights, shift), exact)
    assert ours < 1.5 * error(spikes.float() @ weights + shift, exact)
    assert ours < 1.5e-7
    # Sums aside, the parts are all that can be lost.
    whole = together(split(weights, 3, Tensor.bfloat16))
    assert error(spikes.double() @ whole + shift.double(), exact) < 1e-15
    assert error(split_product(spikes, weights, shift, parts=1), exact) > 1e-4


@pytest.mark.parametrize("spikes_left", [True, False])
def test_a_product_finds_the_side_that_is_spikes(spikes_left: bool, tensor_cores: None) -> None:
    spikes, real = spiking(30, 40).bfloat16(), drawn(40, 20)
    a, b = (spikes, real) if spikes_left else (real.T, spikes.T)
    found = product(a, b)
    assert found.dtype == torch.float32
    assert error(found, a.double() @ b.double()) < 2e-7


@pytest.mark.parametrize(
    ("name", "low", "high"), [("exact", 0, 4e-7), ("tf32", 0, 4e-7), ("bf16", 1e-4, 4e-3)]
)
def test_a_product_of_two_real_sides_has_the_precision_that_is_set(
    name: Precision, low: float, high: float
) -> None:
    a, b = drawn(30, 200), drawn(200, 20)
    with computed_in(name):
        found = product(a, b)
    assert low < error(found, a.double() @ b.double()) < high


@pytest.mark.parametrize("module", [nn.Conv2d(3, 5, 3, padding=1), nn.Conv1d(3, 5, 3, stride=2)])
def test_convolutions_of_spikes_in_parts_are_as_near_as_float32(
    module: kernels.Convolution, tensor_cores: None
) -> None:
    frame = (9,) * len(module.kernel_size)
    x = spiking(20, 3, *frame).bfloat16()
    weight, bias = module.weight.detach(), module.bias
    assert bias is not None
    padding = tuple(int(p) for p in module.padding)

    def both(kind: torch.dtype) -> list[Tensor]:
        given = x if kind == torch.float32 else x.to(kind)
        current = kernels.conv_current(given, weight.to(kind), bias.detach().to(kind), module)
        n = drawn(*current.shape).to(kind)
        options = {"feedback": True, "credit": True}
        back = kernels.conv_backward(given, n, weight.to(kind), module, padding, **options)
        return [current, *(each for each in back if each is not None)]

    exact = both(torch.float64)
    with computed_in("exact"):
        found = both(torch.float32)
    for ours, theirs in zip(found, exact, strict=True):
        assert ours.dtype == torch.float32
        assert error(ours, theirs) < 3e-7


def test_convolutions_under_exact_take_numbers_that_tf32_holds(
    monkeypatch: pytest.MonkeyPatch, tensor_cores: None
) -> None:
    """On a device the sides are rounded, so that what is handed over must not need it."""
    seen: list[Tensor] = []
    convolve: Any = F.conv2d

    def note(x: Tensor, weight: Tensor, *geometry: object) -> Any:
        seen.append(weight)
        return convolve(x, weight, *geometry)

    monkeypatch.setattr(F, "conv2d", note)
    module = nn.Conv2d(1, 2, 3)
    with computed_in("exact"):
        kernels.conv_current(spiking(4, 1, 6, 6).bfloat16(), module.weight, None, module)
    assert len(seen) == 2
    assert all(torch.equal(part, to_tf32(part)) for part in seen)


def test_spikes_travel_narrow_where_that_tells_something() -> None:
    assert spikes_travel_as("tf32", torch.float32, CPU) == torch.float32
    assert spikes_travel_as("exact", torch.float32, CUDA) == torch.bfloat16
    assert spikes_travel_as("exact", torch.float64, CUDA) == torch.float64
    assert spikes_travel_as("fp16", torch.float32, CPU) == torch.float16


def test_switches_of_torch_are_as_before_outside() -> None:
    def switches() -> list[object]:
        return [getattr(each, name) for each, name, _ in precision._switches()]

    before = switches()
    with computed_in("exact"):
        exact = switches()
        with computed_in("tf32"):
            assert switches() != exact
        assert switches() == exact
    assert switches() == before
