"""Bytes of calls against counts by hand."""

from __future__ import annotations

import torch

from benchmarks.device.traffic import Traffic


def test_each_tensor_of_a_call_counts_once_and_views_do_not() -> None:
    x, y = torch.ones(10, 10), torch.ones(10, 10)
    with Traffic() as traffic:
        x.t()
        assert traffic.bytes == 0
        x + y
        assert traffic.bytes == 3 * 400
        x.add_(y)
    assert traffic.bytes == 5 * 400
    assert traffic.calls == 2


def test_what_is_new_like_a_tensor_reads_nothing_of_it() -> None:
    x = torch.ones(10, 10)
    with Traffic() as traffic:
        x.new_full((3,), 2.0)
    assert traffic.bytes == 12
