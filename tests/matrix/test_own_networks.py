"""A network that a function of the user makes, in a config: trained, compared, opened again."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lfp_snn.analysis.compare.study import ComparisonStudy
from lfp_snn.analysis.exchange.weights import load_weights, weights_bytes
from lfp_snn.errors import DataError, RunError
from lfp_snn.makers import permit
from lfp_snn.models import MODELS, build
from lfp_snn.training import Config, TrainedRun
from lfp_snn.training.configfile import make_config
from lfp_snn.training.resume import goes_on
from tests.matrix.workspace import MINE, SMALL_DIGITS, run_cli

pytestmark = pytest.mark.usefixtures("empty_folder", "no_reports")

CONFIGS = Path(__file__).parents[2] / "configs"
OWN = ("--net", "mine:make_dvs_net")
MODEL = {"name": "own", "function": "mine:make_dvs_net"}
SMALL = [each for each in SMALL_DIGITS if not each.startswith("model")]


@pytest.fixture(autouse=True)
def _module(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module of the user, in the folder where commands are run."""
    (empty_folder / "mine.py").write_text(MINE)
    (empty_folder / "wrong.py").write_text(WRONG)
    (empty_folder / "leaving.py").write_text("import sys\n\nsys.exit(2)\n")
    monkeypatch.syspath_prepend(str(empty_folder))
    for name in ("mine", "wrong", "leaving"):
        monkeypatch.delitem(__import__("sys").modules, name, raising=False)


WRONG = """
import sys
import lfp_snn
import snntorch as snn
from torch import nn


class Plain(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(2312, 10), snn.Leaky(beta=0.9, init_hidden=True))


class Wide(Plain):
    def __init__(self, width):
        super().__init__()


network = Plain()
needs = lambda width, depth, bias=True: Plain()
leaves = lambda *args, **kwargs: sys.exit(3)
forgets = lambda: None
of_class = lambda: Plain
pair = lambda: (Plain(), None)
engine = lambda: lfp_snn.TemporalLFP(Plain())
"""


@pytest.mark.parametrize("learner", ["lfp", "surrogate"])
def test_it_trains_and_is_opened_where_the_function_is_given_again(learner: str) -> None:
    done = run_cli(["train", "digits", *SMALL, *OWN, f"learner.name={learner}", "--out", "run"])
    assert done.exit_code == 0, done.output
    refused = run_cli(["evaluate", "run"])
    assert refused.exit_code == 2
    assert "run has a network of its own: say what makes it, with --net" in refused.output
    read = run_cli(["evaluate", "run", "--net", "mine:make_dvs_net"])
    assert read.exit_code == 0, read.output
    told = json.loads(Path("run/result.json").read_text())["test_accuracy"]
    assert f"{told:.2%}".replace("%", " %") in read.output
    kept = run_cli(["export", "run", "--net", "mine:make_dvs_net", "--to", "safetensors"])
    assert kept.exit_code == 2 and "takes one that a config describes" in kept.output


@pytest.mark.parametrize("make", ["make_dvs_net", "make_dvs_sums"])
def test_what_is_asked_of_a_run_is_asked_of_one_that_loops(make: str) -> None:
    """Measured by NeuroBench, quantised and explained as any other."""
    net = ("--net", f"mine:{make}")
    done = run_cli(["train", "digits", *SMALL, *net, "--out", "run"])
    assert done.exit_code == 0, done.output
    few = ["--samples", "2", "--out", "page"]
    for words in (
        ["metrics", "run"],
        ["export", "run", "--to", "int8"],
        ["explain", "run", "--faithfulness", *few],
    ):
        done = run_cli([*words, *net])
        assert done.exit_code == 0, done.output


def test_what_goes_on_with_it_names_the_function() -> None:
    settings = make_config(Config, {"name": "mine", "data": {"name": "digits"}, "model": MODEL})
    assert goes_on(settings, Path("r")).endswith("--out r --resume --net mine:make_dvs_net")


def test_a_wrong_name_is_told_before_anything_is_begun() -> None:
    done = run_cli(["compare", "compare_digits", *SMALL, "--net", "mine:nope", "--out", "out"])
    assert done.exit_code == 2
    assert "the module mine has no function nope" in " ".join(done.output.split())
    assert not Path("out").exists()


def test_data_of_the_config_are_not_given_again() -> None:
    assert run_cli(["train", "digits", *SMALL, *OWN, "--out", "run"]).exit_code == 0
    with pytest.raises(RunError, match="^run has the data of its config; leave --data out"):
        TrainedRun.open("run", net=MODELS["mlp"], data=list)  # type: ignore[arg-type]


def test_it_is_compared() -> None:
    few = ["compare.search.trials=0", "compare.reference=rescale"]
    words = ["compare", "compare_digits", *SMALL, *OWN, *few]
    done = run_cli([*words, "--learners", "rescale,surrogate", "--seeds", "2", "--out", "out"])
    assert done.exit_code == 0, done.output
    assert "surrogate, seed 1: test" in done.output


@pytest.mark.parametrize("make", ["make_readout", "make_values"])
def test_one_that_does_not_end_in_spikes_is_compared_without_a_word(
    make: str, jobs_here: None
) -> None:
    """The config searches rewards and losses of spikes, none of which fits."""
    few = ["compare.search={trials: 1, epochs: 1}", "compare.reference=rescale"]
    words = ["compare", "compare_digits", *SMALL, "--net", f"mine:{make}", *few]
    words += ["--learners", "rescale,surrogate,step_gradient"]
    done = run_cli([*words, "--seeds", "1", "--out", "out"])
    assert done.exit_code == 0, done.output
    decided = {"make_readout": "membrane_coded", "make_values": "softmax_values"}
    for learner in ("rescale", "surrogate", "step_gradient"):
        assert f"{learner}, seed 0: test" in done.output
        (config,) = Path("out").glob(f"**/{learner}/**/config.yaml")
        # The losses of the search take values too.
        told = "ce_(count|rate)_loss" if make == "make_values" else "ce_mean_membrane_loss"
        if learner != "surrogate":
            told = decided[make] if learner == "rescale" else "ce_mean_membrane_loss"
        assert re.search(told, config.read_text())


def test_values_that_fit_its_end_are_searched() -> None:
    shown = {"compare.learners.surrogate.tune": ["ce_count_loss", "tet_membrane_loss"]}
    changes = [f"{key}={{learner.loss: [{', '.join(names)}]}}" for key, names in shown.items()]
    permit("mine:make_readout")
    model = "model={name: own, function: 'mine:make_readout'}"
    study = ComparisonStudy.load(
        CONFIGS / "compare_digits.yaml",
        [model, *changes, "compare.reference=surrogate"],
        ["surrogate", "rescale"],
    )
    assert study.arms[0].tune == {"learner.loss": ["tet_membrane_loss"]}
    assert set(study.arms[1].tune) == {"optimizer.lr"}


@pytest.mark.parametrize(
    ("function", "told"),
    [
        ("mine:nothing", "--net mine:nothing: the module mine has no function nothing"),
        ("mine", "--net is 'mine'; expected module:function"),
        ("mine:parts", "--net mine:parts makes a tuple; expected a torch module"),
        ("wrong:needs", "wrong:needs needs arguments (width, depth); expected a function without"),
        ("wrong:needs", "such as def make(): return needs(width=..., depth=...)"),
        ("wrong:Wide", "wrong:Wide needs arguments (width); expected a function without"),
        ("wrong:leaves", "wrong:leaves ends the program, sys.exit(3), in the place of returning"),
        ("wrong:forgets", "makes a NoneType; expected a torch module: let the function return it"),
        ("wrong:of_class", "makes a class, Plain; expected a torch module: return Plain()"),
        ("wrong:pair", "wrong:pair makes a tuple; expected a torch module alone"),
        ("wrong:engine", "makes a TemporalLFP; expected a torch module: return its net"),
        ("wrong:network", "wrong:network is a network, a Plain, and no function that makes one"),
        ("leaving:make", "the module ends the program when it is imported, sys.exit(2)"),
        ("absent:make", "--net absent:make: the module cannot be imported"),
    ],
)
def test_a_function_that_makes_no_network_is_told(function: str, told: str) -> None:
    done = run_cli(["train", "digits", *SMALL, "--net", function])
    assert done.exit_code == 2
    assert told in " ".join(done.output.split())


def test_no_config_calls_code_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lfp_snn.makers._PERMITTED", set())
    done = run_cli(["train", "digits", *SMALL, "model={name: own, function: os:abort}"])
    assert done.exit_code == 2
    assert "no file calls code by itself" in " ".join(done.output.split())


def test_a_file_with_weights_names_no_function() -> None:
    """It may come from anybody, and nothing in it is called."""
    own = MODELS["own"].model_validate(MODEL)
    net = build("mlp", (4,), 2, hidden=[3])
    Path("net.safetensors").write_bytes(weights_bytes(net, own, (4,), ["a", "b"]))
    with pytest.raises(DataError, match="only a function of its author makes"):
        load_weights("net.safetensors")
