"""Two processes train as one: whole processes under torchrun, which talk by gloo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from lfp_snn.training.checkpoint import load_checkpoint
from tests.launch import torchrun
from tests.training.together import OTHERS, QUICK, train


@pytest.fixture(scope="module")
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes came to in a group of cases."""
    folder = tmp_path_factory.mktemp("together")
    done = torchrun(2, "-m", "tests.training.together", folder, *request.param)
    assert done.returncode == 0, done.stderr
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


def without_times(metrics: dict[str, Any]) -> dict[str, Any]:
    """One level of numbers, but for times."""
    flat = {**metrics, **{f"firing {key}": rate for key, rate in metrics["firing"].items()}}
    return {key: flat[key] for key in flat if key not in {"epoch_s", "wall_s", "firing"}}
