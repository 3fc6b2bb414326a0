"""What is wrong with a site is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.links import faults, main

SOUND = '<h1 id="top">A</h1><a href="b.html#there">b</a><a href="#top">up</a><img src="a.png">'


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "a.png").touch()
    (tmp_path / "a.html").write_text(SOUND)
    (tmp_path / "b.html").write_text('<h1 id="there">B</h1><a href="https://elsewhere.org">x</a>')
    return tmp_path


def test_a_sound_site_has_no_faults(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(faults(site)) == []
    assert main([str(site)]) == 0
    assert "2 pages" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("html", "said"),
    [
        ('<a href="c.html">', "a.html: c.html leads nowhere"),
        ('<img src="c.png">', "a.html: c.png leads nowhere"),
        ('<a href="b.html#here">', "a.html: b.html#here is no place of that page"),
        ('<a href="#here">', "a.html: #here is no place of that page"),
        ('<script src="https://x.org/a.js">', "a.html: https://x.org/a.js is fetched from outside"),
        ("<p>See :class:`Norm`</p>", "a.html: :class:` stands there as it is"),
    ],
)
def test_a_fault_is_told(
    site: Path, html: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (site / "a.html").write_text(html)
    assert main([str(site)]) == 1
    assert capsys.readouterr().out == f"{said}\n"


def test_what_code_shows_is_no_fault(site: Path) -> None:
    (site / "a.html").write_text("<code>:class:`Norm`</code>")
    assert list(faults(site)) == []
