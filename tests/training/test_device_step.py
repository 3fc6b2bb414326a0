"""Steps that the host does not wait for are those of the loop; with a double of CUDA's graphs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lfp_snn.data import Batch, Splits
from lfp_snn.engine import TemporalLFP
from lfp_snn.engine.graphed import GraphedStep
from lfp_snn.errors import RunError
from lfp_snn.learners.lfp import LFP
from lfp_snn.models import build
from lfp_snn.rewards import Function, RateCoded
from lfp_snn.rules import Epsilon, Gamma
from lfp_snn.spikes import Spikes
from lfp_snn.training import device_step as module
from lfp_snn.training import fit
from lfp_snn.training.device_step import DeviceStep, why_not
from lfp_snn.training.distributed import ALONE
from lfp_snn.training.observer import Observer
from tests.engine.compare import leaky, strong, trains
from tests.engine.test_graphed import Failing, Recorder
from tests.training.conftest import CLASSES, UNITS


class Warnings(Observer):
    def __init__(self) -> None:
        self.said: list[str] = []

    def warned(self, message: str) -> None:
        self.said.append(message)


@pytest.fixture
def on_device(monkeypatch: pytest.MonkeyPatch) -> Callable[[Recorder], None]:
    """The CPU is taken for a device whose steps a recorder records."""

    def take(recorder: Recorder) -> None:
        monkeypatch.setattr(DeviceStep, "serves", staticmethod(lambda device: True))
        made = partial(GraphedStep)

        def graphed(step: Any, optimizers: Any, _: Any, tell: Any) -> GraphedStep[Any]:
            return made(step, optimizers, recorder, tell)

        monkeypatch.setattr(module, "GraphedStep", graphed)

    return take


def trained(
    splits: Splits, settings: dict[str, Any], layers: list[nn.Module] | None = None, **other: Any
) -> tuple[dict[str, Tensor], Any]:
    torch.manual_seed(0)
    net: nn.Module = build("mlp", (UNITS,), CLASSES, hidden=[12])
    if layers is not None:
        net = nn.Sequential(*layers)
        for parameter in net.parameters():
            nn.init.uniform_(parameter, -0.5, 0.7)
    result = fit(net, splits, **{**settings, **other})
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}, result


def normed(*, bias: bool = True) -> list[nn.Module]:
    return [
        nn.Linear(UNITS, 12, bias=bias),
        nn.BatchNorm1d(12),
        leaky(),
        nn.Linear(12, CLASSES),
        leaky(),
    ]


@pytest.mark.parametrize("batch_size", [6, 8])  # of 42 samples: whole batches, and a rest of two
@pytest.mark.parametrize("norm", [None, "fixed", "through"])
@pytest.mark.parametrize("ema", [None, 0.8])
def test_a_training_is_the_same(
    batch_size: int,
    norm: str | None,
    ema: float | None,
    splits: Splits,
    settings: dict[str, Any],
    on_device: Callable[[Recorder], None],
) -> None:
    options: dict[str, Any] = {
        "batch_size": batch_size,
        "ema": ema,
        "learner": {"name": "lfp", "backend": "torch", "statistics": norm},
    }
    run = partial(trained, splits, settings, **options)
    # Through statistics the feedback of a bias is zero but for rounding, which Adam makes steps of.
    layers = partial(normed, bias=norm == "fixed") if norm else lambda: None
    usual, expected = run(layers=layers())
    recorder = Recorder()
    on_device(recorder)
    ours, found = run(layers=layers())
    assert recorder.recorded >= 1
    assert recorder.replayed > recorder.warmed
    for name, tensor in usual.items():
        torch.testing.assert_close(ours[name], tensor, rtol=1e-4, atol=1e-5)
    for mine, theirs in zip(found.metrics, expected.metrics, strict=True):
        for key in ("train_accuracy", "train_ties", "clipped", "skipped", "lr", "val_accuracy"):
            assert mine[key] == theirs[key], key
        for key in ("reward", "feedback_norm"):
            assert mine[key] == pytest.approx(theirs[key], rel=1e-4)
        assert mine["firing"] == pytest.approx(theirs["firing"], rel=1e-6)


@pytest.mark.parametrize("backend", ["torch", "events"])
@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("own_lengths", [False, True])
def test_a_padded_batch_gives_the_feedback_of_the_short_one(
    backend: str, norm: bool, own_lengths: bool
) -> None:
    layers: list[nn.Module] = [nn.Linear(6, 5), leaky(), nn.Linear(5, 3), leaky(threshold=0.5)]
    if norm:
        layers.insert(1, nn.BatchNorm1d(5))
    net = strong(nn.Sequential(*layers))
    learner = LFP(net, Epsilon(0.1), RateCoded())
    learner.engine = TemporalLFP(net, Epsilon(0.1), backend)
    x = Spikes.from_dense(trains(7, 3, 6))
    short = Batch(x, torch.tensor([0, 2, 1]), torch.tensor([7, 2, 5]) if own_lengths else None)
    start = {name: tensor.clone() for name, tensor in net.state_dict().items()}

    def learnt(batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor], Any]:
        net.load_state_dict(start)
        result = learner.feedback(batch)
        grads = {n: p.grad.clone() for n, p in net.named_parameters() if p.grad is not None}
        return grads, {n: t.clone() for n, t in net.state_dict().items()}, result

    grads, state, result = learnt(short)
    for padded in (short.padded(5), short.padded(3)):
        assert padded.lengths is not None
        ours, statistics, told = learnt(padded)
        assert any(bool(grad.any()) for grad in grads.values())
        for name, grad in grads.items():
            torch.testing.assert_close(ours[name], grad, rtol=1e-9, atol=1e-12)
        for name, tensor in state.items():
            torch.testing.assert_close(statistics[name], tensor)
        assert float(told.reward) * len(padded) == pytest.approx(float(result.reward) * 3)
        assert torch.equal(told.classes[:3], result.classes)
        for name, rate in result.firing.items():
            assert float(told.firing[name]) == pytest.approx(float(rate))


def test_constant_currents_and_targets_are_padded_too() -> None:
    batch = Batch(torch.ones(2, 4), torch.tensor([1, 0]), steps=5, targets=torch.ones(5, 2, 3))
    padded = batch.padded(3)
    assert isinstance(padded.x, Tensor)
    assert padded.x.shape == (3, 4)
    assert padded.lengths is not None
    assert padded.lengths.tolist() == [5, 5, 0]
    assert padded.targets is not None
    assert padded.targets.shape == (5, 3, 3)
    assert not bool(padded.targets[:, 2].any())
    trains_given = Batch(torch.ones(5, 2, 4), torch.tensor([1, 0]), targets=torch.ones(2))
    padded = trains_given.padded(3)
    assert padded.x.shape == (5, 3, 4)
    assert padded.targets is not None
    assert padded.targets.tolist() == [1, 1, 0]


class Spoiling(RateCoded):
    """Gives NaN in the given calls, without looking at a value."""

    def __init__(self, *calls: int) -> None:
        super().__init__()
        object.__setattr__(self, "calls", calls)
        object.__setattr__(self, "count", 0)

    def __call__(self, spikes: Tensor, *given: Any, **named: Any) -> Tensor:
        object.__setattr__(self, "count", self.count + 1)  # type: ignore[attr-defined]
        reward = super().__call__(spikes, *given, **named)
        spoilt = self.count in self.calls  # type: ignore[attr-defined]
        return reward * float("nan") if spoilt else reward


def spoilt_step(*calls: int, halt: bool) -> tuple[DeviceStep, nn.Module, Batch]:
    torch.manual_seed(0)
    net = nn.Sequential(*normed())
    learner = LFP(net, Epsilon(0.1), RateCoded())
    learner.reward = Spoiling(*calls)
    # The CPU looks at rewards itself: a device does not.
    learner.engine.backward = partial(_unlooked, learner.engine)  # type: ignore[method-assign]
    optimizer = torch.optim.Adam(net.parameters(), lr=0.05, fused=True)
    step = DeviceStep(learner, optimizer, 3.0, size=4, alike=False, halt=halt, recorder=Recorder())
    return step, net, Batch(trains(7, 4, UNITS).float(), torch.tensor([0, 1, 2, 0]))


def _unlooked(engine: TemporalLFP, reward: Tensor, **options: Any) -> None:
    TemporalLFP.backward(engine, torch.nan_to_num(reward), **options)
    if bool(reward.isnan().any()):
        for parameter in engine.parameters():
            assert parameter.grad is not None
            parameter.grad = parameter.grad * float("nan")


def test_a_step_that_is_not_finite_changes_nothing_and_is_reported_late() -> None:
    step, net, batch = spoilt_step(2, 3, halt=False)
    states = []
    for _ in range(5):
        step(batch)
        optimizer_state = [s["step"].clone() for s in step.optimizer.state.values()]
        states.append([t.clone() for t in (*net.state_dict().values(), *optimizer_state)])
    for spoilt in (1, 2):
        for before, after in zip(states[0], states[spoilt], strict=True):
            assert torch.equal(before, after)
    assert any(not torch.equal(a, b) for a, b in zip(states[2], states[3], strict=True))
    told = step.read()
    assert (told.steps, told.first, told.row, told.longest) == (5, 2, 0, 2)
    assert told.what == "The reward at the output, layer '4', is not finite"
    assert (told.sums["batches"], told.sums["skipped"], told.sums["samples"]) == (3, 2, 12)
    assert all(0 < rate < 1 for rate in told.firing.values())
    again = step.read()
    assert (again.steps, again.first, again.sums["batches"], again.firing) == (0, 0, 0, {})


def test_steps_in_a_row_are_counted_over_readings() -> None:
    step, _, batch = spoilt_step(2, 3, 4, halt=False)
    step.go_on(0)
    for _ in range(3):
        step(batch)
    assert step.read().row == 2
    step(batch)
    told = step.read()
    assert (told.first, told.row, told.longest) == (1, 3, 3)
    step(batch)
    assert step.read().row == 0


def test_after_a_step_that_stops_nothing_changes() -> None:
    step, net, batch = spoilt_step(2, halt=True)
    step(batch)
    before = [tensor.clone() for tensor in net.state_dict().values()]
    for _ in range(3):
        step(batch)
    for a, b in zip(before, net.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert step.read().first == 2


@pytest.mark.parametrize("how", ["stop", "skip"])
def test_the_loop_tells_of_a_step_that_was_not_finite(
    how: str,
    splits: Splits,
    settings: dict[str, Any],
    on_device: Callable[[Recorder], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    on_device(Recorder())
    noted = DeviceStep._note
    calls: list[int] = []

    def note(self: DeviceStep, finite: Tensor) -> Tensor:
        calls.append(1)
        return noted(self, finite & (len(calls) != 4))

    monkeypatch.setattr(DeviceStep, "_note", note)
    watching = Warnings()
    more: dict[str, Any] = {"on_non_finite": how, "observers": [watching], "epochs": 1}
    if how == "stop":
        with pytest.raises(RunError, match=r"layer '\d', is not finite in epoch 1, step 5; lower"):
            trained(splits, settings, **more)
        return
    _, result = trained(splits, settings, **more)
    assert result.metrics[0]["skipped"] == 1
    assert any("such steps are passed over" in message for message in watching.said)


def test_a_step_that_cannot_be_recorded_says_why(
    splits: Splits, settings: dict[str, Any], on_device: Callable[[Recorder], None]
) -> None:
    on_device(Failing())
    watching = Warnings()
    trained(splits, settings, observers=[watching])
    assert any("cannot be captured (operation not permitted" in said for said in watching.said)


def test_what_must_wait_for_a_device_says_why() -> None:
    net = build("mlp", (UNITS,), CLASSES, hidden=[4])
    adam = torch.optim.Adam(net.parameters(), fused=True)
    learner = LFP(net, Epsilon(0.1), RateCoded())
    assert why_not(learner, adam, ALONE) is None
    slow = torch.optim.Adam(net.parameters())
    assert "the optimizer Adam cannot pass over a step" in str(why_not(learner, slow, ALONE))
    by_sign = LFP(net, Gamma(), RateCoded())
    assert "looks at signs of its input" in str(why_not(by_sign, adam, ALONE))
    own = LFP(net, Epsilon(0.1), Function(lambda spikes, *_: spikes))
    assert "the reward Function is code" in str(why_not(own, adam, ALONE))


def test_feedback_of_a_learner_never_waits_for_the_device() -> None:
    """On the meta device nothing has a value: whoever asks for one fails."""
    net = nn.Sequential(*normed())
    learner = LFP(net, Epsilon(0.1), RateCoded())
    learner.engine.check = False  # it is made once, and compares values
    net.to("meta")
    for lengths in (None, torch.ones(2, dtype=torch.int64, device="meta")):
        x, labels = torch.empty(5, 2, UNITS, device="meta"), torch.zeros(2, device="meta").long()
        learner.feedback(Batch(x, labels, lengths))
    assert all(p.grad is not None and p.grad.shape == p.shape for p in net.parameters())
