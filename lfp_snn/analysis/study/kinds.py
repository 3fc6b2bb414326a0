"""The kinds of studies: each is registered by the section that makes a config one of its kind.

A package of :mod:`lfp_snn.analysis` with a module ``study`` is a kind; nothing lists them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, ClassVar, Self

from lfp_snn import analysis
from lfp_snn.analysis.study.seedrun import SeedRun
from lfp_snn.analysis.study.spec import Arm
from lfp_snn.training.config import Config

__all__ = ["Study", "kinds"]

_KINDS: dict[str, type[Study]] = {}


@dataclass(frozen=True)
class Study(ABC):
    """Base of studies, which are trainings that are looked at together; each kind is a subclass.

    Subclass it as ``class Mine(Study, section="mine")`` in the module ``study`` of a package.

    Attributes:
        arms: the arms that are held side by side.
    """

    section: ClassVar[str]
    #: The class of configs with that section.
    config_class: ClassVar[type[Config]]
    #: Are the settings of the arms searched first?
    searches: ClassVar[bool] = True

    arms: Sequence[Arm]

    def __init_subclass__(cls, *, section: str, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.section = section
        _KINDS[section] = cls

    @classmethod
    @abstractmethod
    def load(cls, path: Path, overrides: list[str]) -> Self:
        """Load the study of a config that has the section.

        Raises:
            ConfigError: the file is wrong.
        """

    @abstractmethod
    def asked(self, threads: int) -> Mapping[str, Any]:
        """The identity of the study, as JSON takes it, which is kept in ``plan.json``.

        The number of seeds and of processes is no part of it: more of them go on with what is
        there.

        Args:
            threads: the threads of each process.
        """

    def todo(self) -> Mapping[str, Any]:
        """The options of :meth:`run_seed` besides arm and seed, as JSON takes them."""
        return {}

    @classmethod
    def run_seed(cls, run: SeedRun, arm: Arm, todo: Mapping[str, Any]) -> None:
        """Train an arm with a seed in this process, measure, and write what was measured.

        Args:
            run: the place of the training, with its seed.
            arm: the arm that is trained.
            todo: the options of :meth:`todo`, with the ``values`` that the search found.

        Raises:
            LfpSnnError: the training fails.
        """
        raise NotImplementedError(f"a {cls.section} trains nothing beside its search")

    @property
    def validates(self) -> bool:
        """Whether the study needs a part of the data that validates, as a search does."""
        return any(arm.trials for arm in self.arms)

    @property
    def name(self) -> str | None:
        """The name of the experiment, if the config gives one."""
        name = self.arms[0].base.get("name")
        return None if name is None else str(name)


def kinds() -> Mapping[str, type[Study]]:
    """Every kind of study, by its section."""
    for each in iter_modules(analysis.__path__, f"{analysis.__name__}."):
        if each.ispkg and find_spec(f"{each.name}.study"):
            import_module(f"{each.name}.study")
    return _KINDS
