"""Runs the tutorials, and shows a notebook as a page.

``python -m tools.notebooks`` runs every notebook of ``docs/tutorials`` from its first cell and ends
with an error where a cell fails; ``--write`` keeps what the cells gave, ``--jobs 2`` runs two of
them at a time.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

__all__ = ["as_page", "main", "run"]

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "tutorials"
SECONDS = 900  # a cell may take at most; kernels are compiled in the first training


def as_page(notebook: Mapping[str, Any], name: str) -> str:
    """Markdown of a notebook: its text, its code, and what that gave.

    Args:
        notebook: the content of an ``.ipynb`` file, version 4.
        name: of the file, which the page offers.
    """
    parts = [part for cell in notebook["cells"] for part in _cell(cell)]
    title, _, rest = "\n\n".join(parts).partition("\n")
    return f"{title}\n\n[This page as a notebook]({name})\n{rest}\n"


def _cell(cell: Mapping[str, Any]) -> Iterator[str]:
    source = "".join(cell["source"]).strip("\n")
    if cell["cell_type"] == "markdown":
        yield source
    elif cell["cell_type"] == "code" and source:
        yield f"```python\n{source}\n```"
        for output in cell["outputs"]:
            yield from _output(output)


def _output(output: Mapping[str, Any]) -> Iterator[str]:
    data = output.get("data", {})
    if "image/png" in data:
        image = "".join("".join(data["image/png"]).split())
        yield f'<img alt="What the cell above draws" src="data:image/png;base64,{image}">'
    elif "text/html" in data:
        lines = "".join(data["text/html"]).splitlines()
        yield "\n".join(["<div>", *(line for line in lines if line.strip()), "</div>"])
    else:
        text = "".join(output.get("text", data.get("text/plain", ""))).rstrip("\n")
        if text:
            yield f"```text\n{text}\n```"


def run(path: Path, *, write: bool) -> float:
    """Run a notebook in an empty folder.

    Returns:
        Seconds that it took.

    Raises:
        CellExecutionError: a cell failed.
    """
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        where = {"metadata": {"path": folder}}
        client = NotebookClient(notebook, timeout=SECONDS, startup_timeout=SECONDS, resources=where)
        client.execute()
    seconds = time.monotonic() - started
    if write:
        for cell in notebook.cells:
            cell.metadata = {}
        notebook.metadata = {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
        nbformat.write(notebook, path)
    return seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the notebooks that are named, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="beginnings of their names")
    parser.add_argument("--write", action="store_true", help="keep what the cells gave")
    parser.add_argument("--jobs", type=int, default=1, help="so many at a time")
    given = parser.parse_args(arguments)
    chosen = [
        path
        for path in sorted(FOLDER.glob("*.ipynb"))
        if not given.names or path.name.startswith(tuple(given.names))
    ]
    if given.jobs > 1:  # threads that spin while they wait would cost the others their time
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    with ProcessPoolExecutor(max_workers=given.jobs) as pool:
        took = pool.map(partial(run, write=given.write), chosen)
        for path, seconds in zip(chosen, took, strict=True):
            print(f"{path.name}: {seconds:.1f} s", flush=True)
    return 0 if chosen else 1


if __name__ == "__main__":
    sys.exit(main())
