"""Spikes as bits, against spikes one by one."""

from __future__ import annotations

import pytest
import torch

from lfp_snn.backends.packed import PackedSpikes


@pytest.mark.parametrize("steps", [1, 8, 13, 16])
def test_what_is_packed_is_what_was_given(steps: int) -> None:
    draw = torch.Generator().manual_seed(steps)
    spikes = torch.rand(steps, 3, 2, 5, generator=draw) < 0.4
    found = PackedSpikes.pack(spikes)
    assert found.packed.shape == (-(-steps // 8), 3, 2, 5)
    assert found.shape == spikes.shape
    for dtype in (torch.bool, torch.float32, torch.bfloat16):
        assert torch.equal(found.dense(dtype), spikes.to(dtype))
    for t in range(steps):
        assert torch.equal((found.packed[t // 8] >> (t % 8)) & 1, spikes[t].to(torch.uint8))
