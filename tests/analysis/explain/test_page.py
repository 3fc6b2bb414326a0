"""The page, in headless Chromium: no error, nothing fetched, and time moves."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lfp_snn.analysis.explain.attribute import Explainer
from lfp_snn.analysis.explain.explanation import Explanation, explain
from lfp_snn.analysis.explain.page import write_page
from lfp_snn.analysis.explain.target import OfClass
from lfp_snn.data import SampleSet


@pytest.fixture
def one(explainer: Explainer, recordings: SampleSet) -> Explanation:
    found = next(explain(explainer, recordings, [5], OfClass()))
    assert found.entered > 0
    return found


@pytest.fixture
def page(browser: Any, one: Explanation, tmp_path: Path) -> Iterator[Any]:
    """The page, opened; whatever it says or asks for but itself is an error."""
    write_page(one, tmp_path / "page.html")
    opened = browser.new_page(viewport={"width": 1000, "height": 800})
    said: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    asked: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(f"file://{tmp_path}/page.html")
    yield opened
    opened.close()
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


def pixels(page: Any, canvas: str = "frame") -> str:
    """A digest of what a canvas shows."""
    shown = page.evaluate(f"document.getElementById('{canvas}').toDataURL()")
    return hashlib.sha256(shown.encode()).hexdigest()


def scrub(page: Any, step: int) -> None:
    page.evaluate(
        "(step) => { const s = document.getElementById('slider'); s.value = step;"
        " s.dispatchEvent(new Event('input')); }",
        step,
    )


def test_scrubbing_changes_the_frame(page: Any) -> None:
    seen = []
    for step in range(5):
        scrub(page, step)
        assert page.inner_text("#now").startswith(f"step {step} ")
        seen.append((pixels(page), pixels(page, "plot")))
    assert len({frame for frame, _ in seen}) == 5
    assert len({plot for _, plot in seen}) == 5
    scrub(page, 0)
    assert (pixels(page), pixels(page, "plot")) == seen[0]


def test_the_address_keys_and_the_plot_choose_the_step(page: Any) -> None:
    page.evaluate("location.hash = 'frame=3'")
    page.wait_for_function("document.getElementById('slider').value === '3'")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#now").startswith("step 4 ")
    box = page.locator("#plot").bounding_box()
    page.mouse.click(box["x"] + 0.12 * box["width"], box["y"] + box["height"] / 2)
    assert page.inner_text("#now").startswith("step 0 ")


def test_playing_goes_on_and_stops(page: Any) -> None:
    page.select_option("#speed", "60")
    page.click("#play")
    page.wait_for_function("document.getElementById('slider').value !== '0'")
    page.click("#play")
    assert page.inner_text("#play") == "Play"
    page.check("#all")
    assert page.inner_text("#now") == "all 5 steps"


def test_hovering_shows_the_events_of_a_pixel(page: Any, one: Explanation) -> None:
    table = one.table
    e = int((table.step == 0).nonzero()[0][0])
    box = page.locator("#frame").bounding_box()
    height, width = one.relevance.shape[2:]
    page.mouse.move(
        box["x"] + (table.x[e] + 0.5) / width * box["width"],
        box["y"] + (table.y[e] + 0.5) / height * box["height"],
    )
    told = page.inner_text("#hover")
    assert told.startswith(f"x {table.x[e]}, y {table.y[e]}: relevance ")
    assert f"t {table.t[e] / 1000:.2f} ms, p {('OFF', 'ON')[table.p[e]]}, relevance " in told
    page.mouse.move(box["x"] - 5, box["y"])


def test_the_page_needs_nothing_else(one: Explanation, tmp_path: Path) -> None:
    write_page(replace(one, name="</script><b>"), tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert not re.search(r"""(src|href)=["'](?!data:)""", text)
    assert "http" not in text and "@import" not in text
    assert "</script><b>" not in text
