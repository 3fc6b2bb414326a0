"""Reading and writing configurations, and saying what is wrong with one.

A file is YAML. ``key=value`` overrides are applied before anything is checked, the value read as
YAML too and the key dotted (``optimizer.lr=1e-3``). Every mistake becomes a
:class:`~lfp_snn.errors.ConfigError` that names the file, the key, what was found and what is
expected.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from copy import deepcopy
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from lfp_snn.errors import ConfigError
from lfp_snn.training.config import Config, Settings
from lfp_snn.training.configkeys import keys_of, keys_of_choices
from lfp_snn.training.configproblems import MOST_TOLD, cut, sentence, shown
from lfp_snn.wording import by_config

__all__ = [
    "apply_changes",
    "apply_overrides",
    "dump_config",
    "load_config",
    "load_settings",
    "make_config",
    "parse_yaml",
    "read_mapping",
]

AnySettings = TypeVar("AnySettings", bound=Settings)


_LONGEST = 1 << 17  # characters of a config
_MOST_VALUES = 10_000  # in a config, with all that its aliases repeat
_MOST_DIGITS = 1000  # of a number


class _Loader(yaml.SafeLoader):
    """Safe YAML that reads ``1e-3`` as a number and refuses a key that stands twice.

    No tag makes it build anything but plain values. They are counted as they are composed, before
    any is built. Aliases may repeat only so much: a few lines of them can unfold to more than any
    memory holds.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.composed = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.composed += 1
        if self.composed > _MOST_VALUES:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, _found(_TOO_MANY), mark)
        return super().compose_node(parent, index)

    def get_single_data(self) -> Any:
        node = self.get_single_node()
        if node is None:
            return None
        _unfolded(node, {})
        return self.construct_document(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)

    def plain(self, node: yaml.ScalarNode) -> Any:
        """A plain value such as a number or a date; an error names the place of a bad one."""
        if len(node.value) > _MOST_DIGITS:
            raise _refused(node, f"a number of more than {_MOST_DIGITS} digits")
        try:
            return yaml.SafeLoader.yaml_constructors[node.tag](self, node)
        except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:
            kind = node.tag.rpartition(":")[2]
            raise yaml.constructor.ConstructorError(
                None, None, f"{cut(node.value)!r} is no {kind}", node.start_mark
            ) from error


for _tag in ("bool", "int", "float", "timestamp"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _Loader.plain)

_TOO_MANY = f"more than {_MOST_VALUES} values"


def _unfolded(node: yaml.Node, known: dict[int, int]) -> int:
    """The number of values that a node stands for; what aliases repeat counts each time."""
    if id(node) in known:
        if not known[id(node)]:
            raise _refused(node, "a value that holds itself")
        return known[id(node)]
    known[id(node)] = 0
    inner: Any = node.value
    if isinstance(node, yaml.ScalarNode):
        if "\0" in inner:
            raise _refused(node, "a null character")
        if any("\ud800" <= each <= "\udfff" for each in inner):
            raise _refused(node, "half a character")
        inner = ()
    elif isinstance(node, yaml.MappingNode):
        inner = [each for pair in inner for each in pair]
    total = 1 + sum(_unfolded(each, known) for each in inner)
    if total > _MOST_VALUES:
        raise _refused(node, _TOO_MANY)
    known[id(node)] = total
    return total


def _refused(node: yaml.Node, found: str) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, _found(found), node.start_mark)


def _found(what: str) -> str:
    return f"there is {what}, which no config needs"


# YAML 1.1 wants a dot and a signed exponent in a float; everybody writes 1e-3.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+\.\d*|\.\d+|\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def parse_yaml(text: str, source: str) -> Any:
    """Read YAML.

    Args:
        text: the YAML.
        source: what to call the text in an error, for instance the file.

    Raises:
        ConfigError: the text is not YAML (the message names the line), or is far too long.
    """
    if len(text) > _LONGEST:
        raise ConfigError(f"{source} has more than {_LONGEST} characters, which no config needs.")
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not readable"
        raise ConfigError(f"{source}{where}: this is no valid YAML: {problem}.") from error
    # A key that is a list, a letter that is none, brackets without end.
    except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
        raise ConfigError(f"{source}: this is no valid YAML: {error}.") from error


def read_mapping(path: Path) -> dict[str, Any]:
    """The keys and values of a configuration file, unchecked.

    Raises:
        ConfigError: the file is missing or not readable, or is no mapping.
    """
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(_LONGEST + 1)
    except FileNotFoundError:
        raise ConfigError(f"There is no config file {path}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The config file {path} cannot be read: {error}.") from error
    given = parse_yaml(text, str(path))
    if not isinstance(given, dict):
        raise ConfigError(
            f"{path} holds {_kind(given)}; expected a mapping of keys such as 'epochs: 20'."
        )
    return given


def load_config(path: Path, overrides: Sequence[str] = ()) -> Config:
    """Read the config of an experiment, apply overrides and check it (:func:`load_settings`)."""
    return load_settings(Config, path, overrides)


def load_settings(
    kind: type[AnySettings], path: Path, overrides: Sequence[str] = ()
) -> AnySettings:
    """Read a file of settings of a kind, apply overrides and check the result.

    Raises:
        ConfigError: the file is missing or not readable, is no mapping, or something in it or in
            the overrides is unknown or out of range; the error names which of the two.
    """
    given = read_mapping(path)
    changed = apply_overrides(given, overrides)
    with by_config():
        try:
            return make_config(kind, changed, str(path))
        except ConfigError:
            make_config(kind, given, str(path))  # a mistake of the file itself is told first
            return make_config(kind, changed, f"{' '.join(overrides)} (changes of {path})")


def apply_overrides(given: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """A copy of ``given`` with each ``dotted.key=value`` set, the value read as YAML.

    Raises:
        ConfigError: an override has no ``=`` or no key, or leads through something that is no
            mapping.
    """
    changes = {}
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not all(key.strip().split(".")):
            raise ConfigError(f"The override {override!r} should read key=value, such as epochs=5.")
        changes[key.strip()] = parse_yaml(text, f"override {override!r}")
    return apply_changes(given, changes)


def apply_changes(given: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of ``given`` with each dotted key set to its value.

    Raises:
        ConfigError: a key leads through something that is no mapping.
    """
    result = deepcopy(dict(given))
    # Names first: another name is another choice, to which the old one's options mean nothing.
    for key in sorted(changes, key=lambda key: not key.endswith(".name")):
        *sections, last = key.split(".")
        place: Any = result
        for depth, part in enumerate(sections):
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise ConfigError(
                    f"The override {key!r} sets a key within "
                    f"{'.'.join(sections[: depth + 1])}, which is {place!r} and no section."
                )
        if last == "name" and sections and place.get("name") != changes[key]:
            place.clear()
        place[last] = changes[key]
    return result


def make_config(
    kind: type[AnySettings],
    given: Mapping[str, Any],
    source: str = "config",
    beside: Sequence[str] = (),
) -> AnySettings:
    """Check a mapping and fill in the defaults.

    Args:
        kind: :class:`Config` for a whole experiment, :class:`Settings` for training alone, whose
            fields are arguments in Python and called so in an error.
        given: keys and values as read from YAML.
        source: what to call the mapping in an error.
        beside: the arguments beside those of the settings, to suggest them too.

    Raises:
        ConfigError: a key is unknown or missing, or a value is out of range.
    """
    try:
        return kind.model_validate(dict(given))
    except ValidationError as error:
        whole = issubclass(kind, Config)
        known = [*keys_of(kind), *(keys_of_choices(given) if whole else ()), *beside]
        with by_config() if whole else nullcontext():
            problems = [sentence(dict(problem), known) for problem in error.errors()[:MOST_TOLD]]
        more = len(error.errors()) - MOST_TOLD
        text = f"{source}: {'; '.join(problems)}{f'; and {more} more' if more > 0 else ''}"
        raise ConfigError(text if text.endswith("?") else f"{text}.") from error


def dump_config(config: Settings) -> str:
    """The whole configuration as YAML, defaults included; reading it gives an equal one."""
    dumped = config.model_dump(mode="json")
    # What says where the data of a fit came from is left out where nothing says so.
    fields = {
        key: value
        for key, value in dumped.items()
        if value is not None or key in Settings.model_fields
    }
    order = sorted(fields, key=lambda key: key not in ("name", "data", "model"))
    ordered = {key: fields[key] for key in order}
    return yaml.safe_dump(ordered, sort_keys=False, allow_unicode=True)


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    return {"list": "a list", "str": "a piece of text"}.get(type(value).__name__) or shown(value)
