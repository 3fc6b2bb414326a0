"""A convergence study: every rule trains networks of every depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from typing_extensions import override

from lfp_snn.analysis.convergence.spec import Convergence, ConvergenceConfig
from lfp_snn.analysis.study.kinds import Study
from lfp_snn.analysis.study.seedrun import SeedRun
from lfp_snn.analysis.study.spec import Arm, Search, read_study
from lfp_snn.later import later
from lfp_snn.training.configfile import apply_changes

if TYPE_CHECKING:
    from lfp_snn.analysis.convergence import seed
else:
    seed = later("lfp_snn.analysis.convergence.seed")

__all__ = ["Case", "ConvergenceStudy"]


@dataclass(frozen=True)
class Case:
    """A rule at a depth, and the arm of the study that trains it."""

    rule: str
    depth: str
    arm: Arm


@dataclass(frozen=True)
class ConvergenceStudy(Study, section="convergence"):
    """The study of every rule at every depth; nothing is searched.

    Attributes:
        options: the section of the config.
        cases: the cases, depth by depth, in the order of the arms.
    """

    config_class = ConvergenceConfig
    searches = False

    options: Convergence
    cases: Sequence[Case]

    @classmethod
    @override
    def load(cls, path: Path, overrides: list[str]) -> Self:
        config, base = read_study(path, overrides, cls.section, ConvergenceConfig)
        options = config.convergence
        cases = [
            Case(rule, depth, _arm(f"{rule}@{depth}", apply_changes(base, {**of_depth, **of_rule})))
            for depth, of_depth in options.depths.items()
            for rule, of_rule in options.rules.items()
        ]
        return cls([case.arm for case in cases], options, cases)

    @override
    def asked(self, threads: int) -> Mapping[str, Any]:
        probe = self.options.model_dump(mode="json", include={"against", "every"})
        arms = {f"case {arm.name}": arm.model_dump(mode="json") for arm in self.arms}
        return {**probe, **arms}

    @override
    def todo(self) -> Mapping[str, Any]:
        return {"options": self.options.model_dump(mode="json")}

    @classmethod
    @override
    def run_seed(cls, run: SeedRun, arm: Arm, todo: Mapping[str, Any]) -> None:
        seed.train_and_probe(run, arm, Convergence.model_validate(todo["options"]))


def _arm(name: str, base: dict[str, Any]) -> Arm:
    arm = Arm(name=name, base=base, search=Search(trials=0), tune={})
    arm.check()
    return arm
