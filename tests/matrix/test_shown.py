"""What the documentation shows runs: every command, setting and option, found by being there."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.__main__ import questions
from lfp_snn.analysis.experiments import load_any
from lfp_snn.cli.shipped import shipped_configs
from lfp_snn.training.configfile import read_mapping
from tests.conftest import REPOSITORY
from tests.matrix import parsing, shown
from tests.matrix.conftest import leave_out_reports
from tests.matrix.parsing import fitting
from tests.matrix.workspace import MADE, STEPS, UNITS, fill_in, make_small, run_cli

#: What is shown and not run here, by its beginning, and why. One that nothing shows is an error.
NOT_RUN = {
    "make": "makes an environment and runs everything; its targets are looked up",
    "pip": "installs packages; its extras are looked up",
    "python -m benchmarks": "takes minutes; the module and its options are looked up",
    "--storage postgresql": "asks for a database server; that it is an option is looked up",
    "lfp-snn train mnist_camera data.shown=60000": "asks for all of MNIST",
    "data.download=true": "asks for the network; that it is a setting is looked up",
}

QUESTIONS = questions()
SHIPPED = {"compare": "compare", "sweep": "sweep", "convergence": "convergence"}


def _not_run(each: shown.Shown) -> str | None:
    return next((start for start in NOT_RUN if str(each).startswith(start)), None)


def _own_words(words: Sequence[str]) -> list[str]:
    """The command of ours in a shown one, which torchrun may start, with words filled in."""
    return fill_in(words[words.index("lfp-snn") + 1 :])


def _of_config(path: Path) -> list[str]:
    sections = read_mapping(path)
    command = next((name for key, name in SHIPPED.items() if key in sections), "train")
    return [command, path.stem]


def _commands() -> dict[str, list[str]]:
    """Shown commands of ours and one for every shipped config, each once."""
    every = [
        _own_words(each.words)
        for each in shown.commands(REPOSITORY)
        if "lfp-snn" in each.words and not _not_run(each)
    ]
    every += [_of_config(path) for path in shipped_configs().values()]
    return {" ".join(words): words for words in every}


def _of_one_learner(words: list[str]) -> list[str]:
    """A comparison by its reference alone; all learners run where a config has no options."""
    _, config, *options = words
    known = read_mapping(shipped_configs()[config])["compare"]
    reference = known.get("reference", "lfp")
    for option in options:
        reference = (
            option.removeprefix("compare.reference=") if "reference=" in option else reference
        )
    if "--learners" not in options:
        return [*words, "--learners", reference]
    place = words.index("--learners") + 1
    named = words[place].split(",")
    assert set(named) <= known["learners"].keys() and reference in named
    return [*words[:place], reference, *words[place + 1 :]]


#: A command that is named without what it needs, as in "the pictures of `lfp-snn explain`".
NAMED = re.compile(r"(train|explain|prune|compare)( --\w+)?")

#: Commands that are run.
RUN = [words for shown, words in _commands().items() if not NAMED.fullmatch(shown)]


def _reported(words: Sequence[str]) -> str:
    """What reports differ by: of a training its data, else the command."""
    if words[0] != "train":
        return words[0]
    config = shipped_configs().get(words[1])
    return str(read_mapping(config)["data"]["name"]) if config else words[1]


#: The first command of each kind of report.
REPORTED = {_reported(words): words for words in reversed(RUN)}


@pytest.mark.parametrize("words", RUN, ids=" ".join)
def test_a_command_runs(
    words: list[str], workspace: Path, jobs_here: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = REPORTED[_reported(words)] == words or words[0] not in ("train", "compare")
    if not told:
        leave_out_reports(monkeypatch)
        if words[0] == "compare" and len(words) > 2:
            words = _of_one_learner(words)
    for command, made in MADE.items():
        if " ".join(words).startswith(command):
            (workspace / made).unlink()
    before = set(workspace.rglob("*"))
    result = run_cli(make_small(words))
    assert result.exit_code == 0, result.output
    assert result.stdout.strip()
    new = {path.name for path in set(workspace.rglob("*")) - before}
    if words[0] in ("train", "compare", "sweep", "convergence", "prune"):
        assert ("report.html" in new) == told
    if words[0] == "train":
        (record,) = (path for path in workspace.rglob("metrics.jsonl") if path not in before)
        (metrics,) = map(json.loads, record.read_text().splitlines())
        assert metrics["feedback_norm"] > 0


@pytest.mark.parametrize("each", shown.settings(REPOSITORY), ids=str)
def test_settings_train(each: shown.Shown, workspace: Path, no_reports: None) -> None:
    """With the first shipped config to which they mean something."""
    words = [word.replace("data.index=...", "data.index=recordings.json") for word in each.words]
    config, *needed = fitting(words)
    if _not_run(each):
        return
    result = run_cli(make_small(fill_in(["train", config, *needed, *words])))
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("each", shown.options(REPOSITORY), ids=str)
def test_an_option_is_one(each: shown.Shown) -> None:
    assert [
        path for path, command in parsing.commands().items() if parsing.takes(command, each.words)
    ]


@pytest.mark.parametrize(
    "each", [c for c in shown.commands(REPOSITORY) if c.words[0] in ("make", "pip", "python")],
    ids=str,
)  # fmt: skip
def test_what_is_not_run_is_there(each: shown.Shown) -> None:
    assert _not_run(each)
    program, *words = each.words
    if program == "make":
        makefile = (REPOSITORY / "Makefile").read_text()
        targets = [word for word in words if "=" not in word]
        assert [t for t in targets if not re.search(rf"^{t}:", makefile, re.M)] == []
    elif program == "pip":
        project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
        asked = {extra for w in words for group in re.findall(r"\[(.*)\]", w)
                 for extra in group.split(",")}  # fmt: skip
        assert asked <= project["optional-dependencies"].keys()
    else:
        name, *options = words[2:]
        assert name in QUESTIONS
        sources = (
            (REPOSITORY / "benchmarks").glob(f"{name}.py"),
            (REPOSITORY / "benchmarks" / name).glob("*.py"),
        )
        text = "".join(path.read_text() for found in sources for path in found)
        wanted = [w.lstrip("-") for w in options if w.startswith("--") and w != "--help"]
        # Typer makes an option of the name of an argument.
        assert [w for w in wanted if f'"--{w}"' not in text and f"    {w}: Anno" not in text] == []


@pytest.mark.parametrize("name", shipped_configs())
def test_every_config_becomes_small(name: str) -> None:
    """Whatever a config leaves at its default is made small too."""
    path = shipped_configs()[name]
    command, _ = _of_config(path)
    settings = [word for word in make_small([command, name]) if "=" in word]
    small = load_any(path, settings)
    assert getattr(small.data, "steps", STEPS) <= STEPS
    assert {UNITS, *getattr(small.model, "hidden", ())} == {UNITS}


def test_nothing_is_left_out_in_vain() -> None:
    every = [*shown.commands(REPOSITORY), *shown.settings(REPOSITORY), *shown.options(REPOSITORY)]
    assert {start for each in every if (start := _not_run(each))} == NOT_RUN.keys()
