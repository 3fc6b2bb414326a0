"""The keys of a configuration, and the one that a word names or nearly names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from lfp_snn.options import Choice
from lfp_snn.training.config import Config, options_by_choice
from lfp_snn.training.configproblems import nearest_key

__all__ = ["keys_of", "keys_of_choices", "setting_for"]


def setting_for(word: str) -> str | None:
    """The setting of a config that a word names, or nearly names; None if there is none.

    A choice, such as the learner, is set by its name.
    """
    known = [*keys_of(Config), *keys_of_choices()]
    dotted = word.partition(".")[0] in known and "." in word
    key = word if dotted else nearest_key(word, (), (), known)
    return f"{key}.name" if f"{key}.name" in known else key


def keys_of(kind: type[BaseModel]) -> list[str]:
    """All keys of the default configuration, and of sections that have no default, dotted.

    Args:
        kind: the class of the configuration or of a section.
    """
    names = []
    for name, field in kind.model_fields.items():
        names.append(name)
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        inner = type(default) if isinstance(default, Choice) else field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            names += [f"{name}.{option}" for option in keys_of(inner)]
    return names


def keys_of_choices(given: Mapping[str, Any] | None = None) -> list[str]:
    """The dotted keys of data and model.

    Args:
        given: a config as it was read, of whose choices the keys are told; None for all that there
            are.
    """
    names = []
    for part, choices in options_by_choice().items():
        chosen = None if given is None else given.get(part)
        name = chosen.get("name") if isinstance(chosen, Mapping) else None
        taken = [each for key, each in choices.items() if given is None or key == name]
        names += [f"{part}.{option}" for options in taken for option in options]
    return list(dict.fromkeys(names))
