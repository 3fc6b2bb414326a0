"""What is shown on a console."""

from __future__ import annotations

import sys

import pytest

from lfp_snn.console import command_line


@pytest.mark.parametrize(
    ("program", "shown"),
    [
        ("/somewhere/bin/lfp-snn", "lfp-snn train digits 'a b'"),
        ("/somewhere/lfp_snn/__main__.py", "python -m lfp_snn train digits 'a b'"),
        ("mine.py", "mine.py train digits 'a b'"),
    ],
)
def test_a_command_is_shown_without_the_path_of_its_program(
    program: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [program, "train", "digits", "a b"])
    assert command_line() == shown
