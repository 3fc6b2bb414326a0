"""The README fits two screens, and what it shows is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.test_docs import local_links, python_blocks, run_blocks
from tools.results.page import read_pages

SCREEN = 55  # lines


def _readme(repository: Path) -> str:
    return (repository / "README.md").read_text(encoding="utf-8")


def test_ten_lines_learn(
    repository: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = python_blocks(repository / "README.md")
    run_blocks(repository / "README.md")
    found = re.search(r"test accuracy (\S+)%", capsys.readouterr().out)
    said = re.search(r"prints `test accuracy (\S+)%`", _readme(repository))
    assert found is not None and said is not None
    assert float(found[1]) > 90
    assert abs(float(found[1]) - float(said[1])) < 2
    assert list(tmp_path.iterdir()) == []
    assert block in python_blocks(repository / "docs" / "index.md")


def test_readme_fits_two_screens(repository: Path) -> None:
    assert len(_readme(repository).splitlines()) <= 2 * SCREEN


def test_readme_says_what_is_patented_and_whom_to_cite(repository: Path) -> None:
    words = " ".join(_readme(repository).split())
    assert "patented" in words and "free for personal and scientific use" in words
    assert "arXiv 2308.12053" in words


def test_local_links_lead_somewhere(repository: Path) -> None:
    links = local_links(repository / "README.md")
    assert "datasets/README.md" in links
    assert [link for link in links if not (repository / link.split("#")[0]).exists()] == []


def test_figures_of_the_table_are_in_the_results(repository: Path) -> None:
    """What the README says was measured is told where it was."""
    table = _readme(repository).split("## Results")[1].split("##")[0]
    pages = read_pages(repository / "docs")
    results = "".join(text for path, text in pages.items() if path != "README.md")
    figures = set(re.findall(r"\d+\.\d(?= %|x)", table))
    assert len(figures) > 10
    assert [figure for figure in figures if figure not in results] == []
