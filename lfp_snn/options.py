"""Sections of a configuration, and choices by name.

A section is a strict pydantic model: an unknown key or a value of another type is an error. A
choice is a section with a ``name`` that says which of several classes it configures, such as
``{name: epsilon, eps: 0.1}``; every other key is an option of that class.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    create_model,
    model_validator,
)
from pydantic_core import PydanticCustomError
from pydantic_core.core_schema import ValidationInfo

from lfp_snn.errors import LfpSnnError

__all__ = ["AS_MAPPING", "NAME", "Choice", "Section", "choice_of", "choose", "dotted", "nearest"]


#: What names of runs and studies look like, of which files are named.
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known word that is written most like ``word``, or ``None`` if none is so close.

    Capital letters make no difference.
    """
    plain = {each.lower(): each for each in known}
    close = difflib.get_close_matches(word.lower(), list(plain), n=1, cutoff=cutoff)
    return plain[close[0]] if close else None


def dotted(location: Iterable[str | int]) -> str:
    """The place of a key in a configuration as text, such as ``model.layers[3].kernel``."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return "".join(parts).removeprefix(".")


class Section(BaseModel):
    """A mapping in a configuration: known keys only, no silent change of type."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, defer_build=True
    )

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, given: Any) -> Any:
        known = tuple(cls.model_fields)
        unknown = (
            [str(key) for key in given if key not in known] if isinstance(given, Mapping) else []
        )
        if unknown:
            context = {"unknown": unknown, "known": known}
            raise PydanticCustomError("unknown_key", "unknown keys", context)
        return given


class Choice(Section):
    """A section that picks a class by its registered name.

    Sections made by :func:`choice_of` know the class they configure, and :meth:`make` builds it.
    """

    name: str
    target: ClassVar[Callable[..., Any] | None] = None

    def options(self) -> dict[str, Any]:
        """The options as a mapping, without the name."""
        return {key: getattr(self, key) for key in type(self).model_fields if key != "name"}

    def make(self) -> Any:
        """Build the object that the section describes."""
        if self.target is None:
            raise TypeError(f"{type(self).__name__} names no class that could be built")
        return type(self).target(**self.options())  # type: ignore[misc]

    def check(self) -> None:
        """Raise if the options do not fit; by default, if the object cannot be built."""
        if self.target is not None:
            self.make()

    @model_validator(mode="after")
    def _options_fit(self) -> Choice:
        """Let the class itself check its options: it knows the ranges."""
        try:
            self.check()
        except (LfpSnnError, ValueError, TypeError) as error:
            message = {"message": str(error)}
            raise PydanticCustomError("bad_options", "{message}", message) from error
        return self


class _Lax(Choice):
    """A choice whose fields were typed elsewhere, perhaps as tuples or paths; YAML has neither."""

    model_config = ConfigDict(strict=False)


def choice_of(name: str, target: type[Any]) -> type[Choice]:
    """A section for a class of options: its fields are the keys, its own checks are the ranges.

    Args:
        name: the name under which a configuration asks for it.
        target: a dataclass or another class with typed arguments, which :meth:`Choice.make`
            then builds, or a pydantic model.
    """
    fields: dict[str, Any] = {"name": (Literal[name], name)}
    if issubclass(target, BaseModel):
        bases: Any = (target, _Lax)
        model: type[Choice] = create_model(target.__name__, __base__=bases, **fields)
        return model
    if "__dataclass_fields__" in vars(target):
        hints = typing.get_type_hints(target)
        for field in dataclasses.fields(target):
            fields[field.name] = (hints[field.name], _default(field))
    else:
        hints = typing.get_type_hints(target.__init__)
        for key, argument in inspect.signature(target).parameters.items():
            missing = argument.default is argument.empty
            fields[key] = (hints[key], ... if missing else argument.default)
    section: type[Choice] = create_model(target.__name__, __base__=_Lax, **fields)
    section.target = target
    return section


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return Field(default_factory=field.default_factory)
    return ... if field.default is dataclasses.MISSING else field.default


def choose(
    what: str, registry: Callable[[], Mapping[str, type[Choice]]], default: str | None = None
) -> PlainValidator:
    """A pydantic validator that reads ``{name: ..., **options}`` with the section of that name.

    Args:
        what: the word for the thing chosen, used in messages ("reward").
        registry: returns the sections by name; called when a value is validated.
        default: the name that is meant where none is given.
    """

    def read(given: Any, info: ValidationInfo) -> Choice:
        if isinstance(given, Choice):
            return given
        name = given.get("name", default) if isinstance(given, Mapping) else None
        if not isinstance(name, str):
            context = {"what": what, "known": tuple(registry())}
            raise PydanticCustomError("no_choice", "expected a mapping with a key name", context)
        sections = registry()
        if name not in sections:
            context = {"what": what, "given": name, "known": tuple(sections)}
            raise PydanticCustomError("unknown_choice", "unknown name", context)
        _refuse_keys_of_others(what, name, given, sections)
        return sections[name].model_validate({**given, "name": name})

    return PlainValidator(read)


def _refuse_keys_of_others(
    what: str, name: str, given: Mapping[str, Any], sections: Mapping[str, type[Choice]]
) -> None:
    """Refuse keys that a choice has not, and say which choices have them."""
    known = tuple(sections[name].model_fields)
    unknown = [str(key) for key in given if key not in known]
    have = {
        key: [other for other, section in sections.items() if key in section.model_fields]
        for key in unknown
    }
    if any(have.values()):
        context = {"unknown": unknown, "known": known, "what": what, "of": name, "have": have}
        raise PydanticCustomError("unknown_key", "unknown keys", context)


def _mapping(choice: Choice) -> dict[str, Any]:
    """Name first, then the options: the order in which one reads a section."""
    dumped = choice.model_dump(mode="json")
    return {"name": dumped.pop("name"), **dumped}


#: Writes a field that :func:`choose` reads: all options of the section that was chosen.
AS_MAPPING = PlainSerializer(_mapping)
