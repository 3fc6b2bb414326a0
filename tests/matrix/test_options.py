"""Every command has a help text, and takes every option that this text names."""

from __future__ import annotations

from typing import Any

import pytest

from tests.matrix.parsing import commands, option_words, parsed
from tests.matrix.workspace import run_cli

COMMANDS = commands()
OPTIONS = [
    (path, each)
    for path, command in COMMANDS.items()
    for each in command.params
    if each.param_type_name == "option"
]


@pytest.mark.parametrize("path", COMMANDS)
def test_the_help_names_every_option(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    result = run_cli([*path.split(), "--help"])
    assert result.exit_code == 0
    options = [each.opts[0] for owner, each in OPTIONS if owner == path]
    assert [name for name in options if name not in result.output] == []


@pytest.mark.parametrize(
    ("path", "option"), OPTIONS, ids=[f"{path} {each.opts[0]}" for path, each in OPTIONS]
)
def test_an_option_is_parsed(path: str, option: Any) -> None:
    command = COMMANDS[path]
    with_it = parsed(command, option_words(option))
    assert with_it.keys() == {each.name for each in command.params}
    assert with_it[option.name] is not None
