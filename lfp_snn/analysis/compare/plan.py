"""What a comparison or a sweep is asked to do, as its config says it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Discriminator, Field, Tag, model_validator

from lfp_snn.errors import ConfigError
from lfp_snn.learners import LEARNERS
from lfp_snn.options import Section, nearest
from lfp_snn.training.config import Config
from lfp_snn.training.configfile import apply_changes, apply_overrides, make_config, read_mapping

__all__ = [
    "Comparison",
    "ComparisonConfig",
    "Plan",
    "Range",
    "Search",
    "Space",
    "Study",
    "Sweep",
    "SweepConfig",
    "load_comparison",
    "load_sweep",
]

Value = bool | int | float | str | None


class Range(Section):
    """Numbers from ``low`` to ``high``, whole ones if both are; evenly in their logarithm if asked.

    Attributes:
        low: the smallest.
        high: the largest, above ``low``.
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


def _kind(given: object) -> str:
    return "a list" if isinstance(given, list) else "a range"


#: What is searched: a range or a list of values for each dotted key of the config.
Space = dict[
    str,
    Annotated[
        Annotated[Range, Tag("a range")] | Annotated[list[Value], Tag("a list")],
        Discriminator(_kind),
    ],
]


class Search(Section):
    """How much is searched, the same for everyone.

    Attributes:
        trials: settings tried, pruned ones included; 0 to search nothing.
        epochs: of a trial; ``None`` for those of the config.
        seed: of the networks that are tried and of the search; no seed of the comparison itself.
    """

    trials: int = Field(default=10, ge=0)
    epochs: int | None = Field(default=None, ge=1)
    seed: int = Field(default=1000, ge=0, lt=2**31)


class Plan(Section):
    """One learner of a comparison.

    Attributes:
        learner: its name, if it is not the name of the plan.
        set: values of this learner alone, by dotted key.
        tune: what is searched for it.
    """

    learner: str | None = None
    set: dict[str, Any] = Field(default_factory=dict)
    tune: Space = Field(default_factory=dict)


class Comparison(Section):
    """The section ``compare`` of a config.

    Attributes:
        reference: the learner that the others are held against.
        learners: what is compared, by a name of one's choice.
        search: the budget of each learner's search.
        target: validation accuracy to which the training time is told; ``None``: not told.
    """

    reference: str = "lfp"
    learners: dict[str, Plan] = Field(min_length=1)
    search: Search = Search()
    target: float | None = Field(default=None, gt=0, le=1)

    @model_validator(mode="after")
    def _known(self) -> Self:
        for name, plan in self.learners.items():
            if not name or name.startswith(".") or "/" in name or "\\" in name:
                raise ValueError(
                    f"learners by names that a folder can have, without / and without a dot in "
                    f"front, but one is {name!r}"
                )
            learner = plan.learner or name
            if learner not in LEARNERS:
                guess = nearest(learner, LEARNERS)
                hint = f"; did you mean {guess}?" if guess else ""
                raise ValueError(
                    f"learners of {', '.join(LEARNERS)}, but {name!r} names {learner!r}{hint}"
                )
        return self


class Sweep(Section):
    """The section ``sweep`` of a config.

    Attributes:
        search: how much is tried.
        tune: what is searched.
    """

    search: Search = Search()
    tune: Space = Field(min_length=1)


class ComparisonConfig(Config):
    """An experiment with a section ``compare``.

    Attributes:
        compare: learners, their own values, and what is searched for each.
    """

    compare: Comparison


class SweepConfig(Config):
    """An experiment with a section ``sweep``.

    Attributes:
        sweep: what is searched, and how much.
    """

    sweep: Sweep


class Study(Section):
    """A search for one learner: the config from which it starts, and the space.

    Attributes:
        name: of the learner in the comparison.
        base: the config as read from YAML, with the learner's own values.
        search: the budget.
        tune: the space.
    """

    name: str
    base: dict[str, Any]
    search: Search
    tune: Space

    def config(self, values: Mapping[str, Any], seed: int, epochs: int | None = None) -> Config:
        """The experiment with searched values, a seed, and perhaps other epochs.

        Raises:
            ConfigError: a value does not fit.
        """
        changes = {**values, "seed": seed}
        if epochs is not None:
            changes["epochs"] = epochs
        return make_config(Config, apply_changes(self.base, changes), f"learner {self.name}")

    def asks_the_same(self, other: Study) -> bool:
        """Whether two studies come to the same trainings, whatever of the defaults each writes.

        Raises:
            ConfigError: one of them does not fit.
        """
        parts = ("name", "search", "tune")
        alike = all(getattr(self, part) == getattr(other, part) for part in parts)
        return alike and self.config({}, 0) == other.config({}, 0)

    def check(self) -> None:
        """Try the config at the corners of the space.

        Raises:
            ConfigError: one of them does not fit.
        """
        self.config({}, 0)
        for key, values in self.tune.items():
            corners = [values.low, values.high] if isinstance(values, Range) else values
            for value in corners:
                self.config({key: value}, 0)


def load_comparison(
    path: Path, overrides: list[str], only: list[str] | None = None
) -> tuple[Comparison, list[Study]]:
    """A comparison and the study of each of its learners.

    Args:
        path: a config with a section ``compare``.
        overrides: ``key=value``.
        only: names of the learners to take, in this order; ``None`` for all.

    Raises:
        ConfigError: the file is wrong, or a name is not in it.
    """
    given = apply_overrides(read_mapping(path), overrides)
    if "compare" not in given:
        raise ConfigError(f"{path} has no section compare; `lfp-snn cp compare_digits` shows one.")
    comparison = make_config(ComparisonConfig, given, str(path)).compare
    base = {key: value for key, value in given.items() if key != "compare"}
    names = list(comparison.learners) if only is None else only
    studies = [_study(comparison, base, name, path) for name in names]
    for study in studies:
        study.check()
    if comparison.reference not in names:
        raise ConfigError(
            f"The reference {comparison.reference!r} is not among the learners "
            f"{', '.join(names)}: add it, or set compare.reference."
        )
    return comparison, studies


def _study(comparison: Comparison, base: Mapping[str, Any], name: str, path: Path) -> Study:
    known = comparison.learners
    if name not in known:
        guess = nearest(name, known)
        hint = f"did you mean {guess}?" if guess else f"it has {', '.join(known)}."
        raise ConfigError(f"{path} has no learner {name!r} in compare.learners; {hint}")
    plan = known[name]
    own = apply_changes(base, {"learner.name": plan.learner or name, **plan.set})
    return Study(name=name, base=own, search=comparison.search, tune=plan.tune)


def load_sweep(path: Path, overrides: list[str]) -> Study:
    """The study of a config with a section ``sweep``.

    Raises:
        ConfigError: the file is wrong.
    """
    given = apply_overrides(read_mapping(path), overrides)
    if "sweep" not in given:
        raise ConfigError(f"{path} has no section sweep; `lfp-snn cp sweep_digits` shows one.")
    sweep = make_config(SweepConfig, given, str(path)).sweep
    base = {key: value for key, value in given.items() if key != "sweep"}
    study = Study(name="sweep", base=base, search=sweep.search, tune=sweep.tune)
    study.check()
    return study
