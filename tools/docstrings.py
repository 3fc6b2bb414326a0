"""Reads the docstrings of the package for the API reference."""

from __future__ import annotations

from typing import Any

import griffe

from tools.rst import to_markdown

__all__ = ["SphinxDocstrings"]


class SphinxDocstrings(griffe.Extension):  # type: ignore[misc]
    """Turns roles, formulas and tables of docstrings into Markdown before they are parsed."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """Called when a package has been read whole."""
        seen: set[str] = set()
        waiting: list[griffe.Module | griffe.Class] = [pkg]
        while waiting:
            each = waiting.pop()
            if each.path in seen:
                continue
            seen.add(each.path)
            _rewrite(each)
            for member in each.members.values():
                if isinstance(member, griffe.Module | griffe.Class):
                    waiting.append(member)
                elif isinstance(member, griffe.Function | griffe.Attribute):
                    _rewrite(member)


def _rewrite(each: griffe.Object) -> None:
    if each.docstring is None:
        return

    def whole(name: str) -> str:
        if name.startswith("lfp_snn"):
            return name
        try:
            return str(each.resolve(name))
        except griffe.NameResolutionError:
            return f"{each.module.path}.{name}"

    each.docstring.value = to_markdown(each.docstring.value, whole)
