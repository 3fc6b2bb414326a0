"""What a convergence study is asked, and the mistakes in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from lfp_snn.analysis.convergence.plan import load_convergence
from lfp_snn.cli.shipped import shipped_configs
from lfp_snn.errors import ConfigError
from tests.analysis.convergence.test_probe import TINY

SECTION: dict[str, Any] = {
    "rules": {"epsilon": {}, "norm": {"learner.rule.name": "norm"}},
    "depths": {"shallow": {"model.hidden": [8]}, "deep": {"model.hidden": [8, 8]}},
}


def write(folder: Path, **changes: Any) -> Path:
    path = folder / "config.yaml"
    path.write_text(
        yaml.safe_dump({**TINY, "convergence": {**SECTION, **changes}}, sort_keys=False)
    )
    return path


def test_every_rule_at_every_depth(tmp_path: Path) -> None:
    grid = load_convergence(write(tmp_path), ["epochs=7"])
    assert [case.study.name for case in grid.cases] == [
        "epsilon@shallow",
        "norm@shallow",
        "epsilon@deep",
        "norm@deep",
    ]
    config = grid.cases[-1].study.config({}, 5)
    assert config.model.hidden == [8, 8]  # type: ignore[attr-defined]
    assert config.learner.rule.name == "norm"  # type: ignore[attr-defined]
    assert (config.seed, config.epochs) == (5, 7)
    assert grid.options.against.name == "surrogate"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rules": {"epsilon": {"learner.rule.epz": 1}}}, "did you mean learner.rule.eps"),
        ({"depths": {}}, "at least 1 item"),
        ({"depths": {"a/b": {}}}, "depths"),
        ({"against": {"name": "surogate"}}, "did you mean surrogate"),
        ({"evry": 3}, "did you mean convergence.every"),
    ],
)
def test_mistakes_are_told_before_anything_runs(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load_convergence(write(tmp_path, **changes), [])


def test_a_rule_may_start_from_transferred_weights(tmp_path: Path) -> None:
    grid = load_convergence(write(tmp_path, rules={"old": {"transfer.source": "runs/RUN"}}), [])
    transfer = grid.cases[0].study.config({}, 0).transfer
    assert transfer is not None and transfer.source == "runs/RUN"


def test_a_config_without_the_section_is_refused() -> None:
    with pytest.raises(ConfigError, match="no section convergence"):
        load_convergence(shipped_configs()["digits"], [])


def test_the_shipped_study_is_valid() -> None:
    grid = load_convergence(shipped_configs()["convergence_digits"], [])
    assert len(grid.cases) >= 9
