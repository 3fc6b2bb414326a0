"""The commands of ``lfp-snn`` as their parser knows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from functools import cache
from typing import Any, get_args

import typer

from lfp_snn.cli import app
from lfp_snn.cli.shipped import shipped_configs
from lfp_snn.data import DATASETS
from lfp_snn.errors import ConfigError
from lfp_snn.training import load_config

__all__ = ["commands", "fitting", "option_words", "parsed", "takes"]


@cache
def commands() -> dict[str, Any]:
    """Every command with its parser, by what one types: ``data show``."""
    return dict(_below(typer.main.get_command(app), ()))


def _below(group: Any, above: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    for name, each in group.commands.items():
        path = (*above, name)
        if hasattr(each, "commands"):
            yield from _below(each, path)
        else:
            yield " ".join(path), each


def parsed(command: Any, words: Sequence[str]) -> dict[str, Any]:
    """What a command makes of these words and of one for each argument that it asks for.

    Raises:
        SystemExit, ClickException: it does not take them.
    """
    needed = [_sample(each) for each in command.params if not _is_option(each) and each.required]
    with command.make_context(command.name, [*needed, *words]) as context:
        return dict(context.params)


def takes(command: Any, words: Sequence[str]) -> bool:
    """Does a command take options as they are written, or without a value named by themselves?"""
    known = {name: each for each in command.params if _is_option(each) for name in each.opts}
    if not all(word in known for word in words if word.startswith("--")):
        return False
    *before, last = words
    if last.startswith("--") and not known[last].is_flag:
        words = [*before, *option_words(known[last])]
    return bool(parsed(command, words))


def option_words(option: Any) -> list[str]:
    """An option with a value that it takes."""
    return [option.opts[0]] if option.is_flag else [option.opts[0], _sample(option)]


def _is_option(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "option")


def _sample(parameter: Any) -> str:
    """A value of the type of a parameter, within its range."""
    kind = parameter.type_descriptor.annotation
    kind = next(iter(get_args(kind)), kind)  # of a list, what it holds
    if isinstance(kind, type) and issubclass(kind, Enum):
        return str(next(iter(kind)).value)
    if kind in (int, float):
        low = parameter.min if parameter.min is not None else 1
        return str(low if parameter.max is not None else max(low, kind(1)))
    return "word"


def fitting(settings: Sequence[str]) -> list[str]:
    """A shipped config to which settings mean something, digits before all, and what it needs.

    Raises:
        ConfigError: there is none, not even with another dataset.
    """
    shipped = shipped_configs()
    configs = [[name] for name in sorted(shipped, key=lambda name: name != "digits")]
    for words in [*configs, *(["digits", f"data.name={each}"] for each in DATASETS)]:
        try:
            load_config(shipped[words[0]], [*words[1:], *settings])
        except ConfigError:
            continue
        return words
    raise ConfigError(f"No shipped config takes {' '.join(settings)}.")
