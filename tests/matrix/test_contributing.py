"""CONTRIBUTING's table of what to touch: its places exist, and what it says is registered suffices.

Rewards are in ``tests/rewards/test_outside.py``.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from typing_extensions import override

from lfp_snn import TemporalLFP
from lfp_snn.analysis.study import kinds
from lfp_snn.analysis.study.kinds import Study
from lfp_snn.analysis.study.spec import Arm, Search, read_study
from lfp_snn.backends.events.formulas import SHARINGS, SPLITS
from lfp_snn.data import Events
from lfp_snn.data.formats.base import Format
from lfp_snn.data.formats.files import FORMATS
from lfp_snn.data.registry import DATASETS
from lfp_snn.engine.events import table
from lfp_snn.engine.events.linear import EventLinear
from lfp_snn.engine.kernels import Kernel
from lfp_snn.learners import LEARNERS
from lfp_snn.learners.lfp import LFP, LFPOptions
from lfp_snn.models import MODELS, build
from lfp_snn.models.basic import MLP
from lfp_snn.models.layer import KINDS, Assembly, LayerSpec, Shape
from lfp_snn.rules import OWN, RULES, Epsilon, Formula
from lfp_snn.training import Config, config
from tests.matrix.workspace import SMALL_DIGITS, run_cli

ROOT = Path(__file__).parents[2]
#: Where a path in the table may begin.
STARTS = (ROOT, ROOT / "lfp_snn", ROOT / "lfp_snn" / "data")
#: The modules with the registries that the table names.
REGISTRIES = {
    "RULES": "lfp_snn.rules",
    "REWARDS": "lfp_snn.rewards",
    "MODELS": "lfp_snn.models",
    "LINEAR": "lfp_snn.engine.supported",
    "PRODUCTS": "lfp_snn.engine.supported",
}
SMALL = [each for each in SMALL_DIGITS if not each.startswith("model")]

pytestmark = pytest.mark.usefixtures("empty_folder", "no_reports")


def words() -> list[str]:
    """What stands as code in the second column of the table."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| a")]
    return [word for row in rows for word in re.findall("`([^`]+)`", row[1])]


def test_places_that_it_names_are_there() -> None:
    paths = [word for word in words() if re.fullmatch(r"[\w/]+/|[\w/]+\.(py|md|yml)", word)]
    assert len(paths) > 20
    tests = [path for path in paths if path.startswith("test_")]  # beside the one before it
    absent = [
        path
        for path in paths
        if path not in tests and not any((start / path).exists() for start in STARTS)
    ]
    assert absent == []
    assert all(list((ROOT / "tests").rglob(path)) for path in tests)


def test_registries_that_it_names_are_there() -> None:
    named = {word for word in words() if word.isupper()}
    assert named == REGISTRIES.keys()
    for name, module in REGISTRIES.items():
        assert getattr(importlib.import_module(module), name)


def trained(*changes: str, run: str = "run") -> dict[str, Any]:
    """Train with a config and what was added; the line in metrics.jsonl."""
    result = run_cli(["train", "digits", *SMALL, *changes, "--out", run])
    assert result.exit_code == 0, result.output
    (line,) = Path(run, "metrics.jsonl").read_text().splitlines()
    found: dict[str, Any] = json.loads(line)
    assert found["feedback_norm"] != 0
    return found


def test_a_model_is_a_class_and_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mine(MLP):
        """A network whose neurons leak little."""

        name: Literal["mine"] = "mine"  # type: ignore[assignment]
        beta: float = 0.97

    monkeypatch.setitem(MODELS, "mine", Mine)
    trained("model={name: mine, hidden: [9]}")
    assert "mine" in run_cli(["ls", "models"]).output


@dataclass(frozen=True)
class Halved(Epsilon):
    """A rule of this test: half the credit of epsilon, by a formula that no kernel knows."""

    share: float = 0.5

    @property
    @override
    def at_neuron(self) -> Formula:
        return OWN

    @override
    def split(self, relevance: Tensor, kept: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.share * each for each in super().split(relevance, kept, *parts))


@dataclass(frozen=True)
class Renamed(Epsilon):
    """A rule of this test, with the formulas of another."""


def test_a_rule_is_a_class_and_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RULES, "halved", Halved)
    monkeypatch.setitem(RULES, "renamed", Renamed)
    epsilon, half, same = (
        trained(f"learner.rule={{name: {name}, eps: 0.1}}", run=name)
        for name in ("epsilon", "halved", "renamed")
    )
    assert half["feedback_norm"] < 0.9 * epsilon["feedback_norm"]
    assert same["feedback_norm"] == epsilon["feedback_norm"]
    assert "halved" in run_cli(["ls", "rules"]).output
    wrong = run_cli(["train", "digits", "learner.rule={name: halved, share: many}"])
    assert wrong.exit_code == 2 and "learner.rule.share" in wrong.output


def test_a_kernel_is_a_row_of_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Kernel("mine", ("Linear", "Leaky"), EventLinear.of, SPLITS, SHARINGS)
    monkeypatch.setattr(table, "TABLE", (row, *table.TABLE))
    lfp = TemporalLFP(build("mlp", (2, 5, 5), 3), Epsilon(), backend="events")
    lfp.forward(torch.zeros(3, 2, 2, 5, 5))
    assert "mine" in lfp.summary()


def test_a_study_is_a_package_with_a_subclass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "_KINDS", dict(kinds._KINDS))

    class MineConfig(Config):
        """A config of this test's study."""

        mine: dict[str, int]

    @dataclass(frozen=True)
    class Mine(Study, section="mine"):
        """A study of one arm."""

        config_class = MineConfig

        @classmethod
        @override
        def load(cls, path: Path, overrides: list[str]) -> Self:
            _, base = read_study(path, overrides, cls.section, MineConfig)
            return cls([Arm(name="one", base=base, search=Search(trials=0), tune={})])

        @override
        def asked(self, threads: int) -> dict[str, Any]:
            return {arm.name: arm.model_dump(mode="json") for arm in self.arms}

    Path("mine.yaml").write_text(
        "name: mine\ndata: {name: digits}\nmodel: {name: mlp}\nmine: {a: 1}\n"
    )
    told = run_cli(["validate", "mine.yaml"])
    assert told.exit_code == 0, told.output
    wrong = run_cli(["validate", "mine.yaml", "mine={a: many}"])
    assert wrong.exit_code == 2 and "mine.a" in wrong.output


def test_a_dataset_is_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DATASETS, "mine", DATASETS["digits"])
    config._datasets.cache_clear()
    try:
        small = [each for each in SMALL if each.startswith("data.")]
        words = ["train", "digits", "data={name: mine}", "epochs=1", "baseline=false", *small]
        assert run_cli([*words, "--out", "run"]).exit_code == 0
    finally:
        config._datasets.cache_clear()


@pytest.fixture
def _forgotten() -> Iterator[None]:
    """Take back what classes register by being defined."""
    learners, kinds = dict(LEARNERS), dict(KINDS)
    yield
    for name in LEARNERS.keys() - learners:
        del LEARNERS[name]
    for name in KINDS.keys() - kinds:
        del KINDS[name]


@pytest.mark.usefixtures("_forgotten")
def test_a_learner_is_a_subclass_with_a_name() -> None:
    class MineOptions(LFPOptions):
        """The options of the learner of this test."""

        name: Literal["mine"] = "mine"  # type: ignore[assignment]

    class Mine(LFP, name="mine"):
        """A learner like another."""

        Options: ClassVar[type[LFPOptions]] = MineOptions

    trained("learner={name: mine}")
    assert "mine" in run_cli(["ls", "learners"]).output


@pytest.mark.usefixtures("_forgotten")
def test_a_kind_of_layer_is_a_subclass_with_a_kind() -> None:
    class MineSpec(LayerSpec):
        """A layer of this test.

        Attributes:
            mine: the number of outputs.
        """

        kind: ClassVar[str] = "mine"

        mine: int

        @override
        def module(self, shape: Shape, assembly: Assembly) -> nn.Module:
            return nn.Linear(shape[-1], self.mine)

    trained("model={name: layers, layers: [flatten, {mine: 12}, lif, {linear: classes}, lif]}")


def test_a_format_is_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(path: Path) -> Events:
        x = np.frombuffer(path.read_bytes()[4:], np.uint8).astype(np.int16)
        on = np.ones(len(x), np.uint8)
        return Events(x, np.zeros_like(x), np.arange(len(x)) * 1000, on, (2, 1, 256))

    def write(events: Events, path: Path) -> None:
        path.write_bytes(b"MINE" + events.x.astype(np.uint8).tobytes())

    mine = Format("mine", "mine of this test", (".mine",), lambda b: b[:4] == b"MINE", read, write)
    monkeypatch.setitem(FORMATS, "mine", mine)
    Path("one.mine").write_bytes(b"MINE" + bytes(range(50)))
    told = run_cli(["data", "info", "one.mine"])
    assert told.exit_code == 0, told.output
    assert "mine of this test" in told.output
    assert run_cli(["data", "convert", "one.mine", "two.csv"]).exit_code == 0
    assert run_cli(["data", "convert", "two.csv", "three.mine"]).exit_code == 0
    assert Path("three.mine").read_bytes() == Path("one.mine").read_bytes()
