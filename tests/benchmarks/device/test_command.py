"""The command for a GPU, on the CPU at small sizes: every part runs, and its record is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks.device import command
from benchmarks.device.cases import CASES, LAYERS
from benchmarks.device.contenders import CONTENDERS, OursAsFit
from benchmarks.device.figures import growth_of_layers
from benchmarks.device.measure import DeviceRow, measure_row
from benchmarks.device.roof import Roof
from benchmarks.steps.contenders import Contender
from benchmarks.steps.peers import SnnTorch
from lfp_snn.backends.precision import PRECISIONS
from lfp_snn.errors import RunError

CPU = torch.device("cpu")
ROOF = Roof(1e9, dict.fromkeys(PRECISIONS, 1e10))


def test_the_networks_are_of_the_table() -> None:
    sizes = {case.name: sum(p.numel() for p in case.network().parameters()) for case in CASES}
    assert sizes["mlp, batch 100"] == 2312 * 1000 + 1000 + 10 * 1000 + 10
    assert sizes["csnn, T = 100"] == 2 * 12 * 25 + 12 + 12 * 32 * 25 + 32 + 800 * 10 + 10
    channels = [m.out_channels for m in CASES[5].network() if isinstance(m, nn.Conv2d)]
    assert channels == [64, 64, 128, 128, 256, 256]
    for case in (*CASES, LAYERS[0]):
        problem = case.small().pose()
        assert problem.x.shape == (3, 2, *case.shape)
        out = problem.build()(problem.x.dense()[0])[0]
        assert out.shape == (2, case.classes)
        assert int(problem.labels.max()) < case.classes
        assert problem.facts()["case"] == case.name


def row_of(make: Any, case: int = 2) -> DeviceRow:
    return measure_row(CASES[case].small(), make, CPU, 1, ROOF, peaks=False)


@pytest.mark.parametrize("make", CONTENDERS, ids=lambda make: make().title)
def test_every_contender_makes_a_step_or_says_why_not(make: Any) -> None:
    row, contender = row_of(make), make()
    if not row.seconds:
        assert row.why is not None
        assert "import" in row.why or "a CUDA graph takes a CUDA device" in row.why
        return
    assert len(row.seconds) == 1
    assert (row.peak, row.why) == (None, contender.reason)
    on_lists = isinstance(contender, OursAsFit) and contender.backend == "auto"
    assert (row.moved is None) == (row.operations is None) == (row.least is None) == on_lists


def test_operations_and_bytes_of_a_step_against_counts_by_hand() -> None:
    row = row_of(lambda: OursAsFit("eager", "tf32", "torch"), 0)
    # Currents and feedback of both layers, and the credit between them.
    frames, first, last = 3 * 2, 2312 * 1000, 1000 * 10
    assert row.operations == 2 * frames * (2 * (first + last) + last)
    assert row.moved is not None and row.moved > 4 * frames * 2312
    assert row.least == max(row.moved / 1e9, row.operations / 1e10)


def test_what_fails_is_a_row_that_says_why() -> None:
    class Broken(SnnTorch):
        def build(self, problem: Any) -> nn.Module:
            raise RuntimeError("out of memory\nand more")

    row = row_of(Broken)
    assert (row.seconds, row.why, row.median) == ((), "out of memory", None)


def test_the_figure_leaves_out_what_did_not_run() -> None:
    names = [case.name for case in LAYERS[:2]]
    seconds = {names[0]: 0.1, names[1]: 0.2}
    rows = [DeviceRow(name, "ours", (s,), 2**20, 1, 1, 0.01) for name, s in seconds.items()]
    times, peaks = growth_of_layers([*rows, DeviceRow(names[0], "theirs", why="no")]).axes
    assert [line.get_label() for line in peaks.lines] == ["ours"]
    points: Any = times.lines[0].get_xydata()
    assert points.tolist() == [[512, 100], [1024, 200]]


def test_the_command_keeps_a_record_of_every_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few: tuple[Any, ...] = (OursAsFit, SnnTorch)
    monkeypatch.setattr(command, "CONTENDERS", few)
    monkeypatch.setattr(command, "CASES", CASES[:1])
    monkeypatch.setattr(command, "LAYERS", LAYERS[:1])
    monkeypatch.setattr(command.DeviceSession, "counts", lambda self: None)
    command.main(["--device", "cpu", "--small", "--out", str(tmp_path)])
    record = json.loads((tmp_path / "device.json").read_text())
    assert record["device"] == "cpu"
    assert record["small"]
    assert record["roof"]["bandwidth"] > 0
    assert [row["contender"] for row in record["table"]] == [
        "lfp_snn, tf32, eager",
        "snntorch, BPTT, eager",
    ]
    assert all(row["median"] > 0 for row in (*record["table"], *record["layers"]))
    assert [epoch["name"] for epoch in record["epochs"]] == ["mnist", "nmnist"]
    assert all(epoch["median"] > 0 for epoch in record["epochs"])
    assert (tmp_path / "device-layers.svg").exists()
    assert "an epoch of 300 like mnist" in capsys.readouterr().out


def test_a_device_that_is_not_there_and_a_part_that_is_not_are_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        command.main(["tables"])
    assert "there is no part 'tables'; expected counts, table, layers, epochs" in (
        capsys.readouterr().err
    )
    if not torch.cuda.is_available():
        with pytest.raises(RunError, match="cuda: there is no CUDA device"):
            command.main([])


def test_contenders_start_from_the_same_weights() -> None:
    kinds: list[Contender] = [OursAsFit(), SnnTorch()]
    held = []
    for each in kinds:
        each.prepare(CASES[0].small().pose())
        held.append(each.held())
    assert held[0] < held[1]  # lists of spikes, where others hold them dense
