"""What commands take and what does their work fit each other, and help needs nothing heavy."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from lfp_snn import __version__
from lfp_snn.cli.arguments import Command
from lfp_snn.cli.declared import COMMANDS
from lfp_snn.cli.declared_data import COMMANDS as DATA_COMMANDS

EVERY = {**COMMANDS, **{f"data {name}": each for name, each in DATA_COMMANDS.items()}}

#: What takes long to import, and what describes settings does without.
HEAVY = ("torch", "snntorch", "numba", "matplotlib", "optuna", "scipy", "sklearn", "PIL")
#: Prints which of these are imported once a command line has been carried out, and its exit code.
WATCHED = """
import sys
from lfp_snn.cli import main
heavy = sys.argv.pop(1).split(",")
try:
    main()
except SystemExit as end:
    print(end.code, *(name for name in heavy if name in sys.modules), file=sys.stderr)
"""


@pytest.mark.parametrize("name", EVERY)
def test_the_work_takes_what_the_command_takes(name: str) -> None:
    command: Command = EVERY[name]
    module, _, work = command.work.partition(":")  # type: ignore[attr-defined]
    taken = inspect.signature(getattr(import_module(module), work)).parameters
    given = [each for each in inspect.signature(command).parameters if each != "style"]
    assert list(taken) == given


def last_line(*arguments: str, heavy: tuple[str, ...] = HEAVY) -> str:
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, ",".join(heavy), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--help",), 0),
        (("--version",), 0),
        (("train", "--help"), 0),
        (("data", "import", "--help"), 0),
        (("explain", "--help"), 0),
        (("data", "info", "--stlye"), 2),
        (("nonsense",), 2),
        (("ls", "configs"), 0),
    ],
)
def test_help_and_usage_need_nothing_heavy(arguments: tuple[str, ...], code: int) -> None:
    assert last_line(*arguments, heavy=(*HEAVY, "numpy")) == str(code)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("train", "--bogus"), 2),
        (("train", "digits", "--lr", "1e-3"), 2),
        (("train", "digits", "out=run"), 2),
        (("predict", "RUN", "FILE", "--bogus"), 2),
        (("explain", "RUN", "--bogus"), 2),
        (("compare", "compare_digits", "--bogus"), 2),
        (("ls",), 0),
        (("validate", "digits"), 0),
        (("validate", "compare_digits"), 0),
        (("validate", "digits", "model.hidden=[1,a]"), 2),
        (("cp", "--full", "convergence_digits"), 0),
    ],
)
def test_what_describes_settings_needs_no_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.chdir(tmp_path)
    assert last_line(*arguments) == str(code)


def test_a_copy_reads_no_settings(tmp_path: Path) -> None:
    to = str(tmp_path / "mine.yaml")
    assert last_line("cp", "digits", to, heavy=(*HEAVY, "numpy", "lfp_snn.training.config")) == "0"


def test_garbage_is_collected_once_the_work_of_a_command_begins() -> None:
    code = (
        "import gc, sys\n"
        "from lfp_snn.cli import main\n"
        "sys.argv = ['lfp-snn', 'ls', 'configs']\n"
        "try:\n"
        "    main()\n"
        "except SystemExit:\n"
        "    assert gc.isenabled()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize("command", EVERY.values(), ids=EVERY)
def test_help_breaks_lines_where_the_terminal_does(command: Command) -> None:
    paragraphs = (command.__doc__ or "").split("\n\n")
    assert all(each and "\n" not in each for each in paragraphs)


def test_it_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lfp_snn", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == __version__
