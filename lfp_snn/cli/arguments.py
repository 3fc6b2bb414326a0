"""Arguments of several commands of ``lfp-snn``, and the tie of a command to its function."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import ExitStack
from enum import StrEnum
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = [
    "AsJson",
    "Asked",
    "Changes",
    "Command",
    "ConfigName",
    "Folder",
    "ExportFormat",
    "Jobs",
    "Kind",
    "Look",
    "OwnData",
    "OwnNet",
    "OfItsConfig",
    "DataPart",
    "Run",
    "Storage",
    "Style",
    "Threads",
    "Votes",
    "changes_such_as",
    "runs",
]

Command = Callable[..., None]


def runs(work: str) -> Callable[[Command], Command]:
    """Mark a declaration of a command with the function that does its work, ``module:function``.

    The function takes the same parameters but for ``style``, in which all figures of the command
    are drawn.
    """

    def declare(signature: Command) -> Command:
        @wraps(signature)
        def command(**arguments: Any) -> None:
            module, _, name = work.partition(":")
            look = arguments.pop("style", None)
            with ExitStack() as drawing:
                if look is not None:
                    figures = import_module("lfp_snn.analysis.style")
                    drawing.enter_context(figures.drawn_as(look.value))
                function = getattr(import_module(module), name)
                if not gc.isenabled():  # main() has put it off until all is imported
                    gc.freeze()
                    gc.enable()
                function(**arguments)

        command.work = work  # type: ignore[attr-defined]
        command.__doc__ = _unfolded(signature.__doc__ or "")
        return command

    return declare


def _unfolded(text: str) -> str:
    """A docstring with a line for each paragraph: help breaks lines where the terminal does."""
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


class Kind(StrEnum):
    """The kinds of things that have names."""

    configs = "configs"
    hub = "hub"
    models = "models"
    datasets = "datasets"
    learners = "learners"
    rules = "rules"
    rewards = "rewards"


class DataPart(StrEnum):
    """The parts of a dataset."""

    train = "train"
    val = "val"
    test = "test"


class Asked(StrEnum):
    """The questions that can be explained."""

    of_class = "class"
    contrast = "contrast"
    share = "share"
    reward = "reward"


class ExportFormat(StrEnum):
    """The formats that a network can be exported to."""

    nir = "nir"
    onnx = "onnx"
    safetensors = "safetensors"
    int8 = "int8"


class Look(StrEnum):
    """Widths that figures are drawn in."""

    report = "report"
    paper = "paper"


def changes_such_as(example: str) -> Any:
    """The argument for changes of a config, with an example that the command takes."""
    return typer.Argument(metavar="[KEY=VALUE]...", help=f"Changes, such as {example}.")


ConfigName = Annotated[
    str,
    typer.Argument(
        metavar="CONFIG", help="A YAML file, the name of a shipped config, or hub:NAME."
    ),
]
Changes = Annotated[list[str] | None, changes_such_as("optimizer.lr=1e-3")]
OfItsConfig = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Changes of its config.")
]
Votes = Annotated[
    int,
    typer.Option(
        min=1, help="Copies that vote on each recording: itself, and others by its data.augment."
    ),
]
Run = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run directory, or a shipped network as hub:NAME.")
]
OwnNet = Annotated[
    str | None,
    typer.Option(
        "--net",
        metavar="MODULE:FUNCTION",
        help="What makes the network, of a run with one of its own; its code is run.",
    ),
]
NetOfConfig = Annotated[
    str | None,
    typer.Option(
        "--net",
        metavar="MODULE:FUNCTION",
        help="What makes the network, in the place of the config's model; its code is run.",
    ),
]
OwnData = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="MODULE:FUNCTION",
        help="What makes the data of such a run, as fit() was given it: (train, val, test).",
    ),
]
Style = Annotated[
    Look | None,
    typer.Option(
        help="The look of figures: report, for a page, which is the default; or paper, for print, "
        "7 inches wide over both columns, small type, thin lines, 600 dpi."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Folder = Annotated[
    Path | None,
    typer.Option(help="Folder for everything; by default runs/<name>. What is there goes on."),
]
Jobs = Annotated[int, typer.Option(min=1, help="Processes at a time.")]
Threads = Annotated[
    int | None,
    typer.Option(min=1, help="Threads of each; by default OMP_NUM_THREADS or the cores, shared."),
]
Storage = Annotated[
    str | None,
    typer.Option(
        metavar="journal|URL",
        help="Share the work with other machines: each runs the same command, with --out on a "
        "folder that all of them see. Trials are kept in a journal there, or in a database.",
    ),
]
