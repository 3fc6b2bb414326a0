"""Bytes and operations of a step against counts by hand, on the CPU."""

from __future__ import annotations

import pytest
import torch

from benchmarks.steps.device import (
    MeasuredStep,
    Roof,
    Traffic,
    measure_network,
    measure_roof,
    require,
)
from benchmarks.steps.problem import Network, synthetic
from lfp_snn.backends.support import unavailable
from lfp_snn.errors import RunError

CPU = torch.device("cpu")


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


def test_a_step_on_every_backend() -> None:
    problem = synthetic(Network("mlp", {"hidden": [16]}, 4), batch=4, steps=5)
    roof = measure_roof(CPU, size=16, rounds=1)
    steps = measure_network(problem, CPU, roof, 1)
    by_name = {(each.backend, each.precision): each for each in steps}
    assert ("torch", "tf32") in by_name
    # Currents and feedback of both layers, and the credit between them.
    frames, sizes = 4 * 5, 2312 * 16 + 16 * 10
    operations = 2 * frames * (2 * sizes + 16 * 10)
    for (backend, _), each in by_name.items():
        assert each.median > 0
        if backend != "events":
            assert each.operations == operations
            assert each.bytes > 4 * frames * 2312
    if unavailable("triton", CPU) is None:
        fused = by_name["triton", "tf32"]
        assert ("triton", "bf16") in by_name
        assert fused.bytes < by_name["torch", "tf32"].bytes


def test_the_roof_is_the_larger_of_both() -> None:
    roof = Roof(100.0, {"tf32": 10.0})
    step = MeasuredStep("torch", "tf32", (3.0, 1.0, 9.0), 200, 10, roof)
    assert (step.least, step.median) == (2.0, 3.0)
    assert MeasuredStep("torch", "tf32", (1.0,), 200, 50, roof).least == 5.0


def test_a_device_that_is_not_there_is_refused() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(RunError, match=r"cuda: there is no CUDA device.*lfp-snn env"):
        require(torch.device("cuda"))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_step_on_a_gpu() -> None:
    problem = synthetic(Network("mlp", {"hidden": [64]}, 8), batch=8, steps=10)
    device = torch.device("cuda")
    steps = measure_network(problem, device, measure_roof(device, size=512), 2)
    assert all(0 < each.least < each.median for each in steps)
