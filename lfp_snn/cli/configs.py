"""``lfp-snn validate``, and the config that other commands are given, checked."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from lfp_snn.analysis.experiments import load_any
from lfp_snn.analysis.study.kinds import kinds
from lfp_snn.cli.shipped import find_config
from lfp_snn.errors import ConfigError
from lfp_snn.training.config import Config
from lfp_snn.training.configfile import load_config, read_mapping

__all__ = ["experiment", "validate"]


def validate(config: str, overrides: Sequence[str] | None) -> None:
    """Check a config; see :func:`lfp_snn.cli.declared.validate`."""
    path = find_config(config)
    load_any(path, list(overrides or ()))
    typer.echo(f"{path} is valid")


def experiment(config: str, overrides: Sequence[str]) -> Config:
    """The config of one training.

    Raises:
        ConfigError: there is no such config, something in it is wrong, or it is one of a study.
    """
    path = find_config(config)
    for section in read_mapping(path).keys() & kinds().keys():
        raise ConfigError(
            f"{config} has a section {section}: run it with lfp-snn {section} {config}."
        )
    return load_config(path, overrides)
