"""The pages of results: their blocks, which records fill, and tables that no record is of."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Set
from pathlib import Path

from tools.results.overview import overview
from tools.results.records import ComparisonRecord, Records
from tools.results.tables import FORMS, TableError

__all__ = ["read_pages", "rendered", "typed_tables"]

BEGIN = re.compile(r"^<!-- results: (\S+)(?: ([^\n]*?))? -->$", re.M)
END = "<!-- end of results -->"
BLOCK = re.compile(rf"{BEGIN.pattern}.*?^{END}$", re.M | re.S)


def read_pages(docs: Path) -> dict[str, str]:
    """The texts of the pages with blocks, by their paths in the folder that ``docs`` lies in.

    These are ``results.md``, ``results/*.md``, and the README beside ``docs``.
    """
    root = docs.parent
    paths = [root / "README.md", docs / "results.md", *sorted((docs / "results").glob("*.md"))]
    return {
        path.relative_to(root).as_posix(): path.read_text(encoding="utf-8")
        for path in paths
        if path.is_file()
    }


def rendered(pages: Mapping[str, str], records: Records) -> dict[str, str]:
    """The pages with their blocks written anew; the rest stays.

    A block begins ``<!-- results: FORM NAME NAME -->``: a form of ``tools.results.tables`` and the
    records in it. ``overview`` has these comparisons or all, ``others`` those that no other block
    names, and ``lacking`` the names of records that are not there yet.

    Args:
        pages: the texts of the pages, by their paths in the repository.
        records: the records.

    Raises:
        TableError: a block asks for what there is not.
    """
    for path, page in pages.items():
        if len(BEGIN.findall(page)) != page.count(END) or page.count(END) != len(
            BLOCK.findall(page)
        ):
            raise TableError(f"{path}: a block does not end: expected {END} before the next begins")
    named = {
        name
        for page in pages.values()
        for form, names in BEGIN.findall(page)
        for name in names.split()
        if form != "overview"
    }
    if missing := sorted(named - records.kept.keys()):
        raise TableError(f"no record {', '.join(missing)} in {records.folder}")
    return {path: _rendered(path, page, named, records) for path, page in pages.items()}


def _rendered(path: str, page: str, named: Set[str], records: Records) -> str:
    folder = posixpath.relpath("docs/records", posixpath.dirname(path) or ".")

    def block(found: re.Match[str]) -> str:
        form, names = found[1], (found[2] or "").split()
        begin = found[0].partition("\n")[0]
        inside = "\n\n".join([begin, *_inside(form, names, named, records), END])
        return inside.replace("](records/", f"]({folder}/")

    return BLOCK.sub(block, page)


def _inside(form: str, names: list[str], named: Set[str], records: Records) -> Iterator[str]:
    if form == "lacking":
        yield _lacking(records)
    elif form == "overview":
        chosen = _comparisons(records)
        yield from overview({name: chosen[name] for name in names or chosen})
    elif form == "others":
        for name, record in _comparisons(records).items():
            if name not in named:
                yield f"### `{name}`"
                yield from FORMS["comparison"]({name: record})
    elif form in FORMS:
        yield from FORMS[form]({name: records.kept[name] for name in names})
    else:
        raise TableError(
            f"no form {form!r}; there are {', '.join(FORMS)}, overview, others, lacking"
        )


def _comparisons(records: Records) -> dict[str, ComparisonRecord]:
    return {
        name: record
        for name, record in records.kept.items()
        if isinstance(record, ComparisonRecord)
    }


def _lacking(records: Records) -> str:
    if not records.lacking:
        return "Nothing: every command of [the list](records/commands.yaml) has its record."
    names = ", ".join(f"`{name}`" for name in records.lacking)
    return f"Of [the list of commands](records/commands.yaml) `make results` has to run {names}."


def typed_tables(page: str) -> Iterator[tuple[int, str]]:
    """The tables outside of all blocks: the line that each begins in, and its heading.

    A table whose columns have no titles is a list of links.
    """
    inside = {
        number
        for found in BLOCK.finditer(page)
        for number in range(_line(page, found.start()), _line(page, found.end()) + 1)
    }
    heading, before = "", ""
    for number, line in enumerate(page.splitlines(), 1):
        if line.startswith("#"):
            heading = line.lstrip("# ")
        begins = line.startswith("|") and not before.startswith("|")
        if begins and line.strip("| ") and number not in inside:
            yield number, heading
        before = line


def _line(page: str, place: int) -> int:
    return page.count("\n", 0, place) + 1
