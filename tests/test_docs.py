"""The pages of the documentation: what they show runs, block after block, and links hold."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import snntorch as snn
import yaml

from lfp_snn.rewards import REWARDS
from lfp_snn.training.config import Settings
from tests.conftest import REPOSITORY

DOCS = REPOSITORY / "docs"


def python_blocks(page: Path) -> list[str]:
    """The Python that a page shows to be run, a block each."""
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)


def run_blocks(page: Path) -> dict[str, Any]:
    """Run them, as one would type them, and return the names that they made."""
    names: dict[str, Any] = {"__name__": page.stem}
    for number, block in enumerate(python_blocks(page)):
        exec(compile(block, f"{page.name}, block {number}", "exec", dont_inherit=True), names)
    return names


def local_links(page: Path) -> list[str]:
    """The links of a page that do not lead away; code has none."""
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.S)
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    return [link for link in links if "://" not in link and not link.startswith("#")]


def _tour(names: dict[str, Any], said: str) -> None:
    assert names["result"].test_accuracy > 0.85
    assert "simulated" in said
    events = re.search(r"(\d+) events, (\d+) of them for class \d", said)
    assert events is not None
    assert 0 < int(events[2]) < int(events[1])


def _own(names: dict[str, Any], said: str) -> None:
    assert names["result"].test_accuracy > 0.85
    assert names["accuracy"] > 0.8


def _from_snntorch(names: dict[str, Any], said: str) -> None:
    accuracy = re.search(r"accuracy (\S+)%", said)
    assert accuracy is not None
    assert float(accuracy[1]) > 80
    assert all(p.grad is not None for p in names["conv_net"].parameters())


def _from_tonic(names: dict[str, Any], said: str) -> None:
    learner = names["result"].metrics[-1]
    assert learner["train_accuracy"] > 0.9


def _explain(names: dict[str, Any], said: str) -> None:
    assert 0 < names["spoke_for"].sum() < len(names["spoke_for"])


def _prune(names: dict[str, Any], said: str) -> None:
    by_size, by_relevance = names["found"].curves
    assert by_size.accuracies[0] == by_relevance.accuracies[0] > 0.85
    assert min(by_size.accuracies[-1], by_relevance.accuracies[-1]) < by_size.accuracies[0]


#: What a page must have shown beside that it runs.
SHOWN: dict[str, Callable[[dict[str, Any], str], None]] = {
    "tour": _tour,
    "own": _own,
    "from_snntorch": _from_snntorch,
    "from_tonic": _from_tonic,
    "explain": _explain,
    "prune": _prune,
}
WITH_PYTHON = [
    page.relative_to(DOCS).as_posix()
    for page in sorted(DOCS.rglob("*.md"))
    if python_blocks(page) and page.name != "index.md"  # which is the README's
]


@pytest.mark.parametrize("page", WITH_PYTHON)
def test_what_a_page_shows_runs(
    page: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    # `snntorch.utils.reset` resets the neurons of all networks of the process, also of other tests.
    monkeypatch.setattr(snn.SpikingNeuron, "instances", [])
    with patch.dict(REWARDS):  # a page adds one, which other tests should not find
        names = run_blocks(DOCS / page)
    check = SHOWN.get(page.removesuffix(".md"))
    if check is not None:
        check(names, capsys.readouterr().out)


def test_every_check_is_of_a_page() -> None:
    assert {f"{name}.md" for name in SHOWN} <= set(WITH_PYTHON)


def test_local_links_lead_somewhere() -> None:
    broken = [
        f"{page.relative_to(DOCS)}: {link}"
        for page in DOCS.rglob("*.md")
        for link in local_links(page)
        if not (page.parent / link.split("#")[0]).exists()
    ]
    assert broken == []


def test_every_page_has_its_place_on_the_site() -> None:
    """The navigation names each page and no other; notebooks and the reference are added."""
    nav = yaml.safe_load((REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]

    def pages(part: Any) -> set[str]:
        if isinstance(part, str):
            return {part}
        inside = part.values() if isinstance(part, dict) else part
        return set().union(*map(pages, inside))

    assert pages(nav) == {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}


def test_the_settings_of_fit_are_shown_with_what_they_are_unless_told() -> None:
    text = (DOCS / "own.md").read_text(encoding="utf-8")
    table = text.partition("| setting | unless told |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)` \| `?(.+?)`? \| ", table, re.M)
    assert len(rows) == table.count("\n") - 1
    settings = Settings().model_dump()
    for name, shown in rows:
        told, default = ast.literal_eval(shown), settings[name]
        if isinstance(told, dict):
            default = {key: default[key] for key in told}
        assert told == default, name


def test_notebooks_are_kept_with_what_their_cells_gave() -> None:
    for path in sorted((DOCS / "tutorials").glob("*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        assert notebook["cells"][0]["source"][0].startswith(f"# {path.name[0]}. "), path
        code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1)), path
        assert path.stat().st_size < 300_000
        assert f"]({path.name})" in (path.parent / "README.md").read_text(encoding="utf-8")
