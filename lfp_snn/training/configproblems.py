"""Sentences for what is wrong with a configuration: the key, what was found, what is expected."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from lfp_snn.options import NAME, dotted, nearest
from lfp_snn.rewards import Reward
from lfp_snn.wording import as_argument, setting, speaks_of_config

__all__ = ["MOST_TOLD", "cut", "nearest_key", "sentence", "shown"]

MOST_TOLD = 5
"""Problems that are told at once."""
_LONGEST = 200  # characters of a value in a message
_LONGEST_SENTENCE = 1000  # characters of what is expected, which may name all choices

#: Keys that other libraries have, and what they are called here: as an argument, or in a config.
_ELSEWHERE = {
    "callbacks": ("observers",),
    "criterion": ("reward", "learner.reward"),
    "kernel": ("learner.backend",),
    "learning_rate": ("optimizer.lr",),
    "loss": ("reward", "learner.reward"),
    "num_steps": ("steps",),
    "verbose": ("progress",),
}
_AS_OBJECTS = ("reward", "rule")  # arguments beside those of the settings
_ANY = object()  # stands for what cannot be written out
#: What an argument takes in the place of a value that stood elsewhere.
_FORMS: Mapping[str, Callable[[Any], Any]] = {
    "observers": lambda value: value and [_ANY],
    "progress": bool,
}


def sentence(problem: Mapping[str, Any], known: Iterable[str]) -> str:
    """One problem that pydantic found, as a clause: key, what was found, what is expected."""
    # A union puts the names of its members between the keys.
    location = [part for part in problem["loc"] if " " not in str(part)]
    key = cut(setting(dotted(location))) if location else ""
    context = problem.get("ctx", {})
    known = list(dict.fromkeys(known))
    match problem["type"]:
        case "unknown_key":
            unknown = context["unknown"]
            told = [
                _unknown(name, problem["input"].get(name), location, context, known)
                for name in unknown[:MOST_TOLD]
            ]
            more = len(unknown) - MOST_TOLD
            return "; ".join([*told, f"and {more} more"] if more > 0 else told)
        case "unknown_choice":
            guess = nearest(context["given"], context["known"])
            hint = f", did you mean {guess}?" if guess else ""
            name = cut(setting(dotted([*location, "name"])))
            return (
                f"{name} is {shown(context['given'])}, but the {context['what']} must be one of "
                f"{', '.join(each for each in context['known'] if each != 'own')}{hint}"
            )
        case "no_choice":
            return (
                f"{key} is {shown(problem['input'])}, expected a mapping with a name, the "
                f"{context['what']}{_such_as(problem['input'], context['known'])}"
                f"{_as_object(problem['input'], context['what'])}"
            )
        case "bad_options":
            return f"{key}: {cut(context['message'].rstrip('.'), _LONGEST_SENTENCE)}"
        case "missing":
            return f"{key} is missing"
    message = _worded(problem["type"], context)
    if message is None:
        message = cut(problem["msg"], _LONGEST_SENTENCE)  # it may quote the value too
    expected = message.removeprefix("Input should be ").removeprefix("Value error, ")
    if expected.startswith(("greater", "less")):
        expected = f"a number {expected}"
    return f"{key} is {shown(problem['input'])}, expected {expected[0].lower()}{expected[1:]}"


def _sized(kind: str) -> str:
    return "a mapping" if kind == "Dictionary" else "a list"


def _worded(kind: str, context: Mapping[str, Any]) -> str | None:
    """What is expected, where pydantic says it in words for programmers; None elsewhere."""
    match kind:
        case "path_type":
            return "a path"
        case "list_type":
            return "a list, in square brackets"
        case "too_short":
            what = _sized(context["field_type"])
            return f"{what} of at least {context['min_length']}, not of {context['actual_length']}"
        case "too_long":
            what = _sized(context["field_type"])
            return f"{what} of at most {context['max_length']}, not of {context['actual_length']}"
        case "string_pattern_mismatch" if context["pattern"] == NAME:
            return "a word of letters, digits, '.', '_' and '-' that begins with one of the first"
        case "model_type" | "dataclass_type" | "model_attributes_type" | "dict_type":
            return "a mapping of keys"
    return None


def _such_as(given: Any, known: Sequence[str]) -> str:
    """The mapping that a bare name stands for, or one that is written like it; else all names."""
    if not isinstance(given, str):
        return ""
    name = nearest(given, known)
    if name is None:
        return f": one of {', '.join(known)}"
    return f", such as {f'{{name: {name}}}' if speaks_of_config() else {'name': name}}"


def _as_object(given: Any, what: str) -> str:
    """The argument that takes an object, for what no mapping and no name is."""
    if given is None or isinstance(given, Mapping | str | bool | int | float | list):
        return ""
    if what not in _AS_OBJECTS or speaks_of_config():
        return ""
    return f"; an object is the argument {what}={type(given).__name__}(...)"


def _unknown(
    key: str,
    value: Any,
    location: Sequence[str | int],
    context: Mapping[str, Any],
    known: Sequence[str],
) -> str:
    """A key that is not known, and the one that was perhaps meant, in Python with its value."""
    what = "key" if location or speaks_of_config() else "argument"
    name = cut(setting(dotted([*location, key])))
    if have := context.get("have", {}).get(key):
        return (
            f"{name} is no {what} of {context['of']}; the {context['what']}s that have it are "
            f"{', '.join(have)}"
        )
    siblings = context["known"]
    guess = nearest_key(key, location, siblings, known)
    if isinstance(value, Mapping):  # a section that is not one: what stands in it may be at home
        # Every section may have a name, so that one says nothing of where it belongs.
        inside = [str(each) for each in value if str(each) in siblings and str(each) != "name"]
        guess = dotted([*location, inside[0]]) if inside else guess
        value = value[inside[0]] if inside else value
    if guess is None:
        hint = f"known are {', '.join(siblings if location else _of_the_top(known))}"
    else:
        hint = f"did you mean {guess if speaks_of_config() else _in_python(guess, value, known)}?"
    return f"{name} is no known {what}, {hint}"


def _in_python(guess: str, value: Any, known: Sequence[str]) -> str:
    """The argument that gives a setting a value, in a form that is taken."""
    if guess in _AS_OBJECTS and not isinstance(value, Mapping | str | bool | int | float | list):
        is_loss = guess == "reward" and not isinstance(value, Reward)
        kind = "lfp_snn.rewards.FromLoss" if is_loss else type(value).__name__
        return f"{guess}={kind}(...)"
    if guess in _FORMS:
        value = _FORMS[guess](value)
    elif f"{guess}.name" in known and not isinstance(value, Mapping):
        value = {"name": value} if isinstance(value, str) else _ANY
    return cut(as_argument(guess, value))


def nearest_key(
    key: str, location: Sequence[str | int], siblings: Iterable[str], known: Sequence[str]
) -> str | None:
    """The key that was meant: one of the same name in another section, else one that is alike.

    Args:
        key: the key that was written.
        location: the section in which it stands.
        siblings: the keys of that section.
        known: all keys, dotted.
    """
    for there in _ELSEWHERE.get(key, ()):
        if there in known:
            return there
    # A name says nothing of what it is the name of. The outermost of several keys is meant.
    elsewhere: dict[str, str] = {}
    for each in sorted(known, key=lambda each: each.count(".")):
        if _last(each) != "name":
            elsewhere.setdefault(_last(each), each)
    if key in elsewhere:
        return elsewhere[key]
    if close := nearest(key, siblings if location else _of_the_top(known)):
        return dotted([*location, close])
    # Elsewhere a word that is merely alike means something else: a kernel is no learner.
    guess = nearest(key, elsewhere, cutoff=0.8)
    return elsewhere[guess] if guess else None


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _of_the_top(known: Iterable[str]) -> list[str]:
    return [each for each in known if "." not in each]


def shown(value: Any) -> str:
    """A value as YAML writes it, or the beginning of it."""
    try:
        return cut(repr(value))
    except ValueError:  # Python writes no number of thousands of digits
        return "a number of thousands of digits"


def cut(text: str, longest: int = _LONGEST) -> str:
    """A text, or the beginning of it where it is long."""
    return text if len(text) <= longest else f"{text[:longest]}..."
