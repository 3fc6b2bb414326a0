"""Opening a run: what is given in the place of a function that makes network or data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lfp_snn.errors import RunError
from lfp_snn.training import TrainedRun, fit


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"net": nn.Linear(3, 2)}, r"net is a Linear; expected a function.*net=lambda: Net\(\)"),
        ({"net": "mine:make_net"}, "net is a str; expected a function"),
        ({"net": nn.Linear}, r"net is a function that needs arguments; .*net=lambda: make"),
        ({"data": ((1, 2), (3, 4))}, r"data is a tuple; expected a function.*\(train, val, test\)"),
    ],
)
def test_what_is_made_already_is_refused(given: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=told):
        TrainedRun.open(tmp_path, **given)


def test_a_function_that_makes_no_network_is_told(tmp_path: Path) -> None:
    torch.manual_seed(0)
    data = torch.rand(8, 1, 3), torch.arange(8) % 2
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    learner = {"reward": {"name": "softmax_values"}}
    fit(net, data, epochs=1, learner=learner, out=tmp_path / "run", progress=False, calibrate=None)
    nothing: Any = lambda: None  # noqa: E731
    with pytest.raises(RunError, match="net makes a NoneType; expected a function that makes"):
        TrainedRun.open(tmp_path / "run", net=nothing)


def test_a_run_is_named_by_a_path() -> None:
    number: Any = 3
    with pytest.raises(RunError, match="The run is 3; expected the path of its directory"):
        TrainedRun.open(number)
