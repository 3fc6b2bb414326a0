"""A comparison: learners on the same network, data and seeds, each with its own settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from typing_extensions import override

from lfp_snn.analysis.compare.spec import Comparison, ComparisonConfig
from lfp_snn.analysis.study.fitting import fitting
from lfp_snn.analysis.study.kinds import Study
from lfp_snn.analysis.study.seedrun import SeedRun
from lfp_snn.analysis.study.spec import Arm, read_study
from lfp_snn.errors import ConfigError
from lfp_snn.later import later
from lfp_snn.options import nearest
from lfp_snn.training.configfile import apply_changes

if TYPE_CHECKING:
    from lfp_snn.analysis.compare import seed
else:
    seed = later("lfp_snn.analysis.compare.seed")

__all__ = ["ComparisonStudy"]


@dataclass(frozen=True)
class ComparisonStudy(Study, section="compare"):
    """The study that compares learners; each learner is an arm.

    Attributes:
        options: the section of the config.
    """

    config_class = ComparisonConfig

    options: Comparison

    @classmethod
    @override
    def load(cls, path: Path, overrides: list[str], only: Sequence[str] | None = None) -> Self:
        """Load the comparison of a config with a section ``compare``.

        Args:
            path: the config.
            overrides: the overrides ``key=value``.
            only: the names of the learners to take, in this order; ``None`` for all.

        Raises:
            ConfigError: the file is wrong, or a name is not in it.
        """
        config, base = read_study(path, overrides, cls.section, ComparisonConfig)
        options = config.compare
        names = list(options.learners) if only is None else only
        arms = [_arm(options, base, name, path) for name in names]
        for arm in arms:
            arm.check()
        arms = [fitting(arm) for arm in arms]
        if options.reference not in names:
            raise ConfigError(
                f"The reference {options.reference!r} is not among the learners "
                f"{', '.join(names)}: add it, or set compare.reference."
            )
        return cls(arms, options)

    @override
    def asked(self, threads: int) -> Mapping[str, Any]:
        # More seeds or other processes at a time go on with what is there. Anything else, more
        # trials included, would put trainings of different settings side by side.
        return {
            "reference": self.options.reference,
            "target": self.options.target,
            "threads": threads,
            **{f"learner {arm.name}": arm.model_dump(mode="json") for arm in self.arms},
        }

    @property
    @override
    def validates(self) -> bool:
        """Whether a part of the data must validate; a target is a validation accuracy."""
        return super().validates or self.options.target is not None

    @classmethod
    @override
    def run_seed(cls, run: SeedRun, arm: Arm, todo: Mapping[str, Any]) -> None:
        seed.train_and_measure(run, arm, todo["values"])


def _arm(options: Comparison, base: Mapping[str, Any], name: str, path: Path) -> Arm:
    known = options.learners
    if name not in known:
        guess = nearest(name, known)
        hint = f"did you mean {guess}?" if guess else f"it has {', '.join(known)}."
        raise ConfigError(f"{path} has no learner {name!r} in compare.learners; {hint}")
    compared = known[name]
    own = apply_changes(base, {"learner.name": compared.learner or name, **compared.set})
    return Arm(name=name, base=own, search=options.search, tune=compared.tune)
