"""Kill -9 in the middle of an epoch, resume, and compare bits: whole processes, no tricks."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from lfp_snn.training.checkpoint import load_checkpoint
from tests.cli.conftest import SMALL

TIMES = {"epoch_s", "wall_s"}

# Runs the command line; with a number as first argument it kills itself after that step.
PROGRAM = """
import os, signal, sys
import torch
from lfp_snn.cli import main
from lfp_snn.cli.display import Display

torch.set_num_threads(2)
step = int(sys.argv.pop(1))
shown = Display.stepped

def stepped(self, report):
    shown(self, report)
    if report.step == step:
        os.kill(os.getpid(), signal.SIGKILL)

Display.stepped = stepped
main()
"""


def lfp_snn(kill_after: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, str(kill_after), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def metrics(run: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: line[key] for key in line if key not in TIMES} for line in lines]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds ``straight``, the run that nobody killed."""
    folder = tmp_path_factory.mktemp("kill")
    done = lfp_snn(0, "train", "digits", *SMALL, "checkpoint_every=4", "--out", folder / "straight")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return folder


@pytest.mark.parametrize("step", [3, 11], ids=["before-a-checkpoint", "in-the-second-epoch"])
def test_a_killed_run_ends_with_the_same_bits(folder: Path, step: int) -> None:
    run = folder / f"killed-{step}"
    killed = lfp_snn(step, "train", "digits", *SMALL, "checkpoint_every=4", "--out", run)
    assert killed.returncode == -signal.SIGKILL
    assert not (run / "result.json").exists()
    done = lfp_snn(0, "train", run / "config.yaml", "--out", run, "--resume")
    assert done.returncode == 0, done.stderr

    for name in ("last", "best"):
        expected, _ = load_checkpoint(folder / "straight" / "checkpoints" / f"{name}.safetensors")
        got, _ = load_checkpoint(run / "checkpoints" / f"{name}.safetensors")
        assert got.keys() == expected.keys()
        assert [key for key in got if not torch.equal(got[key], expected[key])] == []
    assert metrics(run) == metrics(folder / "straight")
