"""What a convergence study is asked, and the mistakes in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from lfp_snn.analysis.convergence.study import ConvergenceStudy
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
    study = ConvergenceStudy.load(write(tmp_path), ["epochs=7"])
    assert [arm.name for arm in study.arms] == [
        "epsilon@shallow",
        "norm@shallow",
        "epsilon@deep",
        "norm@deep",
    ]
    config = study.cases[-1].arm.config({}, 5)
    assert config.model.hidden == [8, 8]  # type: ignore[attr-defined]
    assert config.learner.rule.name == "norm"  # type: ignore[attr-defined]
    assert (config.seed, config.epochs) == (5, 7)
    assert study.options.against.name == "surrogate"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rules": {"epsilon": {"learner.rule.epz": 1}}}, "did you mean learner.rule.eps"),
        ({"depths": {}}, "a mapping of at least 1, not of 0"),
        ({"depths": {"a/b": {}}}, "depths"),
        ({"against": {"name": "surogate"}}, "did you mean surrogate"),
        ({"evry": 3}, "did you mean convergence.every"),
    ],
)
def test_mistakes_are_told_before_anything_runs(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        ConvergenceStudy.load(write(tmp_path, **changes), [])


def test_a_rule_may_start_from_transferred_weights(tmp_path: Path) -> None:
    study = ConvergenceStudy.load(
        write(tmp_path, rules={"old": {"transfer.source": "runs/RUN"}}), []
    )
    transfer = study.cases[0].arm.config({}, 0).transfer
    assert transfer is not None and transfer.source == "runs/RUN"


def test_a_config_without_the_section_is_refused() -> None:
    with pytest.raises(ConfigError, match="no section convergence"):
        ConvergenceStudy.load(shipped_configs()["digits"], [])


def test_the_shipped_study_is_valid() -> None:
    study = ConvergenceStudy.load(shipped_configs()["convergence_digits"], [])
    assert len(study.cases) >= 9
