"""Two processes train as one: whole processes under torchrun, which talk by gloo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from lfp_snn.engine import TemporalLFP
from lfp_snn.errors import ConfigError
from lfp_snn.learners import LEARNERS
from lfp_snn.rules import Epsilon
from lfp_snn.training.checkpoint import load_checkpoint
from lfp_snn.training.distributed import Buckets, World
from tests.launch import torchrun
from tests.training.conftest import UNITS
from tests.training.together import OTHERS, QUICK, network, train

#: Folders of the groups of cases that have run.
DONE: dict[tuple[str, ...], Path] = {}


@pytest.fixture(scope="module")
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes came to in a group of cases."""
    if request.param in DONE:
        return DONE[request.param]
    folder = DONE[request.param] = tmp_path_factory.mktemp("together")
    done = torchrun(2, "-m", "tests.training.together", folder, *request.param)
    assert (folder / f"{request.param[-1]}-0.safetensors").exists(), done.stderr
    assert done.returncode == 1  # since a process was killed in the end
    return folder


@pytest.mark.parametrize(
    ("folder", "case"),
    [
        *(pytest.param(tuple(QUICK), case) for case in QUICK),
        *(pytest.param(tuple(OTHERS), case, marks=pytest.mark.slow) for case in OTHERS),
    ],
    indirect=["folder"],
    ids=[*QUICK, *OTHERS],
)
def test_two_processes_end_with_the_weights_of_one(folder: Path, case: str) -> None:
    alone, result = train(case)
    (first, told), (second, _) = (
        load_checkpoint(folder / f"{case}-{rank}.safetensors") for rank in range(2)
    )
    assert alone.keys() == first.keys() == second.keys()
    for name, weights in alone.items():
        assert torch.equal(first[name], second[name]), name
        difference = (first[name].double() - weights.double()).abs().max()
        assert float(difference) <= 1e-6, name
    assert told["test"] == result.test_accuracy
    assert told["firing"] == pytest.approx(result.firing)
    assert len(told["metrics"]) == len(result.metrics)
    for one, other in zip(told["metrics"], result.metrics, strict=True):
        assert without_times(one) == pytest.approx(without_times(other))


@pytest.mark.parametrize("folder", [tuple(QUICK)], indirect=True)
def test_a_lost_process_is_told_of(folder: Path) -> None:
    told = (folder / "lost.txt").read_text()
    assert told.startswith("Process 0 of 2 (counted from 0) lost another one, which was killed")


def test_random_numbers_follow_from_seed_step_and_process() -> None:
    def drawn(world: World, step: int) -> float:
        world.seed(3, step)
        return float(torch.rand(()))

    with torch.random.fork_rng(devices=[]):
        first = drawn(World(0, 2), 5)
        assert drawn(World(0, 2), 5) == first
        assert first != drawn(World(1, 2), 5)
        assert first != drawn(World(0, 2), 6)
        assert drawn(World(), 5) != drawn(World(), 5)  # one process goes on with its own


def without_times(metrics: dict[str, Any]) -> dict[str, Any]:
    """One level of numbers, but for times."""
    flat = {**metrics, **{f"firing {key}": rate for key, rate in metrics["firing"].items()}}
    return {key: flat[key] for key in flat if key not in {"epoch_s", "wall_s", "firing"}}


def test_sums_travel_in_buckets_and_say_who_had_them(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[torch.Tensor] = []

    class Done:
        def wait(self) -> None:
            sent[-1] *= 2  # as if another process had sent the same

    def all_reduce(message: torch.Tensor, async_op: bool) -> Done:
        assert async_op
        sent.append(message)
        return Done()

    monkeypatch.setattr("lfp_snn.training.distributed.dist.all_reduce", all_reduce)
    buckets = Buckets(World(0, 2), limit=32)
    matrix, vector = torch.arange(6.0).view(2, 3), torch.ones(2)
    buckets.add(matrix, like=matrix)  # 24 bytes
    assert sent == []
    buckets.add(vector, like=vector)  # 8 more: the first message leaves while others follow
    assert [len(message) for message in sent] == [10]
    assert torch.equal(sent[0][-2:], torch.ones(2))
    first = buckets.collect()
    buckets.add(None, like=vector.double())
    nothing = buckets.collect()
    assert torch.equal(first[0], 2 * matrix) and torch.equal(first[1], 2 * vector)  # type: ignore[arg-type]
    assert nothing == [None]
    assert sent[1].dtype == torch.float64
    assert torch.equal(matrix, torch.arange(6.0).view(2, 3))  # what was added is left alone


class Watching:
    """The only process; tells what is exchanged, parameters by name."""

    def __init__(self, told: list[str], names: dict[int, str]) -> None:
        self.told, self.names = told, names
        self.parts: list[torch.Tensor | None] = []

    def add(self, part: torch.Tensor | None, like: torch.Tensor) -> None:
        self.told.append(self.names[id(like)])
        self.parts.append(part)

    def collect(self) -> list[torch.Tensor | None]:
        self.told.append("collect")
        parts, self.parts = self.parts, []
        return parts

    def sum(self, part: torch.Tensor) -> torch.Tensor:
        self.told.append("statistics")
        return part


def test_whoever_sits_out_takes_part_in_what_is_left() -> None:
    net = network("batch norm")
    engine = TemporalLFP(net, backend="torch")
    told: list[str] = []
    x = (torch.rand(8, 5, UNITS) < 0.5).double()
    engine.forward(x)  # of this process alone, as a picture of the spikes needs it
    engine.exchange = Watching(told, {id(p): name for name, p in net.named_parameters()})
    backward = ["3.weight", "3.bias", "statistics", "1.weight", "1.bias", "0.weight", "0.bias"]
    backward.append("collect")
    engine.sit_out()  # a batch without a sample
    assert told == ["statistics", *backward]
    told.clear()
    engine.forward(x)
    engine.sit_out()  # a reward that is not finite
    assert told == ["statistics", *backward]
    told.clear()
    engine.sit_out()
    assert told == ["statistics", *backward]
    told.clear()
    engine.sit_out(rule=Epsilon())  # whose credit goes through no statistics
    assert told == ["statistics", *(each for each in backward if each != "statistics")]


def test_sums_leave_from_the_last_layer_to_the_first_while_credit_flows() -> None:
    net = network("fifty steps")
    engine = TemporalLFP(net, backend="torch")
    told: list[str] = []
    names = {id(p): name for name, p in net.named_parameters()}

    kept: Any = engine.reference.nodes[0].stage
    backward = kept.backward

    def first_layer(*given: Any) -> Any:
        told.append("credit reaches the first layer")
        return backward(*given)

    kept.backward = first_layer
    engine.exchange = Watching(told, names)
    spikes = engine.forward((torch.rand(8, 5, UNITS) < 0.5).double())
    engine.backward(torch.ones_like(spikes))
    assert told == [
        "2.weight",
        "2.bias",
        "credit reaches the first layer",
        "0.weight",
        "0.bias",
        "collect",
    ]


def test_a_network_that_normalises_batches_learns_alone_under_autograd() -> None:
    learner = LEARNERS["surrogate"].from_options(
        network("batch norm"), LEARNERS["surrogate"].Options(name="surrogate")
    )
    with pytest.raises(ConfigError, match="'1' normalises.*learner BPTT"):
        learner.share(Buckets(World(0, 2)))
