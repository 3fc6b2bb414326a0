"""Checkpoints: what goes in comes out, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from lfp_snn.errors import RunError
from lfp_snn.learners import LEARNERS, Learner
from lfp_snn.learners.lfp import LFP
from lfp_snn.models import build
from lfp_snn.rewards import RateCoded
from lfp_snn.rules import Epsilon
from lfp_snn.training.checkpoint import (
    DamagedError,
    Snapshot,
    load_checkpoint,
    load_net,
    read_tensors,
    save_checkpoint,
)
from lfp_snn.training.optim import OPTIMIZERS, SCHEDULES, Schedule
from lfp_snn.training.progress import Progress, Totals


class WithState(LFP):
    """LFP that remembers something of its own."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__(net, Epsilon(0.1), RateCoded())
        self.trace = torch.zeros(3)

    def state_dict(self) -> dict[str, Tensor]:
        return {"trace": self.trace}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.trace = state["trace"]


def make(optimizer: dict[str, Any], schedule: str) -> tuple[Learner, Snapshot]:
    torch.manual_seed(0)
    learner = WithState(build("mlp", (6,), 2, hidden=[4]))
    name = optimizer.pop("name")
    built = OPTIMIZERS[name](name=name, **optimizer).build(learner.parameters())
    scheduler = SCHEDULES[schedule](name=schedule).build(built, epochs=4, steps_per_epoch=5)
    return learner, Snapshot(learner, built, Schedule(scheduler, "step"))


def walk(learner: Learner, snapshot: Snapshot, steps: int) -> None:
    for _ in range(steps):
        for parameter in learner.parameters():
            parameter.grad = torch.randn_like(parameter)
        snapshot.optimizer.step()
        snapshot.schedule.stepped()


@pytest.mark.parametrize("schedule", list(SCHEDULES))
@pytest.mark.parametrize(
    "optimizer",
    [
        {"name": "adam", "lr": 0.01, "weight_decay": 0.1},
        {"name": "adamw", "lr": 0.01, "weight_decay": 0.1},
        {"name": "lion", "lr": 0.01, "weight_decay": 0.1},
        {"name": "muon", "lr": 0.01, "weight_decay": 0.1},
        {"name": "sgd", "lr": 0.1},
        {"name": "sgd", "lr": 0.1, "momentum": 0.9},
    ],
    ids=["adam", "adamw", "lion", "muon", "sgd", "momentum"],
)
def test_training_goes_on_as_if_never_stopped(
    tmp_path: Path, optimizer: dict[str, Any], schedule: str
) -> None:
    learner, snapshot = make(dict(optimizer), schedule)
    walk(learner, snapshot, 7)
    progress = Progress(
        epoch=1, batch=2, step=7, wall_s=0.1, warnings=["w"], totals=Totals(firing={"1": 1 / 3})
    )
    best = {"weight": torch.randn(2, 2)}
    learner.trace = torch.randn(3)  # type: ignore[attr-defined]
    snapshot.save(tmp_path / "c", progress, best)
    walk(learner, snapshot, 8)

    other, resumed = make(dict(optimizer), schedule)
    torch.manual_seed(99)
    got_progress, got_best = resumed.load(tmp_path / "c")
    assert got_progress == progress
    assert torch.equal(got_best["weight"], best["weight"])
    assert not torch.equal(other.trace, torch.zeros(3))  # type: ignore[attr-defined]
    walk(other, resumed, 8)
    for one, two in zip(learner.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)
    assert snapshot.schedule.state_dict() == resumed.schedule.state_dict()


def test_it_is_one_safetensors_file(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c", {"a": torch.arange(3)}, {"x": 0.1})
    with safe_open(tmp_path / "c", framework="pt") as file:
        assert file.get_tensor("a").tolist() == [0, 1, 2]
        assert file.metadata() == {"state": '{"x": 0.1}', "crc32": "cb97dd03"}


def test_shared_and_strided_tensors_are_kept(tmp_path: Path) -> None:
    base = torch.arange(6.0).reshape(2, 3)
    save_checkpoint(tmp_path / "c", {"a": base, "b": base.T}, {})
    tensors, _ = load_checkpoint(tmp_path / "c")
    assert torch.equal(tensors["a"], base)
    assert torch.equal(tensors["b"], base.T)


def test_damaged_and_missing_checkpoints(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no checkpoint"):
        load_checkpoint(tmp_path / "c")
    save_checkpoint(tmp_path / "c", {"a": torch.arange(300)}, {})
    whole = (tmp_path / "c").read_bytes()
    for damaged in (whole[:-9], whole[:5], b"", b"x" * 99):
        (tmp_path / "c").write_bytes(damaged)
        with pytest.raises(RunError, match="damaged"):
            load_checkpoint(tmp_path / "c")


def test_a_flipped_bit_is_found_wherever_it_is(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c", {"a": torch.arange(30.0), "b": torch.ones(3)}, {"x": 0.125})
    whole = (tmp_path / "c").read_bytes()
    at = [whole.index(b"0.125") + 2, len(whole) - 130, len(whole) - 1]
    for place in at:
        (tmp_path / "c").write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(DamagedError, match="its checksum is another"):
            load_checkpoint(tmp_path / "c")


def test_a_checkpoint_without_a_checksum_is_read(tmp_path: Path) -> None:
    """Those of version 0.1.0 have none."""
    save_file({"a": torch.ones(2)}, tmp_path / "c", {"state": "{}"})
    assert load_checkpoint(tmp_path / "c")[1] == {}


@pytest.mark.parametrize("state", [{}, {"progress": 3}, {"optimizer": {"numbers": 3}}])
def test_a_state_that_is_none_is_told_as_damage(tmp_path: Path, state: dict[str, Any]) -> None:
    learner, snapshot = make({"name": "adam"}, "constant")
    save_checkpoint(
        tmp_path / "c", {f"net/{n}": t for n, t in learner.net.state_dict().items()}, state
    )
    with pytest.raises(DamagedError, match="c is damaged"):
        snapshot.load(tmp_path / "c")


@pytest.mark.parametrize("hidden", [[4, 4], [5]])
def test_weights_of_another_network_are_refused(hidden: list[int]) -> None:
    net = build("mlp", (6,), 2, hidden=[4])
    with pytest.raises(RunError, match="of another network"):
        load_net(net, build("mlp", (6,), 2, hidden=hidden).state_dict(), "there")


def test_lfp_itself_has_no_state() -> None:
    net = build("mlp", (6,), 2, hidden=[4])
    learner = LEARNERS["lfp"].from_options(net, LEARNERS["lfp"].Options(name="lfp"))
    assert learner.state_dict() == {}


def test_what_was_loaded_outlives_a_file_that_is_cut(tmp_path: Path) -> None:
    """Tensors on a mapped file would end the process here (SIGBUS), and no test could tell."""
    path, first = tmp_path / "last.safetensors", torch.randn(100_000)
    tensors = {"a": first, "none": torch.empty(0, 3), "one": torch.tensor(True)}
    save_checkpoint(path, tensors, {"step": 1})
    found, _ = load_checkpoint(path)
    with path.open("r+b") as file:
        file.truncate(1000)
    for name, tensor in tensors.items():
        torch.testing.assert_close(found[name], tensor)
    with pytest.raises(DamagedError, match="is damaged and cannot be read"):
        load_checkpoint(path)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int64])
def test_notes_and_tensors_of_any_type_are_read(tmp_path: Path, dtype: torch.dtype) -> None:
    path, tensor = tmp_path / "any.safetensors", torch.arange(6).reshape(2, 3).to(dtype)
    save_file({"a": tensor, "b": tensor[0].clone()}, path, {"who": "é"})
    notes, tensors = read_tensors(path)
    assert notes == {"who": "é"}
    assert torch.equal(tensors["a"], tensor) and torch.equal(tensors["b"], tensor[0])
    save_file({"a": tensor}, path)
    assert read_tensors(path)[0] == {}
