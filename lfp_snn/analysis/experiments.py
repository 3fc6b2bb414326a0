"""Configs of any kind, whichever command runs them: one training, or a study of many."""

from __future__ import annotations

from pathlib import Path

from lfp_snn.analysis.study.kinds import kinds
from lfp_snn.training.config import Config
from lfp_snn.training.configfile import apply_overrides, load_settings, read_mapping

__all__ = ["load_any"]


def load_any(path: Path, overrides: list[str]) -> Config:
    """Load a config of a training or of a study, with overrides applied, and check it.

    Raises:
        ConfigError: the file is missing or not readable, or something in it is unknown or wrong.
    """
    given = apply_overrides(read_mapping(path), overrides)
    for section, kind in kinds().items():
        if section in given:
            kind.load(path, overrides)
            return load_settings(kind.config_class, path, overrides)
    return load_settings(Config, path, overrides)
