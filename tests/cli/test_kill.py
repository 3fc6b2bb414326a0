"""Harm in the middle of an epoch, resume, and compare bits: whole processes, no tricks."""

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

# Runs the command line, without the report; after a step, given as the first argument, it does the
# second.
PROGRAM = """
import os, pathlib, resource, signal, sys
import torch
import lfp_snn.cli.train
from lfp_snn.cli import main
from lfp_snn.training.display import Display

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
        torch.zeros(2**28)  # a large network would ask for it
    elif harm:
        os.kill(os.getpid(), getattr(signal, harm))

Display.stepped = stepped
lfp_snn.cli.train.write_report = lambda run: run / "report.html"
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
        pytest.param(*(11, "SIGKILL", -signal.SIGKILL, ""), marks=pytest.mark.slow),
        pytest.param(
            *(9, "SIGTERM", 128 + signal.SIGTERM, "Stopped in epoch 2, step 9 and saved"),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            *(9, "disk", 2, "last.safetensors cannot be written (File too large); what was there"),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            *(9, "memory", 2, "Memory ran out: make batch_size smaller than 20, or set learner.m"),
            marks=pytest.mark.slow,
        ),
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


# Loads everything once, in one thread. Each training is then a process of its own that
# begins there and is killed: some at any time, most at any time after training has begun. One that
# comes to its end is put aside, and the next is new.
KILLER = """
import json, os, random, signal, sys, time
from pathlib import Path
import torch, torch._dynamo  # which an optimizer would load in every process
from lfp_snn.training import Observer, load_config, train
from lfp_snn.training.checkpoint import load_checkpoint
from lfp_snn.training.assembly import load_splits

torch.set_num_threads(1)
folder, wanted, changes = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
run = folder / "run"
config = load_config(Path("configs/digits.yaml"), changes)
splits = load_splits(config)

class Tell(Observer):
    def started(self, report):
        os.write(self.pipe, b"x")

def begin():
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        code, tell = 1, Tell()
        tell.pipe = theirs
        try:
            resume = (run / "config.yaml").exists()
            train(config, run, splits=splits, resume=resume, observers=[tell])
            code = 0
        finally:
            os._exit(code)
    os.close(theirs)
    return child, ours

child, pipe = begin()
os.read(pipe, 1)
start = time.monotonic()
assert os.waitpid(child, 0)[1] == 0
takes = time.monotonic() - start
run.rename(folder / "straight")
draw, kills, torn, ends = random.Random(0), 0, 0, 0
while kills < wanted or run.exists():
    child, pipe = begin()
    if kills < wanted:
        if draw.random() < 0.9:
            os.read(pipe, 1)
        time.sleep(draw.uniform(0, 0.6 * takes))
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    os.close(pipe)
    for path in (run / "checkpoints").glob("*.safetensors"):
        load_checkpoint(path)
    if os.WIFSIGNALED(status):
        kills += 1
        torn += bool(list((run / "checkpoints").glob(".*")))
    else:
        assert status == 0
        ends += 1
        run.rename(folder / f"end-{ends}")
    print(kills, torn, ends, file=sys.stderr)
print(json.dumps({"kills": kills, "torn": torn, "ends": ends, "takes_s": round(takes, 2)}))
"""


@pytest.mark.slow
def test_fifty_kills_at_random_moments(tmp_path: Path, repository: Path) -> None:
    """A checkpoint after every step, so that many kills fall into the writing of one."""
    changes = ["epochs=3", "checkpoint_every=1", "keep_checkpoints=3", "model.hidden=[256]"]
    changes += ["workers=1", "learner.backend=torch"]
    done = subprocess.run(
        [sys.executable, "-c", KILLER, tmp_path, "50", *SMALL, *changes],
        capture_output=True,
        text=True,
        cwd=repository,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout.splitlines()[-1])
    print(counts)
    assert counts["kills"] == 50
    assert counts["torn"] > 0
    assert counts["ends"] > 1
    for number in range(counts["ends"]):
        same_end(tmp_path / f"end-{number + 1}", tmp_path / "straight")
