"""The specification of a study: its arms, and what is searched for each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import Discriminator, Field, Tag, model_validator

from lfp_snn.errors import ConfigError
from lfp_snn.options import Section
from lfp_snn.training.config import Config
from lfp_snn.training.configfile import (
    apply_changes,
    apply_overrides,
    load_settings,
    make_config,
    read_mapping,
)

__all__ = ["Arm", "Range", "Search", "Space", "read_study"]

Value = bool | int | float | str | None
StudyConfig = TypeVar("StudyConfig", bound=Config)


class Range(Section):
    """A range of numbers from ``low`` to ``high``, whole ones if both are.

    Attributes:
        low: the smallest number.
        high: the largest number, above ``low``.
        log: whether orders of magnitude count alike; ``low`` has to be positive then.
    """

    low: int | float
    high: int | float
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"low below high, but {self.low} is not below {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"a positive low where log is true, but it is {self.low}")
        return self


def _shape(given: object) -> str:
    return "a list" if isinstance(given, list) else "a range"


#: What is searched: a range or a list of values for each dotted key of the config.
Space = dict[
    str,
    Annotated[
        Annotated[Range, Tag("a range")] | Annotated[list[Value], Tag("a list")],
        Discriminator(_shape),
    ],
]


class Search(Section):
    """The budget of a search, the same for all arms.

    Attributes:
        trials: the number of settings tried, pruned ones included; 0 to search nothing.
        epochs: the epochs of a trial; ``None`` for those of the config.
        seed: the seed of the networks that are tried and of the search; no seed of the study
            itself.
    """

    trials: int = Field(default=10, ge=0)
    epochs: int | None = Field(default=None, ge=1)
    seed: int = Field(default=1000, ge=0, lt=2**31)


class Arm(Section):
    """An arm of a study: one of the things that it holds side by side, such as a learner.

    Attributes:
        name: the name of the arm in the study and of its folder.
        base: the config from which it starts, as read from YAML, with the arm's own values.
        search: the budget of its search.
        tune: what is searched.
    """

    name: str
    base: dict[str, Any]
    search: Search
    tune: Space

    @property
    def trials(self) -> int:
        """The number of settings to try; 0 where there is nothing to search."""
        return self.search.trials if self.tune else 0

    def config(self, values: Mapping[str, Any], seed: int, epochs: int | None = None) -> Config:
        """The config of the experiment with searched values, a seed, and perhaps other epochs.

        Raises:
            ConfigError: a value does not fit.
        """
        changes = {**values, "seed": seed}
        if epochs is not None:
            changes["epochs"] = epochs
        return make_config(Config, apply_changes(self.base, changes), f"learner {self.name}")

    def asks_the_same(self, other: Arm) -> bool:
        """Whether two arms mean the same trainings, whichever defaults each writes out.

        Raises:
            ConfigError: the config of one of them does not fit.
        """
        parts = ("name", "search", "tune")
        alike = all(getattr(self, part) == getattr(other, part) for part in parts)
        return alike and self.config({}, 0) == other.config({}, 0)

    def check(self) -> None:
        """Check the config at the corners of the searched space.

        Raises:
            ConfigError: the values of a corner do not fit.
        """
        self.config({}, 0)
        for key, values in self.tune.items():
            corners = [values.low, values.high] if isinstance(values, Range) else values
            for value in corners:
                self.config({key: value}, 0)


def read_study(
    path: Path, overrides: list[str], section: str, kind: type[StudyConfig]
) -> tuple[StudyConfig, dict[str, Any]]:
    """Read a config with the section of a study: checked whole, and as written without the section.

    Args:
        path: the config.
        overrides: the overrides ``key=value``.
        section: the section that it has to have.
        kind: the class of such configs.

    Raises:
        ConfigError: the file is wrong, or has no such section.
    """
    given = apply_overrides(read_mapping(path), overrides)
    if section not in given:
        raise ConfigError(
            f"{path} has no section {section}; `lfp-snn cp {section}_digits` shows one."
        )
    config = load_settings(kind, path, overrides)
    return config, {key: value for key, value in given.items() if key != section}
