"""``python -m benchmarks [NAME] [ARGUMENTS]``: list the measurements, or run one."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import pkgutil
import sys
from pathlib import Path

import benchmarks
from lfp_snn.errors import LfpSnnError


def main() -> None:
    """Run the measurement that the first argument names, with the arguments that follow."""
    known = questions()
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        print("python -m benchmarks NAME [ARGUMENTS]; --help behind a name says more\n")
        for name, question in known.items():
            print(f"  {name:<22} {question}")
        return
    name, *arguments = sys.argv[1:]
    if name not in known:
        there = ", ".join(known)
        print(f"error: no benchmark is called '{name}'; there are {there}.", file=sys.stderr)
        raise SystemExit(2)
    sys.argv = [f"python -m benchmarks {name}", *arguments]
    try:
        importlib.import_module(f"benchmarks.{name}").main()
    except LfpSnnError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error


def questions() -> dict[str, str]:
    """The first line of each measurement's docstring, by its name, without importing any."""
    found = {}
    for module in pkgutil.iter_modules(benchmarks.__path__):
        spec = importlib.util.find_spec(f"benchmarks.{module.name}")
        assert spec is not None and spec.origin is not None
        text = ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8")))
        if module.name != "__main__" and text:
            found[module.name] = text.partition("\n")[0]
    return found


if __name__ == "__main__":
    main()
