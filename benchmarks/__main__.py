"""``python -m benchmarks [--json FILE] [NAME] [ARGUMENTS]``: list the measurements, or run one."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import pkgutil
import signal
import sys
from pathlib import Path

import benchmarks
from benchmarks import _tables
from lfp_snn.errors import LfpSnnError


def main() -> None:
    """Run the measurement that the first argument names, with the arguments that follow."""
    known = questions()
    path, arguments = _kept(sys.argv[1:])
    if not arguments or arguments[0] in ("-h", "--help"):
        print("python -m benchmarks [--json FILE] NAME [ARGUMENTS]")
        print("--help behind a name says more; --json keeps a table that is printed as numbers\n")
        for name, question in known.items():
            print(f"  {name:<22} {question}")
        return
    name, *arguments = arguments
    if name not in known:
        there = ", ".join(known)
        print(f"error: no benchmark is called '{name}'; there are {there}.", file=sys.stderr)
        raise SystemExit(2)
    sys.argv = [f"python -m benchmarks {name}", *arguments]
    try:
        importlib.import_module(f"benchmarks.{name}").main()
        if path is not None and not _tables.write(path):
            print(f"{name} made no table to keep: {path} was not written", file=sys.stderr)
    except LfpSnnError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error


def _kept(arguments: list[str]) -> tuple[Path | None, list[str]]:
    """The file of ``--json``, and the arguments that are left."""
    if arguments[:1] != ["--json"]:
        return None, arguments
    if len(arguments) < 2:
        print("error: --json needs a FILE.", file=sys.stderr)
        raise SystemExit(2)
    return Path(arguments[1]), arguments[2:]


def questions() -> dict[str, str]:
    """The first line of each measurement's docstring, by its name, without importing any."""
    found = {}
    for module in pkgutil.iter_modules(benchmarks.__path__):
        if module.name.startswith("_"):
            continue
        spec = importlib.util.find_spec(f"benchmarks.{module.name}")
        assert spec is not None and spec.origin is not None
        text = ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8")))
        if text:
            found[module.name] = text.partition("\n")[0]
    return found


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # a reader such as head may have seen enough
    main()
