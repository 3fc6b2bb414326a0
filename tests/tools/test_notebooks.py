"""A notebook as a page."""

from __future__ import annotations

from typing import Any

from tools.notebooks import as_page


def _code(source: str, *outputs: dict[str, Any]) -> dict[str, Any]:
    return {"cell_type": "code", "source": [source], "outputs": list(outputs)}


def test_a_notebook_is_its_text_its_code_and_what_that_gave() -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "\n", "Words."]},
        _code("print(1)", {"output_type": "stream", "text": ["1\n", "2\n"]}),
        _code("x", {"output_type": "execute_result", "data": {"text/plain": ["3"]}}),
        _code("plot()", {"data": {"image/png": "AB\nC=", "text/plain": "<Figure>"}}),
        _code("table", {"data": {"text/html": ["<p>a\n\nb</p>"], "text/plain": "Table"}}),
    ]
    assert as_page({"cells": cells}, "one.ipynb") == (
        "# Title\n\n[This page as a notebook](one.ipynb)\n\nWords.\n\n"
        "```python\nprint(1)\n```\n\n```text\n1\n2\n```\n\n"
        "```python\nx\n```\n\n```text\n3\n```\n\n"
        "```python\nplot()\n```\n\n"
        '<img alt="What the cell above draws" src="data:image/png;base64,ABC=">\n\n'
        "```python\ntable\n```\n\n<div>\n<p>a\nb</p>\n</div>\n"
    )
