"""The lists of ``lfp-snn ls``: every name that a config may use, with a line that explains it."""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.console import Console

from lfp_snn.cli.arguments import Kind
from lfp_snn.cli.shipped import shipped_configs
from lfp_snn.console import two_columns

__all__ = ["entries", "list_names"]


def list_names(kind: Kind | None) -> None:
    """List names; see :func:`lfp_snn.cli.declared.ls`."""
    console = Console()
    for each in Kind if kind is None else (kind,):
        console.print(f"[bold]{each.value}[/]")
        console.print(two_columns((f"  {name}", line) for name, line in entries(each)))


def entries(kind: Kind) -> Iterable[tuple[str, str]]:
    """The names of one kind, each with a line about it."""
    return _LISTS[kind]()


def _classes(registry: Mapping[str, type]) -> list[tuple[str, str]]:
    return [(name, _first_line(each)) for name, each in registry.items()]


def _first_line(documented: object) -> str:
    text = inspect.getdoc(documented) or ""
    return _plain(text.partition("\n\n")[0].replace("\n", " "))


def _plain(text: str) -> str:
    """A text without the markup of docstrings: roles such as ``:math:`x```, and marks of code."""
    without_roles = re.sub(r":\w+:`~?([^`]*)`", lambda role: _readable(role[1]), text)
    return without_roles.replace("`", "")


def _readable(formula: str) -> str:
    """A formula or a name as one would type it."""
    return re.sub(r"\\(\w+)", r"\1", formula).replace("{", "").replace("}", "")


def _configs() -> list[tuple[str, str]]:
    return [(name, _heading(path)) for name, path in shipped_configs().items()]


def _networks() -> list[tuple[str, str]]:
    hub = import_module("lfp_snn.hub")
    cards = {name: hub.card(name) for name in hub.names()}
    return [
        (name, f"{card.about} Test accuracy {card.test_accuracy:.1%} of {card.samples['test']}.")
        for name, card in cards.items()
    ]


def _heading(path: Path) -> str:
    """The first sentence of a config's first comment, which says what it is."""
    lines = path.read_text(encoding="utf-8").splitlines()
    comment = itertools.takewhile(lambda line: line.startswith("#"), lines)
    text = " ".join(line.lstrip("# ") for line in comment)
    return re.split(r"(?<=[.?!])\s", text, maxsplit=1)[0]


def _registry(module: str, *names: str) -> dict[str, Any]:
    """The registries of those names in a module, imported now: no list needs the others."""
    found = import_module(module)
    return {name: each for known in names for name, each in getattr(found, known).items()}


_LISTS: dict[Kind, Callable[[], list[tuple[str, str]]]] = {
    Kind.configs: _configs,
    Kind.hub: _networks,
    Kind.models: lambda: _classes(_registry("lfp_snn.models", "MODELS")),
    Kind.datasets: lambda: [
        (name, dataset.source) for name, dataset in _registry("lfp_snn.data", "DATASETS").items()
    ],
    Kind.learners: lambda: _classes(_registry("lfp_snn.learners", "LEARNERS")),
    Kind.rules: lambda: _classes(_registry("lfp_snn.rules", "RULES", "COMPOSITES")),
    Kind.rewards: lambda: [
        *_classes({"auto": import_module("lfp_snn.learners.reward_options").AutoReward}),
        *_classes(_registry("lfp_snn.rewards", "REWARDS")),
    ],
}
