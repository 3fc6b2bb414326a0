"""The page of results: its blocks, which records fill, and its tables that no record is of."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tools.results.records import ComparisonRecord, Record, Records
from tools.results.tables import FORMS, TableError

__all__ = ["rendered", "typed_tables"]

BEGIN = re.compile(r"^<!-- results: (\S+)(?: ([^\n]*?))? -->$", re.M)
END = "<!-- end of results -->"
BLOCK = re.compile(rf"{BEGIN.pattern}.*?^{END}$", re.M | re.S)


def rendered(page: str, records: Records) -> str:
    """The page with its blocks written anew; the rest stays.

    A block begins ``<!-- results: FORM NAME NAME -->``: a form of ``tools.results.tables`` and the
    records in it; ``others`` has all comparisons that no other block names, and ``lacking`` the
    names of records that are not there yet.

    Raises:
        TableError: a block asks for what there is not.
    """
    if len(BEGIN.findall(page)) != page.count(END) or page.count(END) != len(BLOCK.findall(page)):
        raise TableError(f"a block does not end: expected {END} before the next begins")
    named = {name for _, names in BEGIN.findall(page) for name in names.split()}
    if missing := sorted(named - records.kept.keys()):
        raise TableError(f"no record {', '.join(missing)} in {records.folder}")

    def block(found: re.Match[str]) -> str:
        form, names = found[1], (found[2] or "").split()
        begin = found[0].partition("\n")[0]
        return "\n\n".join([begin, *_inside(form, names, named, records), END])

    return BLOCK.sub(block, page)


def _inside(form: str, names: list[str], named: set[str], records: Records) -> Iterator[str]:
    if form == "lacking":
        yield _lacking(records)
    elif form == "others":
        yield from _others(named, records)
    elif form in FORMS:
        yield from FORMS[form]({name: records.kept[name] for name in names})
    else:
        raise TableError(f"no form {form!r}; there are {', '.join(FORMS)}, others, lacking")


def _lacking(records: Records) -> str:
    if not records.lacking:
        return "Nothing: every command of [the list](records/commands.yaml) has its record."
    names = ", ".join(f"`{name}`" for name in records.lacking)
    return f"Of [the list of commands](records/commands.yaml) `make results` has to run {names}."


def _others(named: set[str], records: Records) -> Iterator[str]:
    chosen: dict[str, Record] = {
        name: record
        for name, record in records.kept.items()
        if isinstance(record, ComparisonRecord) and name not in named
    }
    for name, record in chosen.items():
        yield f"### `{name}`"
        yield from FORMS["comparison"]({name: record})


def typed_tables(page: str) -> Iterator[tuple[int, str]]:
    """The tables outside of all blocks: the line that each begins in, and its heading."""
    inside = {
        number
        for found in BLOCK.finditer(page)
        for number in range(_line(page, found.start()), _line(page, found.end()) + 1)
    }
    heading, before = "", ""
    for number, line in enumerate(page.splitlines(), 1):
        if line.startswith("#"):
            heading = line.lstrip("# ")
        if line.startswith("|") and not before.startswith("|") and number not in inside:
            yield number, heading
        before = line


def _line(page: str, place: int) -> int:
    return page.count("\n", 0, place) + 1
