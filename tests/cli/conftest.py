"""The command line in this process, and a config that trains in a second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One cache of simulated recordings for all tests, child processes included."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LFP_SNN_CACHE", str(folder))
        yield folder


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run ``lfp-snn`` with these arguments in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return run
