"""What the documentation shows: commands, settings and options, read from its Markdown.

Code blocks (fenced or indented) are read line by line, with continued lines joined, and spans of
code wherever they stand. A command is found by its first word, settings (``learner.memory=chunked``
and the like) by their key, options (``--resume``) by their dashes. Whatever is written down is
found, so that nothing has to be listed to be tested.
"""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lfp_snn.training import Config

__all__ = ["Shown", "commands", "options", "pages", "settings"]

PROGRAMS = ("lfp-snn", "torchrun", "make", "pip", "python")
_FENCE = re.compile(r"^```.*?^```$", re.M | re.S)
_INDENTED = re.compile(r"(?:^ {4}.*\n)+", re.M)
_SPAN = re.compile(r"`([^`]+)`")
_PLACE = re.compile(r"<[^<>]*>")  # such as <folder of N-MNIST>
_KEYS = "|".join(Config.model_fields)
_SETTING = re.compile(rf"({_KEYS})(\.\w+)*=[^=].*|({_KEYS})(\.\w+)*='.*'", re.S)


@dataclass(frozen=True)
class Shown:
    """A command, settings or options, as words, and the page that shows it first."""

    words: tuple[str, ...]
    page: str

    def __str__(self) -> str:
        return " ".join(self.words)


def pages(repository: Path) -> list[Path]:
    """The documentation that users read."""
    docs = sorted((repository / "docs").rglob("*.md"))
    return [repository / "README.md", *docs, repository / "datasets" / "README.md"]


def commands(repository: Path) -> list[Shown]:
    """Every command, once; of alternatives (``ls rules|rewards``) each by itself."""
    found = {
        each.words: each
        for shown in _code(repository)
        if shown.words[0] in PROGRAMS and len(shown.words) > 1
        for each in _alternatives(shown)
    }
    return list(found.values())


def settings(repository: Path) -> list[Shown]:
    """Every span that consists of settings, such as ``model.reset=zero``."""
    return _unique(
        each
        for each in _code(repository)
        if all(_SETTING.fullmatch(word) for word in each.words)
        and not each.words[-1].endswith(",")  # an argument of Python on a line of its own
    )


def options(repository: Path) -> list[Shown]:
    """Every span that begins with an option, such as ``--rule run``."""
    return _unique(each for each in _code(repository) if each.words[0].startswith("--"))


def _unique(found: Iterator[Shown]) -> list[Shown]:
    by_words: dict[tuple[str, ...], Shown] = {}
    for each in found:
        by_words.setdefault(each.words, each)
    return list(by_words.values())


@cache
def _code(repository: Path) -> tuple[Shown, ...]:
    """Lines of blocks and spans, as words; what a shell could not read is none."""
    return tuple(_read(repository))


def _read(repository: Path) -> Iterator[Shown]:
    for page in pages(repository):
        text = page.read_text(encoding="utf-8")
        blocks = [block.group().split("\n", 1)[1] for block in _FENCE.finditer(text)]
        prose = _FENCE.sub("", text)
        blocks += [block.group() for block in _INDENTED.finditer(prose)]
        lines = [line for b in blocks for line in b.replace("\\\n", " ").splitlines()]
        spans = [span.replace("\n", " ") for span in _SPAN.findall(_INDENTED.sub("", prose))]
        for code in [*lines, *spans]:
            try:
                words = shlex.split(_PLACE.sub("...", code), comments=True)
            except ValueError:
                continue
            if words:
                yield Shown(tuple(words), page.relative_to(repository).as_posix())


def _alternatives(shown: Shown) -> Iterator[Shown]:
    parts = [
        word.split("|") if re.fullmatch(r"[a-z]+(\|[a-z]+)+", word) else [word]
        for word in shown.words
    ]
    for words in itertools.product(*parts):
        yield Shown(words, shown.page)
