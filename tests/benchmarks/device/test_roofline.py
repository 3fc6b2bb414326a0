"""Bytes, operations and launches against counts by hand, and against those of the interpreter."""

from __future__ import annotations

import pytest
import torch

from benchmarks.device.cases import CASES, DeviceCase
from lfp_snn.errors import NetworkError
from tests.marks import needs_triton

CPU = torch.device("cpu")
SMALL = {case.name: case.small() for case in CASES}


def case(name: str) -> DeviceCase:
    return SMALL[name]


@needs_triton
def test_the_least_of_an_mlp_is_what_it_is_by_hand() -> None:
    from benchmarks.device.roofline import BYTES_PER_NEURON_STEP, least

    found = least(case("mlp, batch 100"))
    frames = 3 * 2
    assert found.neuron_steps == frames * 1010
    assert found.bytes == BYTES_PER_NEURON_STEP * found.neuron_steps
    first, last = 2312 * 1000, 1000 * 10
    assert found.operations == 2 * frames * (2 * first + 3 * last)
    assert found.launches == 2 * 2 + 2 + 3


@needs_triton
def test_the_least_of_maps_counts_each_place() -> None:
    from benchmarks.device.roofline import least

    found = least(case("csnn, batch 50"))
    frames, neurons = 6, 12 * 30 * 30 + 32 * 11 * 11 + 10
    assert found.neuron_steps == frames * neurons
    maps = (2 * 2 * 25 * 12 * 900, 3 * 12 * 25 * 32 * 121, 3 * 800 * 10)
    assert found.operations == 2 * frames * sum(maps)


@needs_triton
@pytest.mark.parametrize(
    ("name", "populations", "dense"), [("mlp, batch 100", 2, 2), ("csnn, batch 50", 3, 3)]
)
def test_without_content_a_step_counts_what_the_interpreter_launches(
    name: str, populations: int, dense: int
) -> None:
    """Under bf16 both take the same ways; under tf32 a CPU has no tensor cores.

    Each population is one launch a way, and bits become dense for a synapse both ways, for a
    reshape once.
    """
    from benchmarks.device.roofline import count

    counted, ran = (count(case(name), "bf16", torch.device(kind)) for kind in ("meta", "cpu"))
    assert counted.fused == ran.fused == 2 * populations + dense
    assert counted.operations == ran.operations
    # The CPU looks at values too, and the interpreter copies what a kernel is given.
    assert counted.fused < counted.launches < ran.launches
    assert counted.bytes < ran.bytes


@needs_triton
@pytest.mark.parametrize(("name", "share"), [("vgg, batch norm", 0.35), ("csnn, batch 50", 0.55)])
def test_fused_populations_move_less_than_their_stages(
    name: str, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a whole step at its full size, products and statistics included."""
    from benchmarks.device.roofline import count
    from lfp_snn.engine import triton

    whole = next(each for each in CASES if each.name == name)
    fused = count(whole)
    alone = tuple(row for row in triton.TABLE if row.name.startswith("scan"))
    monkeypatch.setattr(triton, "TABLE", alone)
    one_by_one = count(whole)
    assert fused.operations == one_by_one.operations
    assert fused.launches < one_by_one.launches
    assert fused.bytes <= share * one_by_one.bytes


@needs_triton
def test_products_of_spikes_in_three_parts_are_counted() -> None:
    from benchmarks.device.roofline import count

    half, parts = (count(case("mlp, batch 100"), name) for name in ("bf16", "tf32"))
    frames, first, last = 6, 2312 * 1000, 1000 * 10
    of_spikes, of_credit = 2 * frames * 2 * (first + last), 2 * frames * last
    assert half.operations == (of_spikes + of_credit) // 2
    assert parts.operations == 3 * of_spikes // 2 + of_credit
    assert parts.launches > half.launches


@needs_triton
def test_chunks_repeat_all_steps_but_the_last_chunk_s() -> None:
    """Of three steps in chunks of two the first is run once more: a third of the forward pass."""
    from benchmarks.device.roofline import count

    whole, halves = (count(case("csnn, batch 50"), "bf16", chunks=n) for n in (1, 2))
    maps, last = 2 * 25 * 12 * 900 + 12 * 25 * 32 * 121, 800 * 10
    # Two samples; those of matrices in a half type count half.
    assert halves.operations - whole.operations == 2 * (2 * maps + last)
    assert halves.launches > whole.launches


@needs_triton
def test_chunks_of_what_takes_statistics_of_the_batch_are_refused() -> None:
    from benchmarks.device.roofline import count

    with pytest.raises(NetworkError, match="chunks of time do not know"):
        count(case("vgg, batch norm"), chunks=2)


@needs_triton
def test_the_bound_is_the_largest_of_three() -> None:
    from benchmarks.device.roofline import CountedWork, Device

    device = Device("slow", bandwidth=10.0, arithmetic=100.0, launch=1.0)
    assert device.seconds(CountedWork(50, 100, 3, 1), graph=True) == 5.0
    assert device.seconds(CountedWork(50, 700, 3, 1), graph=True) == 7.0
    assert device.seconds(CountedWork(50, 700, 9, 1), graph=False) == 9.0
