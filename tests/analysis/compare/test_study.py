"""What a comparison is asked, and the mistakes in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from lfp_snn.analysis.compare.study import ComparisonStudy
from lfp_snn.cli.shipped import shipped_configs
from lfp_snn.errors import ConfigError


def write(path: Path, **changes: Any) -> Path:
    config: dict[str, Any] = {
        "name": "tiny",
        "data": {"name": "digits"},
        "model": {"name": "mlp", "hidden": [8]},
        "epochs": 2,
        "compare": {
            "learners": {
                "lfp": {"tune": {"optimizer.lr": {"low": 1e-3, "high": 1e-2, "log": True}}},
                "bptt": {"learner": "surrogate", "set": {"learner.loss": "ce_rate_loss"}},
            },
            **changes,
        },
    }
    file = path / "compare.yaml"
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    return file


def test_each_learner_gets_its_own_config(tmp_path: Path) -> None:
    study = ComparisonStudy.load(write(tmp_path), ["epochs=3"])
    assert study.options.reference == "lfp"
    assert [arm.name for arm in study.arms] == ["lfp", "bptt"]
    lfp, bptt = (arm.config({}, seed=7) for arm in study.arms)
    assert (lfp.learner.name, bptt.learner.name) == ("lfp", "surrogate")
    assert bptt.learner.loss == "ce_rate_loss"  # type: ignore[attr-defined]
    assert lfp.epochs == bptt.epochs == 3 and lfp.seed == bptt.seed == 7
    assert study.arms[0].config({"optimizer.lr": 0.5}, 0).optimizer.lr == 0.5
    assert lfp.model == bptt.model and lfp.data == bptt.data and lfp.calibrate == bptt.calibrate


def test_a_sentence_quotes_no_more_than_the_beginning_of_a_long_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected learners of .*, but 'xxx.*\.\.\.") as told:
        ComparisonStudy.load(write(tmp_path, learners={"x" * 10_000: {}}), [])
    assert len(str(told.value)) < 2000


def test_learners_can_be_picked(tmp_path: Path) -> None:
    study = ComparisonStudy.load(write(tmp_path), [], ["lfp"])
    assert [arm.name for arm in study.arms] == ["lfp"]


@pytest.mark.parametrize(
    ("changes", "only", "message"),
    [
        ({}, ["lpf"], "no learner 'lpf' in compare.learners; did you mean lfp"),
        ({}, ["bptt"], "reference 'lfp' is not among the learners bptt"),
        ({"learners": {"lfp": {}, "bptx": {}}}, None, "'bptx' names 'bptx'"),
        ({"learners": {"lfp": {"set": {"optimizer.lrr": 1}}}}, None, "did you mean optimizer.lr"),
        (
            {"learners": {"lfp": {"tune": {"optimizer.lr": [0.1, -1.0]}}}},
            None,
            "optimizer.lr is -1.0, expected a number greater than 0",
        ),
        (
            {"learners": {"lfp": {"tune": {"optimizer.lr": {"low": 2.0, "high": 1.0}}}}},
            None,
            "low below high",
        ),
        (
            {"learners": {"lfp": {"tune": {"optimizer.lr": {"low": 1.0, "hi": 2.0}}}}},
            None,
            r"compare.learners.lfp.tune.optimizer.lr.hi is no known key, did you mean .*high",
        ),
        ({"search": {"trails": 3}}, None, "did you mean compare.search.trials"),
        ({"learners": {}}, None, "a mapping of at least 1, not of 0"),
    ],
)
def test_mistakes_are_told_before_anything_runs(
    tmp_path: Path, changes: dict[str, Any], only: list[str] | None, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        ComparisonStudy.load(write(tmp_path, **changes), [], only)


def test_a_config_without_the_section_is_refused() -> None:
    with pytest.raises(ConfigError, match="no section compare"):
        ComparisonStudy.load(shipped_configs()["digits"], [])


@pytest.mark.parametrize("name", [n for n in shipped_configs() if n.startswith("compare_")])
def test_shipped_comparisons_are_valid_at_every_corner(name: str) -> None:
    study = ComparisonStudy.load(shipped_configs()[name], [])
    assert {"lfp", "surrogate", "step_gradient"} <= {arm.name for arm in study.arms}
    assert {arm.search for arm in study.arms} == {study.options.search}
