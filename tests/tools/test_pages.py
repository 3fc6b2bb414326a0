"""Pages that are made when the site is; skipped where the extra ``docs`` is not installed."""

from __future__ import annotations

import importlib

import pytest

pytest.importorskip("mkdocs", reason="the extra docs is not installed")
pytest.importorskip("latex2mathml", reason="the extra docs is not installed")

from tools import pages


@pytest.mark.parametrize(
    ("link", "source", "page", "shown"),
    [
        ("own.md#data", "docs/rules.md", "rules.md", "own.md#data"),
        ("../datasets/README.md", "docs/cite.md", "cite.md", "datasets.md"),
        ("../scale.md", "docs/gallery/README.md", "gallery/README.md", "../scale.md"),
        ("1_x.ipynb", "docs/tutorials/README.md", "tutorials/README.md", "1_x.md"),
        ("../lfp_snn/rules/", "docs/rules.md", "rules.md", "api/rules.md"),
        ("../lfp_snn/analysis/explain/", "docs/own.md", "own.md", "api/analysis-explain.md"),
        ("docs/own.md", "CHANGELOG.md", "changelog.md", "own.md"),
        ("https://x.org/docs/a.md", "CHANGELOG.md", "changelog.md", "https://x.org/docs/a.md"),
        ("#here", "docs/own.md", "own.md", "#here"),
    ],
)
def test_links_of_the_repository_are_links_of_the_site(
    link: str, source: str, page: str, shown: str
) -> None:
    assert pages.relinked(f"see [it]({link}).", source, page) == f"see [it]({shown})."


def test_the_reference_has_every_public_name() -> None:
    texts = dict(pages._reference().values())
    for part in pages.PARTS:
        module = importlib.import_module(f"lfp_snn.{part}".rstrip("."))
        text = texts[part or "lfp_snn"]
        for name in getattr(module, "__all__", ()):
            assert f'"{name}"' in text, f"{module.__name__}.{name}"
    for learner in ("rstdp", "surrogate", "online_lfp"):
        assert f"::: lfp_snn.learners.{learner}\n" in texts["learners"]
    assert "::: lfp_snn.integrations.lightning\n" in texts["integrations"]
    assert '"explain"' in texts["analysis.explain"]


def test_a_formula_becomes_mathml_and_a_bar_in_a_table_is_one() -> None:
    html = r'<p><span class="arithmatex">\(a &lt; b\)</span></p><td><code>\|v\|</code></td>'
    drawn = pages.on_page_content(html)
    assert "<math" in drawn and "arithmatex" not in drawn
    assert "&#x0003C;" in drawn
    assert "<td><code>|v|</code></td>" in drawn
