"""How kinds of studies are found, and what a worker asks of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest
import torch
from typing_extensions import override

from lfp_snn.analysis.study import kinds as kinds_module
from lfp_snn.analysis.study import worker
from lfp_snn.analysis.study.kinds import Study, kinds
from lfp_snn.analysis.study.seedrun import SeedRun
from lfp_snn.analysis.study.spec import Arm, Search
from lfp_snn.training.files import write_json


@pytest.fixture
def mine(monkeypatch: pytest.MonkeyPatch) -> type[Study]:
    """A kind of study of one's own."""
    monkeypatch.setattr(kinds_module, "_KINDS", dict(kinds()))

    @dataclass(frozen=True)
    class Mine(Study, section="mine"):
        @classmethod
        @override
        def load(cls, path: Path, overrides: list[str]) -> Self:
            return cls([])

        @override
        def asked(self, threads: int) -> Mapping[str, Any]:
            return {}

        @classmethod
        @override
        def run_seed(cls, run: SeedRun, arm: Arm, todo: Mapping[str, Any]) -> None:
            run.write({"arm": arm.name, "found": todo["values"], "told": todo["more"]})

    return Mine


def test_kinds_are_found_by_their_packages() -> None:
    assert set(kinds()) == {"compare", "convergence", "sweep"}
    assert all(kind.section == section for section, kind in kinds().items())


def test_a_worker_asks_the_kind_that_the_job_names(
    mine: type[Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_die_with_the_parent", lambda: None)
    arm = Arm(name="a", base={}, search=Search(), tune={})
    run = SeedRun(tmp_path, arm.name, 3)
    run.path.mkdir(parents=True)
    todo = {"kind": mine.section, "more": 5, "seed": run.seed, "values": {"x": 1}}
    where = {"threads": torch.get_num_threads(), "functions": [], "folder": str(tmp_path)}
    job = run.path / "job.json"
    write_json(job, {**todo, **where, "study": arm.model_dump(mode="json")})
    assert worker.main(job) == 0
    assert run.measured() == {"arm": "a", "found": {"x": 1}, "told": 5}
