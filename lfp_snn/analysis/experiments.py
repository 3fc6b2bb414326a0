"""Any config, whichever command runs it: one training, or one of the studies of many."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lfp_snn.analysis.compare.plan import ComparisonConfig, SweepConfig, load_comparison, load_sweep
from lfp_snn.analysis.convergence.plan import ConvergenceConfig, load_convergence
from lfp_snn.training.config import Config
from lfp_snn.training.configfile import apply_overrides, make_config, read_mapping

__all__ = ["STUDIES", "load_any"]

#: The section that makes a config one of a study; the config's class, and what checks the rest.
STUDIES: dict[str, tuple[type[Config], Callable[[Path, list[str]], object]]] = {
    "compare": (ComparisonConfig, load_comparison),
    "sweep": (SweepConfig, load_sweep),
    "convergence": (ConvergenceConfig, load_convergence),
}


def load_any(path: Path, overrides: list[str]) -> Config:
    """A config of a training or of a study, overrides applied and checked.

    Raises:
        ConfigError: the file is missing or not readable, or something in it is unknown or wrong.
    """
    given = apply_overrides(read_mapping(path), overrides)
    for section, (kind, load) in STUDIES.items():
        if section in given:
            load(path, overrides)
            return make_config(kind, given, str(path))
    return make_config(Config, given, str(path))
