"""A sweep: a search over the settings of one learner, without seeds after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from typing_extensions import override

from lfp_snn.analysis.study.fitting import fitting
from lfp_snn.analysis.study.kinds import Study
from lfp_snn.analysis.study.spec import Arm, read_study
from lfp_snn.analysis.sweep.spec import SweepConfig

__all__ = ["SweepStudy"]


@dataclass(frozen=True)
class SweepStudy(Study, section="sweep"):
    """The study of a search; its one arm is called ``sweep``."""

    config_class = SweepConfig

    @classmethod
    @override
    def load(cls, path: Path, overrides: list[str]) -> Self:
        config, base = read_study(path, overrides, cls.section, SweepConfig)
        sweep = config.sweep
        arm = Arm(name=cls.section, base=base, search=sweep.search, tune=sweep.tune)
        arm.check()
        return cls([fitting(arm)])

    @property
    def arm(self) -> Arm:
        """The arm that is searched."""
        return self.arms[0]

    @override
    def asked(self, threads: int) -> Mapping[str, Any]:
        return {"threads": threads, self.section: self.arm.model_dump(mode="json")}
