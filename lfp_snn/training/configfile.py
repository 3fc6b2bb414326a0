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
from pydantic import BaseModel, ValidationError

from lfp_snn.errors import ConfigError
from lfp_snn.options import Choice, dotted, nearest
from lfp_snn.training.config import Config, Settings
from lfp_snn.wording import as_argument, by_config, setting, speaks_of_config

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
_SHOWN = 200  # characters of a value in a message
_PROBLEMS = 5  # that are told at once

#: Keys that other libraries have, and what they are called here.
_ELSEWHERE = {
    "callbacks": "observers",
    "learning_rate": "optimizer.lr",
    "num_steps": "steps",
    "verbose": "progress",
}


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
                None, None, f"{_cut(node.value)!r} is no {kind}", node.start_mark
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
        known = [*_dotted(kind), *beside]
        with by_config() if issubclass(kind, Config) else nullcontext():
            problems = [_sentence(dict(problem), known) for problem in error.errors()[:_PROBLEMS]]
        more = len(error.errors()) - _PROBLEMS
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


def _sentence(problem: Mapping[str, Any], known: Iterable[str]) -> str:
    """One problem that pydantic found, as a clause: key, what was found, what is expected."""
    # A union puts the names of its members between the keys.
    location = [part for part in problem["loc"] if " " not in str(part)]
    key = _cut(setting(dotted(location))) if location else ""
    context = problem.get("ctx", {})
    match problem["type"]:
        case "unknown_key":
            siblings, unknown = context["known"], context["unknown"]
            told = [
                _unknown(name, problem["input"].get(name), location, siblings, known)
                for name in unknown[:_PROBLEMS]
            ]
            more = len(unknown) - _PROBLEMS
            return "; ".join([*told, f"and {more} more"] if more > 0 else told)
        case "unknown_choice":
            guess = nearest(context["given"], context["known"])
            hint = f", did you mean {guess}?" if guess else ""
            name = _cut(setting(dotted([*location, "name"])))
            return (
                f"{name} is {_shown(context['given'])}, but the {context['what']} must be one of "
                f"{', '.join(context['known'])}{hint}"
            )
        case "no_choice":
            return (
                f"{key} is {_shown(problem['input'])}, expected a mapping with the name of a "
                f"{context['what']}"
            )
        case "bad_options":
            return f"{key}: {context['message'].rstrip('.')}"
        case "missing":
            return f"{key} is missing"
    expected = problem["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    if expected.startswith(("greater", "less")):
        expected = f"a number {expected}"
    return f"{key} is {_shown(problem['input'])}, expected {expected[0].lower()}{expected[1:]}"


def _unknown(
    key: str,
    value: Any,
    location: Sequence[str | int],
    siblings: Sequence[str],
    known: Iterable[str],
) -> str:
    """A key that is not known, and the one that was perhaps meant, in Python with its value."""
    guess = _nearest_key(key, location, siblings, known)
    hint = f"known are {', '.join(siblings if location else _of_the_top(known))}"
    if guess is not None:
        in_python = not speaks_of_config()
        hint = f"did you mean {_cut(as_argument(guess, value)) if in_python else guess}?"
    what = "key" if location or speaks_of_config() else "argument"
    return f"{_cut(setting(dotted([*location, key])))} is no known {what}, {hint}"


def _nearest_key(
    key: str, location: Sequence[str | int], siblings: Iterable[str], known: Iterable[str]
) -> str | None:
    """The key that was meant: one beside it, else one of the same name in another section."""
    if _ELSEWHERE.get(key) in (known := list(known)):
        return _ELSEWHERE[key]
    if close := nearest(key, siblings if location else _of_the_top(known)):
        return dotted([*location, close])
    elsewhere = {dotted.rpartition(".")[2]: dotted for dotted in known}
    # Elsewhere a word that is merely alike means something else: a kernel is no learner.
    guess = nearest(key, elsewhere, cutoff=0.8)
    return elsewhere[guess] if guess else None


def _of_the_top(known: Iterable[str]) -> list[str]:
    return [each for each in known if "." not in each]


def _dotted(kind: type[BaseModel]) -> list[str]:
    """All keys of the default configuration, as dotted names."""
    names = []
    for name, field in kind.model_fields.items():
        names.append(name)
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        if isinstance(default, Choice):
            names += [f"{name}.{option}" for option in type(default).model_fields]
    return names


def _shown(value: Any) -> str:
    """A value as YAML writes it, or the beginning of it."""
    try:
        return _cut(repr(value))
    except ValueError:  # Python writes no number of thousands of digits
        return "a number of thousands of digits"


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    return {"list": "a list", "str": "a piece of text"}.get(type(value).__name__) or _shown(value)
