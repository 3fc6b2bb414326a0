"""A configuration written out in full: every field with its value, and a comment that explains it.

The comments are the descriptions of the fields, which the classes of the sections have in their
docstrings or beside the fields themselves, so that there is one text for each.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import yaml
from docstring_parser import DocstringStyle, parse

from lfp_snn.options import Choice, Section

__all__ = ["commented", "field_descriptions"]

_COLUMN = 24  # where comments begin, if the value leaves room
_WIDTH = 100
_INDENT = 2
_ROLE = re.compile(r":\w+:`~?([^`]+)`")  # such as :class:`~lfp_snn.rules.Epsilon`


def field_descriptions(section: type[Section]) -> dict[str, str]:
    """The descriptions of the fields of a section, each one line without a full stop.

    Args:
        section: the class of the section; if it names another class to build (``target``), the
            arguments of that class are its fields.
    """
    classes = list(section.__mro__)
    if issubclass(section, Choice) and isinstance(section.target, type):
        classes = [*section.target.__mro__, *classes]
    found: dict[str, str] = {}
    for each in reversed(classes):
        for field in parse(each.__doc__ or "", style=DocstringStyle.GOOGLE).params:
            found[field.arg_name] = field.description or ""
    for name, known in section.model_fields.items():
        if known.description:
            found[name] = known.description
    return {name: _plain(text) for name, text in found.items() if name in section.model_fields}


def commented(config: Section, title: Sequence[str] = ()) -> str:
    """The whole configuration as YAML with a comment on every field; reading it gives an equal one.

    Args:
        config: any section, for instance a :class:`~lfp_snn.training.config.Config`.
        title: lines of a comment at the top.
    """
    first = ("name", "seed", "device", "data", "model")
    names = sorted(type(config).model_fields, key=lambda name: _place(name, first))
    lines = [f"# {line}".rstrip() for line in title]
    before = bool(lines)  # was there a title or a section, from which a blank line sets apart?
    for name in names:
        is_section = isinstance(getattr(config, name), Section)
        if before or (is_section and lines):
            lines.append("")
        lines += _field(config, name, 0)
        before = is_section
    return "\n".join(lines) + "\n"


def _place(name: str, first: Sequence[str]) -> int:
    return first.index(name) if name in first else len(first)


def _field(section: Section, name: str, depth: int) -> Iterator[str]:
    """The lines of one field, and of all fields within it."""
    indent = " " * (_INDENT * depth)
    value = getattr(section, name)
    about = field_descriptions(type(section)).get(name, "")
    if isinstance(section, Choice) and name == "name":
        about = _heading(type(section))
    if isinstance(value, Section):
        yield from _with_comment(f"{indent}{name}:", about)
        for inner in _names(value):
            yield from _field(value, inner, depth + 1)
        return
    dumped = section.model_dump(mode="json", include={name})[name]
    text = _flow(dumped)
    line = f"{indent}{name}: {text}"
    if len(line) <= _WIDTH // 2 or not isinstance(dumped, dict | list):
        yield from _with_comment(line, about)
        return
    yield from _with_comment(f"{indent}{name}:", about)
    block = yaml.safe_dump(dumped, sort_keys=False, allow_unicode=True, default_flow_style=None)
    yield from textwrap.indent(block, indent + " " * _INDENT).splitlines()


def _names(section: Section) -> list[str]:
    """The names of the fields in the order in which one reads them: ``name`` first."""
    return sorted(type(section).model_fields, key=lambda name: name != "name")


def _flow(value: Any) -> str:
    """A value on one line, as YAML."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**6)
    return text.removesuffix("\n").removesuffix("\n...")


def _with_comment(line: str, about: str) -> Iterator[str]:
    """The line with its comment to the right, wrapped under itself where it is long."""
    if not about:
        yield line
        return
    column = max(_COLUMN, len(line) + 1)
    if column > _WIDTH // 2:
        column = _COLUMN
        yield from (f"{'':{column}}# {piece}" for piece in _wrapped(about, column))
        yield line
        return
    for k, piece in enumerate(_wrapped(about, column)):
        yield f"{line if k == 0 else '':{column}}# {piece}"


def _wrapped(about: str, column: int) -> list[str]:
    return textwrap.wrap(about, _WIDTH - column - 2)


def _heading(section: type[Choice]) -> str:
    """The first sentence about what a choice by name stands for."""
    documented = section.target if section.target is not None else section
    return _plain(parse(documented.__doc__ or "", style=DocstringStyle.GOOGLE).short_description)


def _plain(text: str | None) -> str:
    """A text as comments of YAML have it: no markup, null for None, one line, no full stop."""
    without_roles = _ROLE.sub(lambda role: role[1].rpartition(".")[2], text or "")
    plain = re.sub(r"\bNone\b", "null", without_roles.replace("``", ""))
    return " ".join(plain.split()).removesuffix(".")
