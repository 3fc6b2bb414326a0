"""The page for users of snntorch: what it shows runs, and learns."""

from __future__ import annotations

import re
from pathlib import Path

import pytest


def test_the_page_runs_and_learns(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = (repository / "docs" / "from_snntorch.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S)
    assert len(blocks) == 3
    names: dict[str, object] = {"__name__": "page"}
    exec(compile("\n".join(blocks), "from_snntorch.md", "exec"), names)
    accuracy = re.search(r"accuracy (\S+)%", capsys.readouterr().out)
    assert accuracy is not None
    assert float(accuracy[1]) > 80
    net = names["conv_net"]
    assert all(p.grad is not None for p in net.parameters())  # type: ignore[attr-defined]
