"""What ``lfp-snn ls`` lists: every name that a config may use, with a line that explains it."""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from pathlib import Path

from lfp_snn.cli.shipped import shipped_configs
from lfp_snn.data import DATASETS
from lfp_snn.learners import LEARNERS
from lfp_snn.models import MODELS
from lfp_snn.rewards import REWARDS
from lfp_snn.rules import COMPOSITES, RULES

__all__ = ["Kind", "entries"]


class Kind(StrEnum):
    """Kinds of things that have names."""

    configs = "configs"
    models = "models"
    datasets = "datasets"
    learners = "learners"
    rules = "rules"
    rewards = "rewards"


def entries(kind: Kind) -> Iterable[tuple[str, str]]:
    """Names of one kind, each with a line about it."""
    return _LISTS[kind]()


def _classes(registry: Mapping[str, type]) -> list[tuple[str, str]]:
    return [(name, _first_line(each)) for name, each in registry.items()]


def _first_line(documented: object) -> str:
    text = inspect.getdoc(documented) or ""
    return _plain(text.partition("\n\n")[0].replace("\n", " "))


def _plain(text: str) -> str:
    """Markup of docstrings taken away: roles such as ``:math:`x```, and what marks code."""
    without_roles = re.sub(r":\w+:`~?([^`]*)`", lambda role: _readable(role[1]), text)
    return without_roles.replace("`", "")


def _readable(formula: str) -> str:
    """A formula or a name as one would type it."""
    return re.sub(r"\\(\w+)", r"\1", formula).replace("{", "").replace("}", "")


def _configs() -> list[tuple[str, str]]:
    return [(name, _heading(path)) for name, path in shipped_configs().items()]


def _heading(path: Path) -> str:
    """The first sentence of a config's first comment, which says what it is."""
    lines = path.read_text(encoding="utf-8").splitlines()
    comment = itertools.takewhile(lambda line: line.startswith("#"), lines)
    text = " ".join(line.lstrip("# ") for line in comment)
    return re.split(r"(?<=[.?!])\s", text, maxsplit=1)[0]


_LISTS: dict[Kind, Callable[[], list[tuple[str, str]]]] = {
    Kind.configs: _configs,
    Kind.models: lambda: _classes(MODELS),
    Kind.datasets: lambda: [(name, dataset.source) for name, dataset in DATASETS.items()],
    Kind.learners: lambda: _classes(LEARNERS),
    Kind.rules: lambda: _classes({**RULES, **COMPOSITES}),
    Kind.rewards: lambda: _classes(REWARDS),
}
