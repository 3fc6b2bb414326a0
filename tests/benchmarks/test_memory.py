from __future__ import annotations

import pytest

from benchmarks.steps import memory
from benchmarks.steps.contenders import OURS, Ours
from benchmarks.steps.memory import Peaks, measure_peaks
from benchmarks.steps.peers import SnnTorch
from benchmarks.steps.problem import Network, synthetic


def test_without_the_kernels_count_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_unsupported", lambda: "Linux only")
    problem = synthetic(Network("mlp", {"hidden": []}, 2), batch=2, steps=10, density=0.5)
    peaks = measure_peaks(problem, [Ours])
    assert peaks.bytes == {} and peaks.left_out == {OURS: "Linux only"}


def test_ratio_refers_to_ours() -> None:
    assert Peaks({}, {OURS: 10, "other": 35}, {}).ratio("other") == 3.5


@pytest.mark.slow
def test_backpropagation_keeps_at_least_its_membranes_and_spikes() -> None:
    if (reason := memory._unsupported()) is not None:
        pytest.skip(reason)
    hidden, batch, steps = 2000, 20, 50
    problem = synthetic(Network("mlp", {"hidden": [hidden]}, batch), batch=batch, steps=steps)
    peak = measure_peaks(problem, [SnnTorch]).bytes[SnnTorch.name]
    weights = sum(weight.numel() for weight in problem.weights.values())
    least = 4 * (2 * hidden * batch * steps + 3 * weights)  # gradient and the state of Adam
    assert least < peak < 6 * least
