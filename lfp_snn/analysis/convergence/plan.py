"""What a convergence study is asked to do, as its config says it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from lfp_snn.analysis.compare.plan import Search, Study
from lfp_snn.errors import ConfigError
from lfp_snn.learners import LEARNERS, LearnerOptions
from lfp_snn.options import AS_MAPPING, Choice, Section, choose
from lfp_snn.training import Config
from lfp_snn.training.configfile import apply_changes, apply_overrides, make_config, read_mapping

__all__ = ["Case", "Convergence", "ConvergenceConfig", "Grid", "load_convergence"]

#: Names of rules and depths, which become folders.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


def _learners() -> Mapping[str, type[Choice]]:
    return {name: learner.Options for name, learner in LEARNERS.items()}


class Convergence(Section):
    """The section ``convergence`` of a config.

    Attributes:
        rules: what is trained, by a name of one's choice: changes of the config by dotted key.
        depths: networks, the same way.
        against: the learner with whose update each update is compared, by name with its options.
        every: steps from one such comparison to the next.
    """

    rules: dict[Name, dict[str, Any]] = Field(min_length=1)
    depths: dict[Name, dict[str, Any]] = Field(min_length=1)
    against: Annotated[LearnerOptions, choose("learner", _learners, "surrogate"), AS_MAPPING] = (
        Field(default_factory=lambda: LEARNERS["surrogate"].Options(name="surrogate"))
    )
    every: int = Field(default=10, ge=1)


class ConvergenceConfig(Config):
    """An experiment with a section ``convergence``.

    Attributes:
        convergence: what is trained, and with which update each update is compared.
    """

    convergence: Convergence


@dataclass(frozen=True)
class Case:
    """A rule at a depth; :class:`~lfp_snn.analysis.compare.plan.Study` makes its configs."""

    rule: str
    depth: str
    study: Study


@dataclass(frozen=True)
class Grid:
    """Every rule at every depth.

    Attributes:
        options: the section of the config.
        cases: depth by depth.
    """

    options: Convergence
    cases: Sequence[Case]


def load_convergence(path: Path, overrides: list[str]) -> Grid:
    """The cases of a config with a section ``convergence``.

    Raises:
        ConfigError: the file is wrong.
    """
    given = apply_overrides(read_mapping(path), overrides)
    if "convergence" not in given:
        raise ConfigError(
            f"{path} has no section convergence; `lfp-snn cp convergence_digits` shows one."
        )
    options = make_config(ConvergenceConfig, given, str(path)).convergence
    base = {key: value for key, value in given.items() if key != "convergence"}
    cases = [
        Case(rule, depth, _study(f"{rule}@{depth}", apply_changes(base, {**of_depth, **of_rule})))
        for depth, of_depth in options.depths.items()
        for rule, of_rule in options.rules.items()
    ]
    return Grid(options, cases)


def _study(name: str, base: dict[str, Any]) -> Study:
    """Nothing is searched: every case has the settings of the config."""
    study = Study(name=name, base=base, search=Search(trials=0), tune={})
    study.check()
    return study
