"""Docstrings as Markdown: roles, formulas, tables and code blocks of Sphinx, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from textwrap import dedent, indent

__all__ = ["to_markdown"]

_ROLE = re.compile(r":(?:class|func|meth|mod|attr|data):`(~?)\.?([\w.]+)`")
_MATH = re.compile(r":math:`([^`]+)`")
_FORMULA = re.compile(r"^( *)\.\. math::(.*)\n((?:\n|\1 +.*\n)*)", re.M)
_EXAMPLE = re.compile(r"^( *)(.*\S)?::\n\n((?:\n|\1    .*\n)+)", re.M)
_RULE = re.compile(r"^( *)(=+(?: +=+)+)\n", re.M)
_CODE = re.compile(r"``(.+?)``")


def to_markdown(text: str, resolve: Callable[[str], str]) -> str:
    """A docstring as Markdown.

    Args:
        text: without the indentation that its lines share.
        resolve: the whole dotted name of a name as it stands in a role.
    """
    text = text.rstrip("\n") + "\n"
    text = _tables(text)
    text = _FORMULA.sub(_formula, text)
    text = _EXAMPLE.sub(_example, text)
    text = _MATH.sub(lambda found: rf"\({_joined(found[1])}\)", text)
    text = _CODE.sub(lambda found: f"`{found[1]}`", text)
    return _ROLE.sub(lambda found: _link(found[2], resolve, short=bool(found[1])), text)


def _joined(text: str) -> str:
    return " ".join(text.split())


def _link(name: str, resolve: Callable[[str], str], *, short: bool) -> str:
    """A link where the name has a place on the site, else the name."""
    shown = name.rpartition(".")[2] if short else name.removeprefix("lfp_snn.")
    return f'<autoref identifier="{resolve(name)}" optional><code>{shown}</code></autoref>'


def _formula(found: re.Match[str]) -> str:
    margin, first, rest = found.groups()
    body = _joined(f"{first} {rest}")
    return f"{margin}\\[{body}\\]\n\n"


def _example(found: re.Match[str]) -> str:
    margin, title, body = found.groups()
    heading = "**Example**" if title == "Example" else f"{title}:" if title else ""
    code = indent(dedent(body).strip("\n"), margin)
    return f"{margin}{heading}\n\n{margin}```python\n{code}\n{margin}```\n\n"


def _tables(text: str) -> str:
    """Simple tables of reStructuredText as those of Markdown."""
    lines, made = text.splitlines(), []
    while lines:
        line = lines.pop(0)
        if not _RULE.match(line + "\n"):
            made.append(line)
            continue
        parts: list[list[str]] = [[], []]
        for part in parts:
            while lines and not _RULE.match(lines[0] + "\n"):
                part.append(lines.pop(0))
            if lines:
                lines.pop(0)
        made += ["", *_table(line, *parts), ""]
    return "\n".join(made) + "\n"


def _table(rule: str, titles: Sequence[str], rows: Sequence[str]) -> list[str]:
    starts = [found.start() for found in re.finditer(r"=+", rule)]
    borders = list(zip(starts, [*starts[1:], None], strict=True))

    def cells(line: str) -> list[str]:
        return [line[a:b].strip().replace("|", "\\|") for a, b in borders]

    def merged(lines: Sequence[str], *, all_of_them: bool) -> list[list[str]]:
        """A line that begins with an empty cell goes on with the one above."""
        found: list[list[str]] = []
        for line in lines:
            new = cells(line)
            if found and (all_of_them or not new[0]):
                found[-1] = [f"{a} {b}".strip() for a, b in zip(found[-1], new, strict=True)]
            elif line.strip():
                found.append(new)
        return found

    head = merged(titles, all_of_them=True)[0]
    margin = " " * starts[0]
    table = [head, ["---"] * len(head), *merged(rows, all_of_them=False)]
    return [margin + "| " + " | ".join(row) + " |" for row in table]
