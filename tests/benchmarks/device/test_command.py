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
from benchmarks.device.contenders import CONTENDERS, DeviceContender, OursOnDevice, SnnTorchOnDevice
from benchmarks.device.measure import measure_row
from lfp_snn.errors import RunError

CPU = torch.device("cpu")


def test_the_networks_are_of_the_table() -> None:
    sizes = {case.name: sum(p.numel() for p in case.network().parameters()) for case in CASES}
    assert sizes["mlp, batch 100"] == 2312 * 1000 + 1000 + 10 * 1000 + 10
    assert sizes["csnn, T = 100"] == 2 * 12 * 25 + 12 + 12 * 32 * 25 + 32 + 800 * 10 + 10
    channels = [m.out_channels for m in CASES[5].network() if isinstance(m, nn.Conv2d)]
    assert channels == [64, 64, 128, 128, 256, 256]
    for case in (*CASES, LAYERS[0]):
        x, labels = case.small().given(CPU)
        assert x.shape == (3, 2, *case.shape)
        out = case.network()(x.dense()[0])[0]
        assert out.shape == (2, case.classes)
        assert int(labels.max()) < case.classes


@pytest.mark.parametrize("make", CONTENDERS, ids=lambda make: make().title)
def test_every_contender_makes_a_step_or_says_why_not(make: Any) -> None:
    row = measure_row(CASES[2].small(), make, CPU, 1)
    title = make().title
    if row.why is not None and not row.seconds:
        assert "SpikingJelly" in title, row.why
        assert "import" in row.why
        return
    assert len(row.seconds) == 1
    assert row.peak is None
    if "graph" in title:
        assert row.why == "what it takes does not lie on one CUDA device"


def test_what_fails_is_a_row_that_says_why() -> None:
    class Broken(SnnTorchOnDevice):
        def build(self, case: Any) -> nn.Module:
            raise RuntimeError("out of memory\nand more")

    row = measure_row(CASES[0].small(), lambda: Broken("eager"), CPU, 1)
    assert (row.seconds, row.why, row.median) == ((), "out of memory", None)


def test_the_command_keeps_a_record_of_every_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few: tuple[Any, ...] = (lambda: OursOnDevice("graph"), lambda: SnnTorchOnDevice("eager"))
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
        "lfp_snn, tf32, graph",
        "snntorch, eager",
    ]
    assert all(row["median"] > 0 for row in (*record["table"], *record["layers"]))
    assert [epoch["name"] for epoch in record["epochs"]] == ["mnist", "nmnist"]
    assert all(epoch["median"] > 0 for epoch in record["epochs"])
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
    kinds: list[DeviceContender] = [OursOnDevice("eager"), SnnTorchOnDevice("eager")]
    held = []
    for each in kinds:
        each.prepare(CASES[0].small(), CPU)
        held.append(each.held())
    assert held[0] < held[1]  # lists of spikes, where others hold them dense
