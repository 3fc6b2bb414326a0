from __future__ import annotations

import json

import pytest
import torch
from typer.testing import CliRunner

from lfp_snn import __version__
from lfp_snn.backends.support import BACKENDS
from lfp_snn.cli import app

run = CliRunner().invoke


def test_versions_devices_and_backends_are_told() -> None:
    result = run(app, ["env"])
    assert result.exit_code == 0, result.output
    assert __version__ in result.output and torch.__version__ in result.output
    for backend in BACKENDS:
        assert f"{backend:<7} on cpu" in result.output


def test_a_backend_that_cannot_run_has_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    record = json.loads(run(app, ["env", "--json"]).output)
    backends = record["backends"]
    assert backends.keys() == set(BACKENDS)
    assert backends["events"]["cpu"] is None and backends["torch"]["cpu"] is None
    assert "CPU" in backends["events"]["cuda"]
    assert backends["triton"]["cpu"] is not None
    assert (backends["torch"]["cuda"] is None) == torch.cuda.is_available()
    assert "cpu" in record["devices"]
