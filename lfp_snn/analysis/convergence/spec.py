"""The section ``convergence`` of a config: rules, depths, what updates are held against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from lfp_snn.learners import LEARNERS, LearnerOptions
from lfp_snn.options import AS_MAPPING, NAME, Choice, Section, choose
from lfp_snn.training.config import Config

__all__ = ["Convergence", "ConvergenceConfig"]

#: Names of rules and depths, which become folders.
Name = Annotated[str, Field(pattern=NAME)]


def _learners() -> Mapping[str, type[Choice]]:
    return {name: learner.Options for name, learner in LEARNERS.items()}


class Convergence(Section):
    """The section ``convergence`` of a config.

    Attributes:
        rules: the rules that train, by a name of your choice: changes of the config by dotted key.
        depths: the networks, by a name of your choice: changes of the config by dotted key.
        against: the learner with whose update each update is compared, by name with its options.
        every: the steps from one such comparison to the next.
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
