"""Runs that survive: damaged checkpoints, NaN, a second process, no memory, no room."""

from __future__ import annotations

import itertools
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Container
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lfp_snn.data import Splits
from lfp_snn.errors import NotFiniteError, RunError
from lfp_snn.learners import LEARNERS, StepResult
from lfp_snn.learners.lfp import LFP
from lfp_snn.models import build
from lfp_snn.training import Interrupted, Observer, fit
from lfp_snn.training.checkpoint import load_checkpoint
from lfp_snn.training.guard import IN_A_ROW, Guard
from lfp_snn.training.interrupt import deferred_signals
from lfp_snn.training.lock import locked
from tests.training.conftest import CLASSES, UNITS
from tests.training.test_loop import Listener, Stop, new_net, same, timeless, weights

Settings = dict[str, Any]


def press(step: int) -> Stop:
    return Stop(step, lambda: os.kill(os.getpid(), signal.SIGINT))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# ---------------------------------------------------------------- the latest checkpoints


@pytest.mark.parametrize(
    ("keep", "kept"), [(1, []), (2, ["step-9"]), (4, ["step-6", "step-7", "step-9"])]
)
def test_so_many_of_the_latest_are_kept(
    splits: Splits, settings: Settings, tmp_path: Path, keep: int, kept: list[str]
) -> None:
    changed = {**settings, "checkpoint_every": 2, "keep_checkpoints": keep}
    with pytest.raises(Interrupted):
        fit(new_net(), splits, out=tmp_path / "run", observers=[press(11)], **changed)
    found = names(tmp_path / "run/checkpoints")
    assert found == ["best.safetensors", "last.safetensors", *(f"{n}.safetensors" for n in kept)]
    for name in kept:
        _, state = load_checkpoint(tmp_path / f"run/checkpoints/{name}.safetensors")
        assert f"step-{state['progress']['step']}" == name


@pytest.mark.parametrize("damage", ["truncated", "flipped", "gone"])
def test_a_damaged_checkpoint_is_replaced_by_the_one_before(
    splits: Splits, settings: Settings, tmp_path: Path, damage: str
) -> None:
    run, last = tmp_path / "run", tmp_path / "run/checkpoints/last.safetensors"
    changed = {**settings, "checkpoint_every": 2, "keep_checkpoints": 3}
    with pytest.raises(Interrupted):
        fit(new_net(), splits, out=run, observers=[press(11)], **changed)
    content = last.read_bytes()
    last.unlink()  # which the others are links to, where nothing has replaced them
    if damage != "gone":
        rest = b"" if damage == "truncated" else bytes([content[-1] ^ 1])
        last.write_bytes(content[:-1] + rest)
    listener = Listener()
    resumed, straight = new_net(3), new_net()
    result = fit(resumed, splits, out=run, resume=True, observers=[listener], **changed)
    expected = fit(straight, splits, **changed)
    assert listener.heard[0] == ("started", 9, 28)
    assert same(weights(resumed), weights(straight))
    assert timeless(result.metrics) == timeless(expected.metrics)
    if damage == "gone":  # killed between two names: nothing was lost that was there
        assert listener.warnings == []
    else:
        assert "last.safetensors is damaged" in listener.warnings[0]
        assert "goes on from the one before" in listener.warnings[0]
        assert "step-9.safetensors" in listener.warnings[0]
    assert names(run / "checkpoints") == [
        "best.safetensors",
        "last.safetensors",
        "step-25.safetensors",
        "step-27.safetensors",
    ]


def test_where_all_are_damaged_that_is_said(
    splits: Splits, settings: Settings, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with pytest.raises(Interrupted):
        fit(new_net(), splits, out=run, observers=[press(9)], **settings)
    for path in (run / "checkpoints").iterdir():
        path.write_bytes(b"nothing")
    with pytest.raises(RunError, match=r"last\.safetensors is damaged.*no earlier one"):
        fit(new_net(), splits, out=run, resume=True, **settings)
    assert {path.read_bytes() for path in (run / "checkpoints").iterdir()} == {b"nothing"}


def test_without_hard_links_the_latest_are_kept_too(
    splits: Splits, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refused)
    fit(new_net(), splits, out=tmp_path / "run", **settings)
    assert names(tmp_path / "run/checkpoints") == [
        "best.safetensors",
        "last.safetensors",
        "step-21.safetensors",
    ]


def test_what_a_killed_process_was_writing_is_removed(
    splits: Splits, settings: Settings, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with pytest.raises(Interrupted):
        fit(new_net(), splits, out=run, observers=[press(9)], **settings)
    (run / "checkpoints/.last.safetensors.writing-abc").write_bytes(b"half")
    (run / ".mine").write_bytes(b"precious")
    fit(new_net(), splits, out=run, resume=True, **settings)
    assert not list((run / "checkpoints").glob(".*"))
    assert (run / ".mine").exists()


# ---------------------------------------------------------------- mid-epoch, whatever is used

VARIANTS: dict[str, Settings] = {
    "workers": {"workers": 2, "sampling": "balanced"},
    "sgd-cosine": {
        "optimizer": {"name": "sgd", "lr": 0.01, "momentum": 0.9},
        "schedule": {"name": "cosine"},
        "workers": 2,
    },
    "update": {"learner": {"name": "lfp", "update": {"normalise": "max", "form": "oja"}}},
    "chunked": {"learner": {"name": "lfp", "memory": "chunked", "chunk": 3}, "clip": None},
    "surrogate": {"learner": {"name": "surrogate"}},
    "ottt": {"learner": {"name": "ottt"}, "schedule": {"name": "step"}},
    "rstdp": {"learner": {"name": "rstdp"}},
    "dfa": {"learner": {"name": "dfa"}},
    "patience": {"patience": 2, "checkpoint_every": 1},
    "skips": {"on_non_finite": "skip", "workers": 1},
    "ema": {"ema": 0.8},
}


def normalised(seed: int) -> nn.Module:
    """Dropout and batch normalisation: what a mode and a random number can go wrong in."""
    torch.manual_seed(seed)
    net, norm = list(new_net(seed)), nn.BatchNorm1d(12)
    nn.init.constant_(norm.bias, 1e-3)  # at zero it would never learn
    return nn.Sequential(nn.Dropout(0.1), net[0], norm, *net[1:])


@pytest.mark.parametrize("variant", VARIANTS)
def test_mid_epoch_resume_gives_the_same_bits(
    splits: Splits, settings: Settings, tmp_path: Path, variant: str
) -> None:
    changed = {**settings, "epochs": 3, **VARIANTS[variant]}
    make: Callable[[int], nn.Module] = normalised
    if variant in ("rstdp", "ottt", "chunked"):  # these know no batch normalisation
        make = new_net
    for step in (4, 9):  # killed twice, in two epochs
        net, again = make(0 if step == 4 else step), step > 4
        with pytest.raises(Interrupted):
            fit(net, splits, out=tmp_path / "run", resume=again, observers=[press(step)], **changed)
    resumed, straight = make(7), make(0)
    second = fit(resumed, splits, out=tmp_path / "run", resume=True, **changed)
    first = fit(straight, splits, **changed)
    ended, expected = resumed.state_dict(), straight.state_dict()
    assert [name for name in expected if not torch.equal(ended[name], expected[name])] == []
    assert timeless(second.metrics) == timeless(first.metrics)


# ---------------------------------------------------------------- NaN and infinity


def poison(monkeypatch: pytest.MonkeyPatch, where: str, calls: Container[int]) -> None:
    """Let something become NaN or infinite in these steps, counted from 1, and only there."""
    inner, steps = LFP.feedback, itertools.count(1)

    def feedback(self: LFP, batch: Any) -> StepResult:
        if next(steps) not in calls:
            return inner(self, batch)
        bias: Tensor = list(self.net.modules())[-2].bias  # type: ignore[assignment]
        before = bias.detach().clone()
        with torch.no_grad():
            bias[1] = math.inf if where == "membranes" else bias[1]
            try:
                result = inner(self, batch)
            finally:
                bias.copy_(before)
        if where == "feedback":
            first = next(self.net.parameters())
            assert first.grad is not None
            first.grad[0, 0] = math.nan
        return replace(result, reward=math.inf) if where == "reward" else result

    monkeypatch.setattr(LFP, "feedback", feedback)


WHERE = {
    "reward": "The reward at the output, layer '3', is not finite",
    "membranes": "The membranes of layer '3' are not finite",
    "feedback": "The feedback of 0.weight is not finite",
}


@pytest.mark.parametrize("where", WHERE)
def test_what_is_not_finite_stops_with_the_layer_and_the_checkpoint(
    splits: Splits,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        poison(patch, where, {10})
        with pytest.raises(RunError) as caught:
            fit(new_net(), splits, out=run, **settings)
    assert str(caught.value) == (
        f"{WHERE[where]} in epoch 2, step 10; lower optimizer['lr'], raise "
        f"learner['rule']['eps'], or pass over single steps with on_non_finite='skip'. The last "
        f"checkpoint, "
        f"{run}/checkpoints/last.safetensors, is intact."
    )
    assert load_checkpoint(run / "checkpoints/last.safetensors")[1]["progress"]["step"] == 7
    resumed, straight = new_net(2), new_net()
    fit(resumed, splits, out=run, resume=True, **settings)
    fit(straight, splits, **settings)
    assert same(weights(resumed), weights(straight))


@pytest.mark.parametrize("where", WHERE)
def test_a_step_that_is_skipped_leaves_no_trace(
    splits: Splits, settings: Settings, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Equal to a training in which nothing is learnt in that step."""
    skipping = {**settings, "epochs": 2, "on_non_finite": "skip", "schedule": {"name": "constant"}}
    bad = {1, 9, 10}
    listener, net = Listener(), normalised(0)
    with monkeypatch.context() as patch:
        poison(patch, where, bad)
        result = fit(net, splits, observers=[listener], **skipping)
    assert [line["skipped"] for line in result.metrics] == [1, 2]
    told = WHERE[where].replace("'3'", "'5'").replace("0.weight", "1.weight")
    assert len(result.warnings) == 1 and result.warnings[0].startswith(told)
    assert listener.warnings == result.warnings
    assert [heard for heard in listener.heard if isinstance(heard, int)] == [*range(1, 15)]

    other = normalised(0)
    with monkeypatch.context() as patch:
        forget_steps(patch, bad)
        fit(other, splits, **{**skipping, "on_non_finite": "stop"})
    expected = other.state_dict()
    assert all(torch.equal(t, expected[name]) for name, t in net.state_dict().items())


def forget_steps(monkeypatch: pytest.MonkeyPatch, calls: Container[int]) -> None:
    """Let the learner run these steps, and put everything back that it changed."""
    inner, steps = LFP.feedback, itertools.count(1)

    def feedback(self: LFP, batch: Any) -> StepResult:
        bad = next(steps) in calls
        before = {name: t.clone() for name, t in self.net.state_dict().items()}
        result = inner(self, batch)
        if bad:
            self.net.load_state_dict(before)
            for parameter in self.net.parameters():
                parameter.grad = None
        return result

    monkeypatch.setattr(LFP, "feedback", feedback)


@pytest.mark.parametrize("learner", ["lfp", "surrogate"])
@pytest.mark.parametrize("how", ["stop", "skip"])
def test_statistics_that_are_not_finite_are_told_and_taken_back(
    splits: Splits, settings: Settings, learner: str, how: str
) -> None:
    net: Any = normalised(0)
    with torch.no_grad():
        net[1].weight.mul_(1e25)  # what is normalised is finite, its variance is not
    before = {name: b.clone() for name, b in net.named_buffers() if name.startswith("2.")}
    with pytest.raises(RunError, match=r"2\.running_var'? (is|are) not finite in") as caught:
        chosen = {"calibrate": None, "learner": {"name": learner}, "on_non_finite": how}
        fit(net, splits, **{**settings, **chosen})
    assert ("skip" in str(caught.value)) == (how == "stop")
    if how == "skip":
        assert all(torch.equal(before[name], net.get_buffer(name)) for name in before)


@pytest.mark.parametrize("part", ["val", "test"])
def test_what_is_not_finite_in_an_evaluation_is_one_sentence(
    splits: Splits, settings: Settings, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scores(self: LFP, batch: Any) -> Any:
        raise NotFiniteError("The output of the network is not finite")

    monkeypatch.setattr(LFP, "scores", scores)
    if part == "test":
        splits = replace(splits, val=splits.val.subset([]))
    where = "the test" if part == "test" else "the validation of epoch 1"
    with pytest.raises(RunError) as caught:
        fit(new_net(), splits, **settings)
    assert str(caught.value) == (
        f"The output of the network is not finite in {where}; lower optimizer['lr'] or raise "
        "learner['rule']['eps']."
    )


def test_skipping_ends_after_many_in_a_row(
    splits: Splits, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, "reward", range(9, 100))
    skipping = {**settings, "on_non_finite": "skip", "checkpoint_every": 1}
    with pytest.raises(
        RunError, match=rf"^{IN_A_ROW} steps in a row were passed over: The reward.*step 18;"
    ):
        fit(new_net(), splits, out=tmp_path / "run", **skipping)
    _, state = load_checkpoint(tmp_path / "run/checkpoints/last.safetensors")
    assert state["progress"]["skipped_in_a_row"] == 9  # and so it counts on after a resume


def test_an_epoch_of_which_nothing_is_left_ends_too(
    splits: Splits, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, "feedback", range(100))
    with pytest.raises(RunError, match="^7 steps in a row were passed over"):
        fit(new_net(), splits, **settings, on_non_finite="skip")


def test_no_checkpoint_is_written_with_weights_that_are_not_finite(
    splits: Splits, settings: Settings, tmp_path: Path
) -> None:
    net: Any = new_net()

    def poison_weights() -> None:
        with torch.no_grad():
            net[0].weight[1, 2] = math.inf

    every = {**settings, "checkpoint_every": 2}
    with pytest.raises(RunError, match=r"weights 0\.weight are not finite.*step 11;.*is intact"):
        fit(net, splits, out=tmp_path / "run", observers=[Stop(11, poison_weights)], **every)
    tensors, state = load_checkpoint(tmp_path / "run/checkpoints/last.safetensors")
    assert state["progress"]["step"] == 9
    assert bool(tensors["net/0.weight"].isfinite().all())


@pytest.mark.parametrize("learner", ["surrogate", "dfa", "rstdp", "step_gradient", "ottt"])
def test_membranes_of_every_learner_are_looked_at(splits: Splits, learner: str) -> None:
    net: Any = build("mlp", (UNITS,), CLASSES, hidden=[4])
    guard = Guard(
        LEARNERS[learner].from_options(net, LEARNERS[learner].Options(name=learner)), False
    )
    guard.feedback(splits.train.batch([0, 1, 2]))
    with torch.no_grad():
        net[0].bias[1] = -math.inf  # silent, so that nothing else shows it
    with pytest.raises(NotFiniteError, match="membranes of layer '1'"):
        guard.feedback(splits.train.batch([0, 1, 2]))


# ---------------------------------------------------------------- one process at a time


def test_a_run_that_another_process_has_is_refused(
    splits: Splits, settings: Settings, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with pytest.raises(Interrupted):
        fit(new_net(), splits, out=run, observers=[press(9)], **settings)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with locked(run), pytest.raises(RunError, match=rf"in use by process {os.getpid()} on "):
        fit(new_net(), splits, out=run, resume=True, **settings)
    after = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert {path.name for path in after if before[path] != after[path]} <= {".lock"}
    fit(new_net(), splits, out=run, resume=True, **settings)


def test_a_training_has_its_directory_to_itself(
    splits: Splits, settings: Settings, tmp_path: Path
) -> None:
    refused: list[str] = []

    def second() -> None:
        with pytest.raises(RunError) as caught:
            fit(new_net(), splits, out=tmp_path / "run", resume=True, **settings)
        refused.append(str(caught.value))

    fit(new_net(), splits, out=tmp_path / "run", observers=[Stop(3, second)], **settings)
    assert "is in use by process" in refused[0]


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib; from lfp_snn.training.lock import locked\n"
        "with locked(pathlib.Path(sys.argv[1])): print('has it', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"has it\n"
        with pytest.raises(RunError, match=f"in use by process {child.pid} on "), locked(tmp_path):
            pass
        child.kill()
        child.wait()
        with locked(tmp_path):
            assert f"process {os.getpid()} " in (tmp_path / ".lock").read_text()


def test_a_lock_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / ".lock").symlink_to(tmp_path / "precious")
    with pytest.raises(RunError, match="cannot be written to"), locked(tmp_path):
        pass
    assert (tmp_path / "precious").read_text() == "mine"


# ---------------------------------------------------------------- memory


@pytest.mark.parametrize(
    ("error", "learner", "advice"),
    [
        (MemoryError(), {"name": "lfp"}, "or set learner={'memory': 'chunked'}, which is full"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9"),
            {"name": "lfp", "memory": "chunked"},
            "or set learner['chunk'], which is null, to fewer steps",
        ),
        (torch.cuda.OutOfMemoryError("CUDA out of memory"), {"name": "surrogate"}, "or steps, or "),
    ],
)
def test_without_memory_it_is_said_what_to_make_smaller(
    splits: Splits,
    settings: Settings,
    tmp_path: Path,
    error: Exception,
    learner: Settings,
    advice: str,
) -> None:
    def fail() -> None:
        raise error

    run = tmp_path / "run"
    changed = {**settings, "learner": learner}
    with pytest.raises(RunError) as caught:
        fit(new_net(), splits, out=run, observers=[Stop(10, fail)], **changed)
    assert str(caught.value).startswith("Memory ran out: make batch_size smaller than 6, or ")
    assert advice in str(caught.value)
    assert str(caught.value).endswith(f"What {run} holds is intact.")
    resumed, straight = new_net(2), new_net()
    fit(resumed, splits, out=run, resume=True, **changed)
    fit(straight, splits, **changed)
    assert same(weights(resumed), weights(straight))


def test_other_errors_are_left_alone(splits: Splits, settings: Settings) -> None:
    def fail() -> None:
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="^something else$"):
        fit(new_net(), splits, observers=[Stop(1, fail)], **settings)


# ---------------------------------------------------------------- signals


class Pressed(Observer):
    """Stops when the last epoch has ended."""

    def epoch_ended(self, metrics: dict[str, Any]) -> None:
        if metrics["epoch"] == 4:
            os.kill(os.getpid(), signal.SIGINT)


def test_a_signal_in_the_last_validation_stops_before_the_test(
    splits: Splits, settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(Interrupted, match="epoch 4, step 28 and saved"):
        fit(new_net(), splits, out=tmp_path / "run", observers=[Pressed()], **settings)
    assert not (tmp_path / "run/result.json").exists()
    listener = Listener()
    fit(new_net(), splits, out=tmp_path / "run", resume=True, observers=[listener], **settings)
    assert listener.heard == [("started", 28, 28), "testing"]


def test_what_ignores_signals_can_be_stopped_all_the_same() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with deferred_signals() as pending:
            signal.raise_signal(signal.SIGINT)
            assert pending.signum == signal.SIGINT
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
