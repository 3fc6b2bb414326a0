"""Optimizers and schedules: the learning rates that really come out."""

from __future__ import annotations

import json

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from lfp_snn.training.optim import (
    SGD,
    Adam,
    AdamW,
    ConstantSchedule,
    CosineSchedule,
    OneCycleSchedule,
    ScheduleOptions,
    StepSchedule,
)


def rates(schedule: ScheduleOptions, epochs: int = 10, steps: int = 10) -> list[float]:
    """The rate of every step."""
    optimizer = SGD(lr=1.0).build([nn.Parameter(torch.zeros(1))])
    scheduler = schedule.build(optimizer, epochs, steps)
    seen = []
    for _ in range(epochs * steps):
        seen.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return seen


def test_constant_stays() -> None:
    assert set(rates(ConstantSchedule())) == {1.0}


def test_one_cycle_goes_up_and_down_once() -> None:
    seen = rates(OneCycleSchedule(warmup=0.2, start=10.0))
    assert seen[0] == pytest.approx(0.1)
    assert max(seen) == pytest.approx(1.0, rel=1e-3)
    peak = seen.index(max(seen))
    assert 18 <= peak <= 21
    assert seen[: peak + 1] == sorted(seen[: peak + 1])
    assert seen[peak:] == sorted(seen[peak:], reverse=True)
    assert seen[-1] < 0.01


def test_cosine_reaches_its_floor() -> None:
    seen = rates(CosineSchedule(floor=0.2))
    assert seen[0] == 1.0
    assert seen[50] == pytest.approx(0.6)
    assert 0.2 < seen[-1] < 0.201


def test_cosine_after_a_way_up() -> None:
    seen = rates(CosineSchedule(floor=0.2, warmup=0.2))
    assert seen[0] == pytest.approx(0.01) and seen[10] == pytest.approx(0.505)
    assert seen[20] == 1.0 and seen[60] == pytest.approx(0.6) and 0.2 < seen[-1] < 0.202
    assert seen[:21] == sorted(seen[:21]) and seen[20:] == sorted(seen[20:], reverse=True)
    short = rates(CosineSchedule(warmup=0.9), epochs=1, steps=1)  # no step is left to go down
    assert len(short) == 1 and 0 < short[0] <= 1


def test_a_way_up_goes_on_where_it_stopped() -> None:
    def made() -> tuple[torch.optim.Optimizer, LRScheduler]:
        optimizer = SGD(lr=1.0).build([nn.Parameter(torch.zeros(1))])
        return optimizer, CosineSchedule(warmup=0.2).build(optimizer, 10, 10)

    whole = rates(CosineSchedule(warmup=0.2))
    for stop in (5, 20, 50):
        optimizer, scheduler = made()
        for _ in range(stop):
            optimizer.step()
            scheduler.step()
        kept = json.loads(json.dumps([optimizer.state_dict(), scheduler.state_dict()]))
        optimizer, scheduler = made()
        optimizer.load_state_dict(kept[0])
        scheduler.load_state_dict(kept[1])
        for n in range(stop, 100):
            assert optimizer.param_groups[0]["lr"] == pytest.approx(whole[n])
            optimizer.step()
            scheduler.step()


def test_step_changes_every_few_epochs() -> None:
    seen = rates(StepSchedule(every=4, factor=0.5))
    assert [seen[n] for n in (0, 39, 40, 79, 80, 99)] == [1, 1, 0.5, 0.5, 0.25, 0.25]


def test_optimizers_are_torchs() -> None:
    parameters = [nn.Parameter(torch.zeros(1))]
    adam = Adam(lr=0.1, betas=[0.8, 0.9], eps=1e-5).build(parameters)
    assert isinstance(adam, torch.optim.Adam)
    assert adam.defaults["betas"] == (0.8, 0.9)
    assert adam.defaults["eps"] == 1e-5
    assert SGD(momentum=0.5).build(parameters).defaults["momentum"] == 0.5


def test_betas_are_two_shares() -> None:
    for betas in ([0.9], [0.9, 1.0], [0.9, 0.9, 0.9]):
        with pytest.raises(ValidationError):
            Adam(betas=betas)


def test_adamw_takes_a_share_of_the_weight_and_adam_a_part_of_the_gradient() -> None:
    """Two weights of one size, with gradients of different sizes and of none."""
    moved = {}
    for kind in (Adam, AdamW):
        weight = nn.Parameter(torch.tensor([2.0, 2.0, 2.0]))
        optimizer = kind(lr=0.1, weight_decay=0.5).build([weight])
        weight.grad = torch.tensor([0.0, 1.0, 100.0])
        optimizer.step()
        moved[kind] = (weight.detach() - 2).tolist()
    assert moved[AdamW] == pytest.approx([-0.1, -0.2, -0.2])  # lr times 0.5 times 2, and lr
    assert moved[Adam] == pytest.approx([-0.1, -0.1, -0.1])  # the decay alone is a whole step
