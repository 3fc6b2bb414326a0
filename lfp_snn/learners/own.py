"""Rewards and rules as objects: the section of a configuration that names one, or that notes it.

What a configuration can name is named, so that its run needs nothing else. An object of a class of
a user's own is noted by its class and its plain options, and travels with the settings that were
made of it; settings read from a file do not have it, and ask for it.
"""

from __future__ import annotations

import dataclasses
import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, PrivateAttr, ValidationError
from typing_extensions import override

from lfp_snn.errors import ConfigError, LfpSnnError
from lfp_snn.learners.ending import ByOutput
from lfp_snn.options import Choice, choice_of
from lfp_snn.rewards import FromLoss, MembraneCoded, Reward, SoftmaxValues
from lfp_snn.rules import Rule

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["OwnObject", "OwnReward", "OwnRule", "named"]


class OwnObject(Choice):
    """An object that a user gave; no file can hold it.

    Attributes:
        kind: the name of its class.
        arguments: the options of the object that are numbers or words, and the names of functions
            among them.
    """

    what: ClassVar[str] = "object"

    name: Literal["own"] = "own"
    kind: str
    arguments: dict[str, bool | int | float | str | None] = Field(default_factory=dict)
    _given: Any = PrivateAttr(default=None)

    @classmethod
    def of(cls, given: object) -> OwnObject:
        """The section of an object, which has the object."""
        section = cls(kind=type(given).__name__, arguments=_arguments(given))
        section._given = given
        return section

    @property
    def is_there(self) -> bool:
        """Whether the object is known, as it is not of settings that were read from a file."""
        return self._given is not None

    def make(self) -> Any:
        """The object that was given.

        Raises:
            ConfigError: the section was read from a file.
        """
        if self._given is None:
            raise ConfigError(self.sentence)
        return self._given

    @property
    def sentence(self) -> str:
        """The sentence that asks for the object."""
        return (
            f"The {self.what} of this run is a {self.kind} that was given in Python, which no file "
            f"can hold: give it again, {self.what}={self.kind}(...), to fit or TrainedRun.open."
        )

    @abstractmethod
    def stand_in(self) -> Choice:
        """A section of something that runs a network and reads it alike, if the object lacks."""


class OwnReward(OwnObject):
    """A reward that a user gave.

    Attributes:
        reads: how the class is read: by the ``output``, as with the rewards that go with it, by the
            mean ``membranes``, or in a way of the reward ``itself``.
    """

    what: ClassVar[str] = "reward"
    reads: Literal["output", "membranes", "itself"] = "itself"

    @classmethod
    @override
    def of(cls, given: object) -> OwnObject:
        section = super().of(given)
        assert isinstance(given, Reward)
        noted: OwnObject = section.model_copy(update={"reads": _reading(given)})
        return noted

    @override
    def stand_in(self) -> Choice:
        if self.reads == "itself":
            return self
        taken: type[Reward] = MembraneCoded if self.reads == "membranes" else ByOutput
        return choice_of(self.reads, taken)(name=self.reads)


class OwnRule(OwnObject):
    """A rule or composite that a user gave."""

    what: ClassVar[str] = "rule"

    @override
    def stand_in(self) -> Choice:
        section = choice_of("withheld", Withheld)
        return section.model_validate({"name": "withheld", "sentence": self.sentence})


@dataclasses.dataclass(frozen=True)
class Withheld(Rule):
    """A rule in the place of one that lacks: a network runs, but hands nothing back.

    Args:
        sentence: the sentence that asks for the rule.
    """

    sentence: str = ""

    @override
    def split(self, relevance: Tensor, kept: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
        raise ConfigError(self.sentence)


def _reading(reward: Reward) -> Literal["output", "membranes", "itself"]:
    """How a reward reads a class."""
    if isinstance(reward, FromLoss):
        return "membranes" if reward.of == "membranes" else "output"
    scores = type(reward).scores
    if reward.regresses or type(reward).predict is not Reward.predict:
        return "itself"
    if scores is MembraneCoded.scores:
        return "membranes"
    return "output" if scores in (Reward.scores, SoftmaxValues.scores) else "itself"


def named(given: object, sections: Mapping[str, type[Choice]]) -> Choice | None:
    """The section of a configuration that makes an object equal to a given one, if there is one.

    Args:
        given: the object, of a dataclass.
        sections: the sections to look among, by their names.
    """
    if not dataclasses.is_dataclass(given):
        return None
    options = {each.name: getattr(given, each.name) for each in dataclasses.fields(given)}
    for name, section in sections.items():
        if section.target is type(given):
            try:
                found = section(name=name, **options)
                return found if bool(found.make() == given) else None
            # A class that a program added may compare or take its options as it likes.
            except (ValidationError, LfpSnnError, TypeError, ValueError, RuntimeError):
                return None
    return None


def _arguments(given: object) -> dict[str, bool | int | float | str | None]:
    """The plain options of an object, and the names of functions among them."""
    if dataclasses.is_dataclass(given):
        held = {each.name: getattr(given, each.name) for each in dataclasses.fields(given)}
    else:
        held = {key: each for key, each in getattr(given, "__dict__", {}).items() if key[0] != "_"}
    return {key: _plain(each) for key, each in held.items() if _is_plain(each) or callable(each)}


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def _plain(value: Any) -> bool | int | float | str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if _is_plain(value):
        return value  # type: ignore[no-any-return]
    return str(getattr(value, "__name__", type(value).__name__))
