"""The command line in this process, and a config that trains in a second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from lfp_snn.cli import app

#: DVS-digits, made small: 6 steps an epoch.
SMALL = (
    "data.train=120",
    "data.steps=8",
    "data.validation=0.05",
    "model.hidden=[16]",
    "epochs=2",
    "batch_size=20",
    "baseline=false",
    "device=cpu",
    "optimizer.lr=0.01",
)

Cli = Callable[..., Result]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run ``lfp-snn`` with these arguments in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return run
