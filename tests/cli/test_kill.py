"""Harm in the middle of an epoch, resume, and compare bits: whole processes, no tricks."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from lfp_snn.training.checkpoint import load_checkpoint
from tests.cli.conftest import SMALL

TIMES = {"epoch_s", "wall_s"}

# Runs the command line; after a step, given as the first argument, it does the second.
PROGRAM = """
import os, pathlib, resource, signal, sys
import torch
from lfp_snn.cli import main
from lfp_snn.cli.display import Display

torch.set_num_threads(2)
step, harm = int(sys.argv.pop(1)), sys.argv.pop(1)
shown = Display.stepped

def limit(what, most):
    resource.setrlimit(what, (most, most))

def stepped(self, report):
    shown(self, report)
    if report.step != step:
        return
    if harm == "disk":  # no file gets longer than that
        limit(resource.RLIMIT_FSIZE, 100_000)
    elif harm == "memory":
        pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
        limit(resource.RLIMIT_AS, pages * resource.getpagesize() + 2**20)
    elif harm:
        os.kill(os.getpid(), getattr(signal, harm))

Display.stepped = stepped
main()
"""


def command(*arguments: object, step: int = 0, harm: str = "") -> list[str]:
    return [sys.executable, "-c", PROGRAM, str(step), harm, *map(str, arguments)]


def lfp_snn(*arguments: object, step: int = 0, harm: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments, step=step, harm=harm),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def metrics(run: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: line[key] for key in line if key not in TIMES} for line in lines]


def same_end(run: Path, straight: Path) -> None:
    """Equal weights, optimizer and all, equal best weights, equal metrics."""
    for name in ("last", "best"):
        expected, _ = load_checkpoint(straight / "checkpoints" / f"{name}.safetensors")
        got, _ = load_checkpoint(run / "checkpoints" / f"{name}.safetensors")
        assert got.keys() == expected.keys()
        assert [key for key in got if not torch.equal(got[key], expected[key])] == []
    assert metrics(run) == metrics(straight)


TRAIN = ("train", "digits", *SMALL, "checkpoint_every=4")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds ``straight``, the run that nobody harmed."""
    folder = tmp_path_factory.mktemp("kill")
    done = lfp_snn(*TRAIN, "--out", folder / "straight")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return folder


@pytest.mark.parametrize(
    ("step", "harm", "code", "told"),
    [
        (3, "SIGKILL", -signal.SIGKILL, ""),
        (11, "SIGKILL", -signal.SIGKILL, ""),
        (9, "SIGTERM", 128 + signal.SIGTERM, "Stopped in epoch 2, step 9 and saved"),
        (9, "disk", 2, "last.safetensors cannot be written (File too large); what was there"),
        (9, "memory", 2, "Memory ran out: make batch_size smaller than 20, or set learner.memory"),
    ],
    ids=["kill-before-a-checkpoint", "kill-in-the-second-epoch", "term", "disk", "memory"],
)
def test_a_harmed_run_ends_with_the_same_bits(
    folder: Path, step: int, harm: str, code: int, told: str
) -> None:
    run = folder / f"{harm}-{step}"
    harmed = lfp_snn(*TRAIN, "--out", run, step=step, harm=harm)
    assert harmed.returncode == code, harmed.stderr
    if told:
        assert harmed.stderr.startswith("error: ") and harmed.stderr.count("\n") == 1
        assert told in harmed.stderr
    assert not (run / "result.json").exists()
    done = lfp_snn("train", run / "config.yaml", "--out", run, "--resume")
    assert done.returncode == 0, done.stderr
    same_end(run, folder / "straight")


@pytest.mark.slow
def test_fifty_kills_at_random_moments(folder: Path, tmp_path: Path) -> None:
    """Most of the time goes into checkpoints, one after every step, so most kills fall into them.

    Every checkpoint that is there after a kill can be read. The moments are drawn between the first
    line that the process prints and a little more than it takes to the end of training.
    """
    draw = random.Random(0)
    every = ("data.train=1200", "epochs=3", "checkpoint_every=1", "keep_checkpoints=3")
    train = ("train", "digits", *SMALL, *every, "model.hidden=[256]", "workers=2")
    straight, run = tmp_path / "straight", tmp_path / "run"
    done = lfp_snn(*train, "--out", straight)
    assert done.returncode == 0, done.stderr
    kills = finished = writing = 0
    while kills < 50:
        resumed = (run / "config.yaml").exists()
        begin = ("train", run / "config.yaml", "--resume") if resumed else train
        arguments = command(*begin, "--out", run)
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
            assert child.stdout is not None
            child.stdout.readline()  # "run: ...": all is imported, and the work begins
            time.sleep(draw.uniform(0, 2.5))
            child.send_signal(signal.SIGKILL)
            _, errors = child.communicate()
        if child.returncode == 0:  # it was quicker: once more from the beginning
            same_end(run, straight)
            finished += 1
            os.rename(run, tmp_path / f"finished-{finished}")  # noqa: PTH104
            continue
        assert child.returncode == -signal.SIGKILL, errors.decode()
        kills += 1
        for path in (run / "checkpoints").glob("*.safetensors"):
            load_checkpoint(path)
        writing += bool(list((run / "checkpoints").glob(".*")))
    done = lfp_snn("train", run / "config.yaml", "--out", run, "--resume")
    assert done.returncode == 0, done.stderr
    same_end(run, straight)
    print(f"{kills} kills, {writing} of them while a checkpoint was written, {finished + 1} ends")
