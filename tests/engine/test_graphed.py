"""Steps that are recorded and replayed: the logic, with a double of CUDA's graphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import lfp_snn
from lfp_snn import Spikes, TemporalLFP
from lfp_snn.engine.graphed import MOST, WARMUP, GraphedStep, make_graphed
from lfp_snn.rewards import RateCoded
from tests.engine.compare import mlp, trains


class Recorder:
    """Records a function by keeping it; what it would launch is done at each replay."""

    def __init__(self) -> None:
        self.warmed = self.recorded = self.replayed = 0

    def warm(self, run: Callable[[], Any]) -> Any:
        self.warmed += 1
        return run()

    def record(self, run: Callable[[], Any]) -> Callable[[], Any]:
        self.recorded += 1

        def replay() -> Any:
            self.replayed += 1
            return run()

        return replay


class Failing(Recorder):
    def record(self, run: Callable[[], Any]) -> Callable[[], Any]:
        raise RuntimeError("operation not permitted when stream is capturing\nmore of it")


def trained(graph: bool, recorder: Recorder, **options: Any) -> tuple[list[Tensor], list[int]]:
    """Weights after some steps of Adam whose rate falls, and how many were right in each."""
    torch.manual_seed(0)
    lfp = TemporalLFP(mlp().float(), backend="torch", **options)
    optimizer = torch.optim.Adam(lfp.parameters(), lr=0.05, fused=True)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.8)

    def step(x: Tensor, labels: Tensor) -> Tensor:
        spikes = lfp.forward(x)
        lfp.backward(RateCoded()(spikes, labels))
        optimizer.step()
        return (spikes.sum(0).argmax(1) == labels).sum()

    run: Any = GraphedStep(step, [optimizer], recorder) if graph else step
    right = []
    for n in range(9):
        x = trains(7, 4, 6, seed=n).float()
        right.append(int(run(x, torch.arange(4) % 3)))
        scheduler.step()
        assert isinstance(optimizer.param_groups[0]["lr"], float)
        assert not optimizer.param_groups[0]["capturable"]
    return [p.detach().clone() for p in lfp.parameters()], right


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_replayed_steps_are_those_of_the_loop(precision: str) -> None:
    recorder = Recorder()
    weights, right = trained(True, recorder, precision=precision)
    expected, also_right = trained(False, recorder, precision=precision)
    assert right == also_right
    assert (recorder.warmed, recorder.recorded, recorder.replayed) == (WARMUP, 1, 9 - WARMUP)
    for ours, theirs in zip(weights, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)


def test_rates_lie_on_the_device_while_a_step_is_recorded() -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.Adam([weight], lr=0.1, fused=True)
    seen: list[Any] = []

    class Looking(Recorder):
        def record(self, run: Callable[[], Any]) -> Callable[[], Any]:
            group = optimizer.param_groups[0]
            seen.append((group["lr"], group["capturable"]))
            return super().record(run)

    def step(x: Tensor) -> None:
        weight.grad = x.clone()
        optimizer.step()

    run = GraphedStep(step, [optimizer], Looking())
    for n in range(WARMUP + 3):
        optimizer.param_groups[0]["lr"] = 0.1 * (n + 1)
        run(torch.ones(3))
    ((rate, capturable),) = seen
    assert capturable
    assert isinstance(rate, Tensor)
    assert float(rate) == pytest.approx(0.1 * (WARMUP + 3))


def test_each_shape_is_recorded_and_has_buffers_of_its_own() -> None:
    recorder, places = Recorder(), set()

    def step(x: Tensor, steps: int | None) -> Tensor:
        places.add(x.data_ptr())
        return x.sum()

    run = GraphedStep(step, (), recorder)
    for size in range(1, MOST + 3):
        for value in range(WARMUP + 2):
            assert run(torch.full((size,), float(value)), None) == size * value
    assert recorder.recorded == MOST
    assert recorder.replayed == 2 * MOST
    places.clear()
    for value in range(5):
        run(torch.full((1,), float(value)), None)
    assert len(places) == 1
    run(torch.ones(1), 3)  # another step, where what is no tensor differs
    assert recorder.warmed == MOST * WARMUP + 2 * (WARMUP + 2) + 1


def test_spikes_are_given_dense() -> None:
    x = trains(5, 3, 6)
    counts = torch.where(x > 0, 2.0, 0.0)
    given: list[Tensor] = []
    run = GraphedStep(given.append, (), Recorder())
    run(Spikes.from_dense(x))
    run(Spikes.from_dense(counts))
    assert given[0].dtype == torch.bool
    assert torch.equal(given[0], x.bool())
    assert torch.equal(given[1], counts)


def test_what_cannot_be_captured_runs_as_it_is_and_says_why() -> None:
    run = GraphedStep(lambda x: x + 1, (), Failing())
    for n in range(WARMUP):
        assert int(run(torch.tensor(n))) == n + 1
    with pytest.warns(RuntimeWarning, match="without a CUDA graph: it cannot be captured"):
        assert int(run(torch.tensor(7))) == 8
    assert run.reason == "it cannot be captured (operation not permitted when stream is capturing)"
    assert int(run(torch.tensor(8))) == 9


def test_on_the_cpu_a_step_stays_as_it_is() -> None:
    run = lfp_snn.make_graphed(lambda x: x + 1)
    assert int(run(torch.tensor(1))) == 2
    assert run.reason == "what it takes does not lie on one CUDA device"
    assert make_graphed is lfp_snn.make_graphed


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_graph_on_a_device_trains_as_the_loop_does() -> None:
    def weights(graph: bool) -> list[Tensor]:
        torch.manual_seed(0)
        lfp = TemporalLFP(mlp().float().to("cuda"))
        optimizer = torch.optim.Adam(lfp.parameters(), lr=0.05, fused=True)
        scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.8)
        reward = RateCoded()

        def step(x: Tensor, labels: Tensor) -> None:
            lfp.backward(reward(lfp.forward(x), labels))
            optimizer.step()

        run: Any = make_graphed(step, optimizer) if graph else step
        labels = (torch.arange(8) % 3).to("cuda")
        for n in range(10):
            run(trains(7, 8, 6, seed=n).bool().to("cuda"), labels)
            scheduler.step()
        if graph:
            assert run.reason is None
        return [p.detach().cpu() for p in lfp.parameters()]

    for ours, theirs in zip(weights(True), weights(False), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
