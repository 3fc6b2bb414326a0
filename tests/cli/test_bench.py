from __future__ import annotations

import json

import pytest

from tests.cli.conftest import SMALL, Cli


@pytest.mark.parametrize("backend", ["events", "torch"])
def test_a_step_is_measured_and_its_stages_add_up(cli: Cli, backend: str) -> None:
    done = cli("bench", "digits", *SMALL, f"learner.backend={backend}", "--steps", 3, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["backend"] == backend and found["steps"] == 3
    assert found["step"] == pytest.approx(found["data"] + found["feedback"] + found["update"])
    assert min(found["data"], found["feedback"], found["update"], found["peak_bytes"]) > 0
    names = [stage["name"] for stage in found["stages"]]
    assert len(names) == len(set(names)) >= 2
    assert all(stage["forward"] > 0 for stage in found["stages"])
    assert any(stage["backward"] > 0 for stage in found["stages"])
    assert all(stage["kernel"] for stage in found["stages"])


def test_learners_that_step_the_module_have_no_stages(cli: Cli) -> None:
    done = cli("bench", "digits", *SMALL, "learner={name: surrogate}", "--steps", 2)
    assert done.exit_code == 0, done.output
    assert "samples/s" in done.stdout and "kernel" not in done.stdout


def test_it_is_shown_as_tables(cli: Cli) -> None:
    done = cli("bench", "digits", *SMALL, "--steps", 2)
    assert done.exit_code == 0, done.output
    for word in ("data", "feedback", "update", "peak memory", "forward, ms", "share"):
        assert word in done.stdout
