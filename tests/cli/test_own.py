"""Runs of ``fit`` with a network of one's own, and with data of one's own, on the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lfp_snn.training import TrainedRun
from lfp_snn.training.result import Result
from lfp_snn.training.rundir import RunDir
from tests.matrix.workspace import run_cli

MINE = """
import snntorch as snn
import torch
from torch import nn
from torch.utils.data import TensorDataset

from lfp_snn.data import load


def make_net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(8 * 8, 30), snn.Leaky(beta=0.9, init_hidden=True),
        nn.Linear(30, 10), snn.Leaky(beta=0.9, init_hidden=True, output=True),
    )


def make_other():
    return nn.Sequential(nn.Linear(3, 3))


def make_zero():
    net = make_net()
    net[2] = snn.Leaky(beta=0.9, init_hidden=True, reset_mechanism="zero")
    return net


def make_faster():
    net = make_net()
    net[2].beta.fill_(0.7)
    return net


def make_list():
    return []


def fails():
    return 1 / 0


def parts():
    from sklearn.datasets import load_digits

    images, labels = (torch.as_tensor(each) for each in load_digits(return_X_y=True))
    images = images.view(-1, 1, 8, 8).float() / 8
    return tuple(
        TensorDataset(images[start:end], labels[start:end])
        for start, end in ((0, 300), (300, 400), (400, 500))
    )


def other_parts():
    train, val, test = parts()
    return train, val, TensorDataset(test.tensors[0], test.tensors[1].flip(0))


def digits():
    return load("digits", train=200, height=8, width=8)
"""
FIT = """
from ours import make_net, parts
from lfp_snn import fit
from lfp_snn.data import load

common = dict(epochs=2, batch_size=25, device="cpu", calibrate=0.1)
fit(make_net(), *parts(), steps=6, out="own", **common)
fit(make_wide(), load("digits", train=200), out="named", **common)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with ours.py and two runs: of named data, and of data of one's own."""
    folder = tmp_path_factory.mktemp("own")
    wide = MINE[MINE.index("def make_net") : MINE.index("def make_other")]
    wide = wide.replace("make_net", "make_wide").replace("8 * 8", "2 * 34 * 34")
    (folder / "ours.py").write_text(MINE + wide)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        exec(FIT.replace("import make_net", "import make_net, make_wide"), {})
        yield folder
    sys.modules.pop("ours", None)


@pytest.fixture
def here(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(made)
    return made


OWN = ["own", "--net", "ours:make_net", "--data", "ours:parts"]
NAMED = ["named", "--net", "ours:make_wide"]


def told(*words: str) -> str:
    result = run_cli(list(words))
    assert result.exit_code == 0, result.output
    return str(result.stdout)


@pytest.mark.parametrize("words", [OWN, NAMED], ids=["own", "named"])
def test_evaluate_says_what_training_said(words: list[str], here: Path) -> None:
    expected = Result.read(RunDir.open(here / words[0])).test_accuracy
    assert json.loads(told("evaluate", *words, "--json"))["test_accuracy"] == expected > 0.2


@pytest.mark.parametrize("words", [OWN, NAMED], ids=["own", "named"])
def test_every_command_takes_it(words: list[str], here: Path, tmp_path: Path) -> None:
    assert "class" in told("explain", *words, "--smooth", "0", "--out", str(tmp_path / "e"))
    assert (tmp_path / "e" / "test-0" / "strip.svg").exists()
    told("explain", *words, "--smooth", "0", "--batch", "--samples", "5",
         "--out", str(tmp_path / "b"))  # fmt: skip
    told("prune", *words, "--criteria", "magnitude,relevance", "--shares", "0,0.5", "--samples",
         "20", "--out", str(tmp_path / "p"))  # fmt: skip
    assert (tmp_path / "p" / "report.html").exists()
    told("export", *words, "--out", str(tmp_path / "n.nir"))
    told("export", *words, "--to", "int8", "--out", str(tmp_path / "n.npz"))
    assert (tmp_path / "n.nir").exists() and (tmp_path / "n.npz").exists()


def test_metrics_takes_it(here: Path) -> None:
    pytest.importorskip("neurobench")
    assert json.loads(told("metrics", *NAMED, "--samples", "4", "--json"))["parameters"] > 60_000


def test_predict_reads_a_recording_of_named_data(here: Path) -> None:
    pytest.importorskip("sklearn")
    import numpy as np

    from tests.data.helpers import encode, random_events

    path = here / "one.bin"
    path.write_bytes(encode(random_events(np.random.default_rng(0), [300])))
    assert told("predict", "named", str(path), "--net", "ours:make_wide").startswith("class ")
    result = run_cli(["predict", "own", str(path), "--net", "ours:make_net"])
    assert result.exit_code == 2 and "nothing says how a file becomes" in result.output


def test_changes_of_the_data_that_has_a_name(here: Path) -> None:
    few = TrainedRun.open("named", ["data.train=50"], net=lambda: _made("make_wide"))
    assert len(few.splits().train) == 50


def _made(name: str):  # type: ignore[no-untyped-def]
    import ours  # type: ignore[import-not-found]

    return getattr(ours, name)()


MISTAKES = {
    "no network": (["evaluate", "own"], "--net module:function"),
    "no data": (["evaluate", "own", "--net", "ours:make_net"], "--data module:function"),
    "other data": (
        ["evaluate", "own", "--net", "ours:make_net", "--data", "ours:other_parts"],
        "The data are others than ",
    ),
    "another network": (["evaluate", "own", "--net", "ours:make_other"], "is of another network"),
    "another reset": (
        ["evaluate", "own", "--net", "ours:make_zero"],
        "is of another network: 2.reset_mechanism_val was 0 and is 1 in the one that net makes",
    ),
    "another decay": (
        ["prune", "own", "--net", "ours:make_faster", "--data", "ours:parts"],
        "is of another network: 2.beta was 0.9 and is 0.7 in the one that net makes",
    ),
    "no module": (["evaluate", "own", "--net", "ours:make_list"], "makes a list; expected a torch"),
    "no colon": (["evaluate", "own", "--net", "ours"], "expected module:function"),
    "no file": (["evaluate", "own", "--net", "yours:net"], "cannot be imported"),
    "no function": (["evaluate", "own", "--net", "ours:nothing"], "has no function nothing"),
    "a failure": (["evaluate", "own", "--net", "ours:fails"], "fails in line"),
    "no description": (
        ["export", *OWN, "--to", "safetensors", "--out", "x.safetensors"],
        "takes one that a config describes",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_a_sentence(name: str, here: Path) -> None:
    words, expected = MISTAKES[name]
    result = run_cli(words)
    assert result.exit_code == 2
    assert expected in " ".join(result.output.split())
    assert "Traceback" not in result.output
