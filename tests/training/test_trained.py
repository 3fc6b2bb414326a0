"""Opening a run: what is given in the place of a function that makes network or data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

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


def a_run(folder: Path) -> Path:
    torch.manual_seed(0)
    data = torch.rand(8, 1, 3), torch.arange(8) % 2
    learner = {"reward": {"name": "softmax_values"}}
    quick: dict[str, Any] = {"epochs": 1, "progress": False, "report": False, "calibrate": None}
    fit(values(), data, learner=learner, out=folder, **quick)
    return folder


def values() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "has finished epochs but lacks its best checkpoint .*best.safetensors: "),
        (b"damaged", "best.safetensors is damaged and cannot be read: .*; remove it and "),
    ],
)
def test_best_weights_that_are_lost_are_told_with_what_to_do(
    content: bytes | None, told: str, tmp_path: Path
) -> None:
    run = a_run(tmp_path / "run")
    (run / "checkpoints/best.safetensors").unlink()
    if content is not None:
        (run / "checkpoints/best.safetensors").write_bytes(content)
    with pytest.raises(RunError, match=f"{told}resume the run .*to write it anew"):
        TrainedRun.open(run, net=values)
    for path in [*run.glob("checkpoints/step-*"), run / "checkpoints/last.safetensors"]:
        path.unlink()
    again = "bring the file back, or train again into another folder"
    with pytest.raises(RunError, match=f"{told.removesuffix('remove it and ')}{again}"):
        TrainedRun.open(run, net=values)


def test_a_run_without_an_epoch_has_no_best_weights_yet(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    for name in ("checkpoints/best.safetensors", "result.json", "metrics.jsonl"):
        (run / name).unlink()
    with pytest.raises(RunError, match="has no best checkpoint yet: no epoch was finished"):
        TrainedRun.open(run, net=values)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ([], r"it holds \[\], expected a mapping"),
        ({"data": []}, r"data is \[\], expected a mapping"),
        ({"data": None}, "data is missing, expected a mapping"),
        ({"data": {"classes": ["a"]}}, "data.feature_shape is missing, expected sides"),
        (
            {"data": {"feature_shape": [0], "classes": ["a"]}},
            r"data.feature_shape is \[0\], expected",
        ),
        ({"data": {"feature_shape": [3]}}, "data.classes is missing, expected the names"),
        ({"data": {"feature_shape": [3], "classes": []}}, r"data.classes is \[\], expected"),
        ({"from_config": None}, "from_config is missing, expected true or false"),
    ],
)
def test_what_describes_no_run_is_told_in_words(change: Any, told: str, tmp_path: Path) -> None:
    file = a_run(tmp_path / "run") / "run.json"
    content = json.loads(file.read_text())
    if isinstance(change, dict):
        content = {key: v for key, v in {**content, **change}.items() if v is not None}
    else:
        content = change
    file.write_text(json.dumps(content))
    with pytest.raises(RunError, match=rf"run\.json does not describe a run: {told}.*; bring"):
        TrainedRun.open(tmp_path / "run", net=values)


class LoopOverPixels(nn.Module):
    """A network that shows a constant image for steps of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.lif = nn.Linear(6, 3), snn.Leaky(beta=0.9, threshold=0.4)

    def forward(self, x: Tensor) -> Tensor:
        mem, record = self.lif.init_leaky(), []
        for _ in range(7):
            spk, mem = self.lif(self.fc(x.flatten(1)), mem)
            record.append(spk)
        return torch.stack(record)


@pytest.mark.parametrize("shape", [(6,), (1, 2, 3)])
def test_images_for_a_network_that_loops_need_no_steps(
    shape: tuple[int, ...], tmp_path: Path
) -> None:
    """Neither where they are given to fit, nor where the run is opened."""
    x = torch.rand(60, *shape, generator=torch.Generator().manual_seed(0))
    parts = [(x[k : k + 20], torch.arange(20) % 3) for k in (0, 20, 40)]
    torch.manual_seed(0)
    quick: dict[str, Any] = {"epochs": 1, "progress": False, "report": False, "device": "cpu"}
    result = fit(LoopOverPixels(), *parts, out=tmp_path / "run", **quick)
    opened = TrainedRun.open(tmp_path / "run", net=LoopOverPixels, data=lambda: parts)
    assert opened.evaluate().accuracy == result.test_accuracy
    assert opened.splits().test.batch([0]).steps == 7
    short = TrainedRun.open(tmp_path / "run", net=LoopOverPixels, data=lambda: [parts[0]])
    with pytest.raises(RunError, match="The data are others than run was trained with"):
        short.splits()


class Halves(nn.Module):
    """A network whose forward tells its input's shape only where it is run."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(1, 2, 3, padding=1)
        self.fc, self.lif = nn.Linear(2 * 16, 3), snn.Leaky(beta=0.9, init_hidden=True)

    def forward(self, x: Tensor) -> Any:
        volume = torch.stack([x[..., :2], x[..., 2:]], 2)
        return self.lif(self.fc(torch.relu(self.conv(volume)).flatten(1)))


def test_a_network_is_traced_on_the_frames_of_its_data(tmp_path: Path) -> None:
    x = torch.rand(60, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    parts = [(x[k : k + 20], torch.arange(20) % 3) for k in (0, 20, 40)]
    quick: dict[str, Any] = {"epochs": 1, "progress": False, "report": False, "device": "cpu"}
    torch.manual_seed(0)
    for learner in ("surrogate", "lfp"):
        run = tmp_path / learner
        given: Any = {**quick, "learner": {"name": learner}}
        result = fit(Halves(), *parts, steps=4, out=run, **given)
        opened = TrainedRun.open(run, net=Halves, data=lambda: parts)
        assert opened.evaluate().accuracy == result.test_accuracy
