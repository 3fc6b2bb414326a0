"""Docstrings stand alone: they name what they are about, and a class name means one thing."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGES = ("lfp_snn", "benchmarks")
#: Words that refer to something which a reader who opens this place first has not read.
REFERENCE = re.compile(
    r"(?:That|Those|This|These|Such|It|Its|They|Their|Them|Same|The same|The others?|As|So|Of|From|"
    r"To|By|For|With|Within|In|At|On|And|Also|Likewise|Back|Here|There|Where|Which|Who|None|Not)\b"
)
#: Words with which the text of an argument goes on from the argument's name and is no phrase alone.
FRAGMENT = re.compile(
    r"(?:of|that|those|from|to|by|for|with|within|in|at|on|and|as|over|per|through|without|between|"
    r"before|after|behind|beside|under|into|about|against|may|must|can|is|are|was|has|have|had|it|"
    r"its|they|their|see|goes|like|such|so|also|likewise|the same|the others?|if|when|where|until|"
    r"during|else)\b"
)
SECTION = re.compile(r"^(?:Args|Attributes):\n((?: +.*\n?|\n)*)", re.M)
ENTRY = re.compile(r"^ {4}\*{0,2}([\w, *]+): (.*)", re.M)
#: Class names that several modules may have, each with the reason.
SHARED_NAMES: dict[str, str] = {}


class Documented(NamedTuple):
    """A module, class or function with its docstring; ``needs`` says that it must have one."""

    place: str
    text: str
    needs: bool


def _is_inherited(node: ast.AST) -> bool:
    """Whether a method has the docstring of another one: it overrides it, or sets a property."""
    decorators = getattr(node, "decorator_list", [])
    return any(re.search(r"override|overload|\.setter", ast.unparse(each)) for each in decorators)


def _documented(tree: ast.Module, place: str) -> Iterator[Documented]:
    """The module and all classes and functions in it, nested ones too."""

    def within(parent: ast.AST, path: str, is_public: bool) -> Iterator[Documented]:
        for node in ast.iter_child_nodes(parent):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                public = is_public and not node.name.startswith("_")
                name = f"{path}.{node.name}"
                needs = public and not _is_inherited(node)
                yield Documented(name, ast.get_docstring(node) or "", needs)
                yield from within(node, name, public and isinstance(node, ast.ClassDef))
            else:
                yield from within(node, path, is_public)

    yield Documented(place, ast.get_docstring(tree) or "", True)
    yield from within(tree, place, True)


@pytest.fixture(scope="module")
def trees(repository: Path) -> dict[str, ast.Module]:
    """The syntax tree of every module, by its path."""
    paths = [path for package in PACKAGES for path in sorted((repository / package).rglob("*.py"))]
    assert len(paths) > 300
    return {
        str(path.relative_to(repository)): ast.parse(path.read_text(encoding="utf-8"))
        for path in paths
    }


@pytest.fixture(scope="module")
def everything(trees: dict[str, ast.Module]) -> list[Documented]:
    """Everything that has or needs a docstring."""
    return [each for place, tree in trees.items() for each in _documented(tree, place)]


def _refers(text: str) -> bool:
    """Whether a docstring opens with a word that refers to another text."""
    return REFERENCE.match(text) is not None


def _fragments(text: str) -> list[str]:
    """The entries of a docstring's arguments whose text is no phrase by itself."""
    entries = [entry for section in SECTION.findall(text) for entry in ENTRY.findall(section)]
    return [f"{name}: {said}" for name, said in entries if FRAGMENT.match(said)]


def _shared(trees: dict[str, ast.Module]) -> dict[str, list[str]]:
    """The class names that stand in several places, with these places."""
    places: dict[str, list[str]] = defaultdict(list)
    for place, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{place}:{node.lineno}")
    return {name: found for name, found in places.items() if len(found) > 1}


def test_everything_public_has_a_docstring(everything: list[Documented]) -> None:
    assert [each.place for each in everything if each.needs and not each.text] == []


def test_docstrings_open_with_what_they_are_about(everything: list[Documented]) -> None:
    opened = [(each.place, each.text.split("\n")[0]) for each in everything]
    assert [each for each in opened if _refers(each[1])] == []


def test_arguments_are_described_by_whole_phrases(everything: list[Documented]) -> None:
    found = [(each.place, _fragments(each.text)) for each in everything]
    assert [each for each in found if each[1]] == []


def test_class_names_are_unique(trees: dict[str, ast.Module]) -> None:
    shared = _shared(trees)
    assert {name: where for name, where in shared.items() if name not in SHARED_NAMES} == {}
    assert set(SHARED_NAMES) <= set(shared), "an exception that nothing needs any more"


@pytest.mark.parametrize(
    "text",
    [
        "That of the scheduler.",
        "The same on another device.",
        "Those of exact LFP.",
        "It is made around a learner.",
        "As :meth:`receive`, under a rule.",
        "Of the merged branches.",
        "Within, a module may be run.",
    ],
)
def test_a_reference_is_found(text: str) -> None:
    assert _refers(text)


def test_fragments_and_what_is_missing_are_found() -> None:
    source = '''"""A module."""

class Public:
    """A class.

    Args:
        seed: of the run.
        name, path: the name and the path.
            see: a continuation is no entry.
        **options: such as ``backend``.
    """

    def method(self): ...

    @override
    def overridden(self): ...

    def _private(self): ...
'''
    found = list(_documented(ast.parse(source), "module"))
    assert [each.place for each in found if each.needs and not each.text] == [
        "module.Public.method"
    ]
    assert _fragments(found[1].text) == ["seed: of the run.", "options: such as ``backend``."]


def test_a_class_name_in_two_places_is_found() -> None:
    once, twice = ast.parse("class A: ...\nclass B: ..."), ast.parse("def f():\n    class A: ...")
    assert _shared({"one": once, "two": twice}) == {"A": ["one:1", "two:2"]}
