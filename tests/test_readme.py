from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest


def _tour(repository: Path) -> str:
    blocks = re.findall(
        r"^```python\n(.*?)^```$", (repository / "README.md").read_text(), re.M | re.S
    )
    assert len(blocks) == 1, "the README has one Python tour"
    return str(blocks[0])


def test_tour_runs_and_learns(
    repository: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "tour"}
    exec(compile(_tour(repository), "README.md", "exec"), names)
    said = capsys.readouterr().out
    found = re.search(r"test accuracy (\S+)%", said)
    assert found is not None
    assert float(found[1]) > 85
    assert "simulated" in said
    events = re.search(r"(\d+) events, (\d+) of them for class \d", said)
    assert events is not None
    assert 0 < int(events[2]) < int(events[1])
    assert list(tmp_path.iterdir()) == []


def test_what_own_shows_runs(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Python of docs/own.md, block after block, as one would type it."""
    page = (repository / "docs" / "own.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S)
    assert blocks
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "own"}
    for number, block in enumerate(blocks):
        exec(compile(block, f"docs/own.md, block {number}", "exec"), names)
    assert names["result"].test_accuracy > 0.85
    assert names["accuracy"] > 0.8


def test_local_links_lead_somewhere(repository: Path) -> None:
    links = re.findall(r"\]\(([^)]+)\)", (repository / "README.md").read_text())
    local = [link for link in links if "://" not in link]
    assert "datasets/README.md" in local
    assert [link for link in local if not (repository / link).exists()] == []
