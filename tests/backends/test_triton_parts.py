"""The kernel that splits numbers into parts, in Triton's interpreter."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.marks import needs_triton

pytestmark = needs_triton


def numbers() -> Tensor:
    draw = torch.randn(37, 29, generator=torch.Generator().manual_seed(0))
    return draw * torch.logspace(-15, 15, 29)


@pytest.mark.parametrize("turned", [False, True])
def test_parts_are_the_number_in_the_layout_that_it_had(turned: bool) -> None:
    from lfp_snn.backends.triton import launch, parts

    real = numbers().T if turned else numbers()
    seen: list[list[Tensor]] = []
    launch.observers.append(seen.append)
    try:
        found = parts.split(real, 3)
    finally:
        launch.observers.pop()
    assert torch.equal(torch.stack([each.double() for each in found]).sum(0), real.double())
    for each in found:
        assert each.dtype == torch.bfloat16
        assert each.stride() == real.stride()
    # One launch, which reads 4 bytes of a number and writes 6.
    ((given, written),) = seen
    assert (given.nbytes, written.nbytes) == (4 * real.numel(), 6 * real.numel())


def test_the_first_part_is_near_the_number() -> None:
    from lfp_snn.backends.triton import parts

    first, second = parts.split(numbers(), 2)
    assert bool(((first.float() - numbers()).abs() <= 2**-7 * numbers().abs()).all())
    assert bool((second.abs() <= 2**-7 * numbers().abs()).all())
