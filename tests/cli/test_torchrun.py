"""``torchrun lfp-snn train``: one process writes, and one that dies leaves a run to go on with."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest
import torch

from lfp_snn.training.checkpoint import load_checkpoint
from tests.cli.conftest import SMALL
from tests.cli.test_kill import metrics
from tests.launch import torchrun

# Runs the command line; process RANK sends itself (or torchrun, its parent) a signal after a step.
PROGRAM = """
import os, sys
from lfp_snn.cli import main
from lfp_snn.training.loop import Trainer

rank, step, signum, to = sys.argv.pop(1).split(",")
made = Trainer._step

def _step(self, batch):
    made(self, batch)
    if self.progress.step == int(step) and os.environ["RANK"] == rank:
        os.kill(os.getpid() if to == "self" else os.getppid(), int(signum))

Trainer._step = _step
main()
"""

TRAIN = ("train", "digits", *SMALL, "checkpoint_every=2", "workers=2")
NEVER = "0,-1,0,self"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("torchrun") / "program.py"
    path.write_text(PROGRAM)
    return path


@pytest.fixture(scope="module")
def killed(program: Path) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A run whose second process was killed in mid-epoch, between two checkpoints."""
    run = program.parent / "killed"
    sigkill = f"1,9,{signal.SIGKILL},self"
    return run, torchrun(2, program, sigkill, *TRAIN, "--out", run)


@pytest.mark.slow
def test_when_a_process_is_killed_the_other_says_so(
    killed: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    run, done = killed
    assert done.returncode == 1  # torchrun's own
    (line,) = (each for each in done.stderr.splitlines() if each.startswith("error"))
    assert line.startswith("error in process 0: Process 0 of 2 (counted from 0) lost another one")
    assert line.endswith("start all of them again with --resume.")
    assert done.stdout.count("run: ") == 1  # the second process prints nothing
    assert not (run / "result.json").exists()
    assert json.loads((run / "run.json").read_text())["processes"] == 2
    assert load_checkpoint(run / "checkpoints" / "last.safetensors")[1]["progress"]["step"] == 8


@pytest.mark.slow
def test_a_killed_training_goes_on_with_the_same_bits(
    program: Path, killed: tuple[Path, subprocess.CompletedProcess[str]]
) -> None:
    straight = program.parent / "straight"
    done = torchrun(2, program, NEVER, *TRAIN, "--out", straight)
    assert done.returncode == 0, done.stderr
    run, _ = killed
    done = torchrun(2, program, NEVER, *TRAIN, "--out", run, "--resume")
    assert done.returncode == 0, done.stderr
    for name in ("last", "best"):
        expected, _ = load_checkpoint(straight / "checkpoints" / f"{name}.safetensors")
        got, _ = load_checkpoint(run / "checkpoints" / f"{name}.safetensors")
        assert got.keys() == expected.keys()
        assert [key for key in got if not torch.equal(got[key], expected[key])] == []
    assert metrics(run) == metrics(straight)
    assert (run / "report.html").exists()


@pytest.mark.slow
def test_sigterm_stops_all_after_the_same_step_and_another_number_goes_on(program: Path) -> None:
    run = program.parent / "stopped"
    sigterm = f"1,3,{signal.SIGTERM},parent"
    done = torchrun(2, program, sigterm, *TRAIN, "--out", run)
    assert done.returncode != 0
    assert "and saved; continue with" in done.stderr
    step = load_checkpoint(run / "checkpoints" / "last.safetensors")[1]["progress"]["step"]
    assert 3 <= step < 12
    done = torchrun(3, program, NEVER, *TRAIN, "--out", run, "--resume")
    assert done.returncode == 0, done.stderr
    assert (run / "result.json").exists()
