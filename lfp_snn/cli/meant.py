"""What a line of arguments means that no command takes: a setting written as an option, say.

The parser knows what a command declares and nothing else. What it refuses, or would hand on as a
change of the config, is looked at here: an option that is a setting, a setting that is an option, a
word that is a file or a value, a command that stands elsewhere. Where nothing better is known, the
parser's own message stays. Settings are looked up on the way to an error only: all that describes
them is imported for it, though nothing that they are options of.
"""

from __future__ import annotations

import typing
from collections.abc import Iterable, Sequence
from enum import StrEnum
from inspect import unwrap
from pathlib import Path
from typing import Any

from typer.core import TyperCommand, TyperGroup

from lfp_snn.cli.arguments import Kind
from lfp_snn.cli.declared import COMMANDS
from lfp_snn.cli.declared_data import COMMANDS as DATA_COMMANDS
from lfp_snn.errors import ConfigError

__all__ = ["MeantCommand", "MeantGroup", "is_file"]

#: Words that other programs have for a command.
_ELSEWHERE = {
    "benchmark": "bench",
    "classify": "predict",
    "copy": "cp",
    "eval": "evaluate",
    "fit": "train",
    "list": "ls",
    "run": "train",
    "search": "sweep",
    "test": "evaluate",
    "tune": "sweep",
}
_CONFIGS = (".yaml", ".yml")


class MeantGroup(TyperGroup):
    """A group of commands that says where a command stands that is not in it."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that the first word names.

        Raises:
            ConfigError: there is none, and it is known which was meant.
        """
        word = args[0]
        if word not in self.commands and (meant := _command_for(word)):
            raise ConfigError(f"There is no command {word} here; did you mean lfp-snn {meant}?")
        return super().resolve_command(ctx, args)


def _command_for(word: str) -> str | None:
    for kind in (word, f"{word}s"):
        if kind in set(Kind):
            return f"ls {kind}"
    if word in _ELSEWHERE:
        return _ELSEWHERE[word]
    if word in COMMANDS:
        return word
    return f"data {word}" if word in DATA_COMMANDS else None


class MeantCommand(TyperCommand):
    """A command that says how to write what it does not take as it was written."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments of the command.

        Raises:
            ConfigError: one of them is written as what it is not.
        """
        given = list(args)
        takes_changes = any(each.name == "overrides" for each in self.params)
        try:
            left = super().parse_args(ctx, args)
        except Exception as error:  # the parser's classes are not typer's to give
            if takes_changes and type(error).__name__ == "NoSuchOption":
                self._refuse_setting(str(getattr(error, "option_name", "")), given, error)
            if isinstance(message := getattr(error, "message", None), str):
                vars(error)["message"] = message.removeprefix("Value error, ")  # of a library
            raise
        if takes_changes:
            self._check(list(ctx.params.get("overrides") or ()))
        return left

    # ------------------------------------------------------------------ options that are settings

    def _refuse_setting(self, option: str, given: Sequence[str], error: Exception) -> None:
        """Refuse an option that is a setting; the parser's guesses go before a mere likeness."""
        word = option.lstrip("-").replace("-", "_")
        key = _setting_for(word) if option.startswith("--") else None
        if key is None:
            return
        guesses = [each for each in getattr(error, "possibilities", None) or () if word in each]
        exact = word in (key, *key.split("."))
        if not exact and getattr(error, "possibilities", None):
            return
        change = f"{key}={_value_of(option, given)}"
        raise ConfigError(
            f"{option} is no option of lfp-snn {self.name}; "
            + (f"{key} is a setting: write {change}" if exact else f"did you mean {change}?")
            + (f", or did you mean {' or '.join(sorted(guesses))}?" if guesses else "." * exact)
        ) from error

    # ------------------------------------------------------------------ changes that are none

    def _check(self, words: Sequence[str]) -> None:
        """Refuse changes of the config that are an option, or a word that is no change."""
        for place, word in enumerate(words):
            if self._takes_files and is_file(word):
                continue
            key, equals, value = word.partition("=")
            if equals:
                self._refuse_option(key.strip(), value.strip())
            elif not self._takes_files:
                self._refuse_word(word, words[place + 1 : place + 2])

    @property
    def _takes_files(self) -> bool:
        """Whether recordings stand among the changes."""
        return any("FILE" in str(p.metavar) for p in self.params if p.name == "overrides")

    def _refuse_option(self, key: str, value: str) -> None:
        option = "--" + key.replace("_", "-")
        (meant,) = [each for each in self.params if option in each.opts] or (None,)
        if meant is None or key in _settings():
            return
        written = option if getattr(meant, "is_flag", False) else f"{option} {value}"
        raise ConfigError(f"{key} is an option of lfp-snn {self.name}: write {written}.")

    def _refuse_word(self, word: str, following: Sequence[str]) -> None:
        command = f"lfp-snn {self.name}"
        for name, values in self._choices():
            if word in values:
                raise ConfigError(f"{word} belongs to an option of {command}: write {name} {word}.")
        if Path(word).suffix.lower() in _CONFIGS:
            raise ConfigError(f"{command} takes one config or run, and {word} is another.")
        if any(each.name == "file" for each in self.params):
            raise ConfigError(
                f"{command} takes one recording, and {word} is another: call it once for each; "
                "lfp-snn explain takes several."
            )
        if is_file(word):
            raise ConfigError(
                f"{command} takes no recording, and {word} is a file: lfp-snn predict RUN {word} "
                f"says its class, lfp-snn explain RUN {word} shows why."
            )
        key = _setting_for(word)
        if key is not None and following:
            raise ConfigError(f"{word} is a setting: write {key}={following[0]}.")

    def _choices(self) -> Iterable[tuple[str, set[str]]]:
        """The options that take one of a few words, with these words."""
        hints = typing.get_type_hints(unwrap(self.callback)) if self.callback else {}
        for parameter in self.params:
            hint = hints.get(str(parameter.name))
            for each in (hint, *typing.get_args(hint)):
                if isinstance(each, type) and issubclass(each, StrEnum):
                    yield parameter.opts[0], {str(value) for value in each}


def is_file(word: str) -> bool:
    """Whether a word is the name of a file; one may be longer than a name can be."""
    try:
        return Path(word).is_file()
    except OSError:
        return False


def _value_of(option: str, given: Sequence[str]) -> str:
    """The value that stands with an option in a line of arguments."""
    for place, word in enumerate(given):
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
        if word == option:
            (following,) = given[place + 1 : place + 2] or ("--",)
            return "VALUE" if following.startswith("--") else following
    return "VALUE"


def _settings() -> list[str]:
    from lfp_snn.analysis.study.kinds import kinds  # all options come with it
    from lfp_snn.training.config import Config

    return [*Config.model_fields, *kinds()]


def _setting_for(word: str) -> str | None:
    """The setting that a word names, or nearly names."""
    from lfp_snn.training.configkeys import setting_for  # all options come with it

    return setting_for(word)
