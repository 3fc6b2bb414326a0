from __future__ import annotations

import json
from time import sleep

import pytest
import torch

from benchmarks.steps.contenders import CPU, OURS, Contender
from benchmarks.steps.problem import Network, Problem, synthetic
from benchmarks.steps.timing import compare, threads
from lfp_snn.analysis.machine import machine

ORDER: list[str] = []


class Sleeper(Contender):
    pause = 0.002
    name = OURS

    def prepare(self, problem: Problem, device: torch.device = CPU) -> None:
        self.turn = 0

    def step(self) -> None:
        ORDER.append(self.name)
        self.turn += 1
        sleep(self.pause if self.turn > 2 else 10 * self.pause)  # slow while it warms up

    def firing(self) -> tuple[float, ...]:
        return (0.5,)


class Slow(Sleeper):
    pause = 0.02
    name = "slow"


class Absent(Sleeper):
    name = "absent"

    def available(self) -> str | None:
        return "not installed"

    def prepare(self, problem: Problem, device: torch.device = CPU) -> None:
        raise AssertionError("one that is not available is not prepared")


@pytest.fixture(scope="module")
def problem() -> Problem:
    return synthetic(Network("mlp", {"hidden": []}, 2), batch=2, steps=10, density=0.5)


def test_steps_take_turns_and_the_warm_up_is_left_out(problem: Problem) -> None:
    ORDER.clear()
    comparison = compare(problem, [Sleeper(), Absent(), Slow()], rounds=3, warmup=2)
    assert ORDER == [OURS, "slow"] * 5
    assert {name: len(each.seconds) for name, each in comparison.measured.items()} == {
        OURS: 3,
        "slow": 3,
    }
    assert comparison.left_out == {"absent": "not installed"}
    assert 0.02 <= comparison.measured["slow"].median < 0.2  # one of the warm-up takes 0.2
    assert comparison.ratio("slow") == pytest.approx(
        comparison.measured["slow"].median / comparison.measured[OURS].median
    )


def test_the_record_is_json_and_says_what_was_measured(problem: Problem) -> None:
    comparison = compare(problem, [Sleeper()], rounds=1, warmup=0)
    record = json.loads(json.dumps(comparison.record()))
    assert record["batch"] == 2 and record["steps"] == 10 and "synthetic" in record["input"]
    assert record["seconds"][OURS]["firing"] == [0.5]


def test_threads_are_put_back() -> None:
    before = torch.get_num_threads()
    with threads(1):
        assert machine()["threads"] == 1
    assert torch.get_num_threads() == before


def test_machine_names_versions_of_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lfp_snn.analysis.machine.PACKAGES", ("torch", "no-such-package"))
    assert machine()["versions"].keys() == {"torch"}
