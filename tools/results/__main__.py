"""``python -m tools.results``: see :mod:`tools.results`."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import tools.results
from lfp_snn.errors import LfpSnnError
from lfp_snn.wholefiles import write_whole
from tools.results.collecting import CollectError, collect
from tools.results.measuring import Measuring
from tools.results.page import read_pages, rendered, typed_tables
from tools.results.records import Records
from tools.results.tables import TableError

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments ask for; 1 where something lacks that was to be measured."""
    given = _parser().parse_args(arguments)
    docs, records = given.docs, Records(given.docs / "records")
    try:
        if given.what == "collect":
            _collect(records, given)
            render(docs, records)
        elif given.what == "measure":
            return _measure(docs, records, Measuring(given.root, given.out))
        elif given.what == "render":
            render(docs, records)
        else:
            tell(docs, records)
    except (LfpSnnError, TableError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error.filename}: {error.strerror or error}.", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tools.results",
        description=tools.results.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--docs", type=Path, default=DOCS, help=argparse.SUPPRESS)
    whats = parser.add_subparsers(dest="what")
    kept = whats.add_parser("collect", help="keep what a finished command has left, and render")
    kept.add_argument("name", help="of the record")
    paths = "a folder of compare or of a benchmark, the runs of several seeds, or a printed file"
    kept.add_argument("paths", nargs="+", type=Path, metavar="PATH", help=paths)
    kept.add_argument("--command", help="that made it, where commands.yaml does not have the name")
    load = "of the machine meanwhile; unknown if absent, and times are then not shown"
    kept.add_argument("--load", nargs=2, type=float, metavar=("LOW", "HIGH"), help=load)
    measured = whats.add_parser("measure", help="run what lacks, keep it, and render")
    root = "folder of the data; %(default)s if absent"
    measured.add_argument("--root", type=Path, default=Path("datasets"), help=root)
    out = "folder of what the commands leave; %(default)s if absent"
    measured.add_argument("--out", type=Path, default=Path("runs/results"), help=out)
    whats.add_parser("render", help="write the blocks of the pages")
    return parser


def _collect(records: Records, given: argparse.Namespace) -> None:
    if not re.fullmatch(r"[a-z0-9_]+", given.name):
        raise CollectError(
            f"{given.name!r} is no name of a record; expected small letters, digits and _."
        )
    command = records.commands.get(given.name, given.command)
    if command is None:
        raise CollectError(
            f"{records.folder / 'commands.yaml'} has no {given.name}: give its --command."
        )
    if given.command not in (None, command):
        raise CollectError(
            f"{given.name}: {records.folder / 'commands.yaml'} has {command!r} for its command; "
            f"expected that of --command, {given.command!r}: write it there, or name it here."
        )
    load = tuple(given.load) if given.load else None
    record = collect(command, given.paths, load)
    if given.name not in records.commands:
        records.name_command(given.name, command)
    print(f"written: {records.keep(given.name, record)}")


def render(docs: Path, records: Records) -> None:
    """Write the blocks of the pages anew."""
    pages = read_pages(docs)
    for path, text in rendered(pages, records).items():
        if text != pages[path]:
            write_whole(docs.parent / path, text.encode())


def _measure(docs: Path, records: Records, measuring: Measuring) -> int:
    """Run what lacks, one after the other; each record is kept and shown as soon as it is there."""
    left = []
    for name in records.lacking:
        command = records.commands[name]
        if data := measuring.lacks(command):
            left.append(f"{name}: no {data} in {measuring.root}")
            continue
        print(f"{name}: {command}", flush=True)
        try:
            records.keep(name, measuring.run(name, command))
        except LfpSnnError as error:
            left.append(f"{name}: {error}")
        else:
            render(docs, records)
    print("\n".join(["it lacks:", *left]) if left else "every command has its record")
    return bool(left)


def tell(docs: Path, records: Records) -> None:
    """Print what has a record, what lacks, and which tables of the pages no record is of."""
    print("records:", *(f"  {name}: {r.date}, {r.command}" for name, r in records.kept.items()),
          sep="\n")  # fmt: skip
    print("no record yet:", *(f"  {n}: {records.commands[n]}" for n in records.lacking), sep="\n")
    typed = [
        f"  {path}:{number}: {title}"
        for path, page in read_pages(docs).items()
        for number, title in typed_tables(page)
    ]
    print("typed, no record:", *typed, sep="\n")


if __name__ == "__main__":
    sys.exit(main())
