from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from lfp_snn.analysis.report import write_report
from lfp_snn.errors import RunError
from tests.analysis.conftest import Run, write_run

VOID = {"meta", "link", "br", "hr", "img", "input"}
FIGURES = ("accuracy", "firing", "raster", "confusion")


class Page(HTMLParser):
    """Checks that tags are balanced; collects attributes and text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.pieces: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.pieces.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.pieces).split())


@pytest.fixture(scope="module")
def report(
    tmp_path_factory: pytest.TempPathFactory, kinds_of_figures: dict[str, tuple[str, ...]]
) -> Path:
    """The report of a finished run, with every kind of figure."""
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lfp_snn.analysis.style._METADATA", kinds_of_figures)
        return write_report(write_run(folder, epochs=5, warnings=["Layer '1' is dead."]))


def test_shows_the_numbers(report: Path) -> None:
    assert report.name == "report.html"
    text = Page(report).text
    for shown in (
        "Test accuracy 97.65% of 360 test samples",
        "Baseline, test accuracy 92.34%",
        "Validation accuracy 98.12% best epoch: 4",
        "31.5 s training itself 25.2 s",
        "handwritten digits seen by a simulated event camera",
        "sizes.train 1257 sizes.val 180 sizes.test 360",
        "model.hidden [256]",
        "optimizer.lr 0.003",
        "torch 2.13.0",
        "calibration.0 2.125",
        "test_ties 0.005",
        "Layer '1' is dead.",
        "class 3, read as 3 (right)",
    ):
        assert shown in text
    assert "has not finished" not in text


def test_few_test_samples_are_told(make_run: Run) -> None:
    few = {"train": 40, "val": 10, "test": 40}
    page = write_report(make_run(samples=few)).read_text()
    assert "the test part has 40 of 10 classes, and each of them is 2.5 points" in page


def test_a_run_that_nothing_tested_has_a_report(tmp_path: Path) -> None:
    run = write_run(tmp_path, epochs=2)
    result = json.loads((run / "result.json").read_text())
    without = {**result, "test_accuracy": None, "val_accuracy": None}
    (run / "result.json").write_text(json.dumps(without))
    text = Page(write_report(run)).text
    assert "Test none" in text and "last epoch" in text


def test_needs_nothing_from_elsewhere(report: Path) -> None:
    page = Page(report)
    assert not {"script", "link", "iframe", "base"} & {tag for tag, _ in page.tags}
    for tag, attributes in page.tags:
        for key, value in attributes.items():
            if key in ("src", "href", "xlink:href", "data", "srcset") and tag != "a":
                assert value is not None
                assert value.startswith(("#", "data:"))
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert links == ["https://arxiv.org/abs/2308.12053"]
    style = "".join(page.pieces)
    assert "@import" not in style
    assert "url(h" not in style


def test_embeds_and_saves_every_figure(report: Path) -> None:
    page = Page(report)
    assert sum(tag == "svg" for tag, _ in page.tags) == len(FIGURES)
    files = {path.name: path.stat().st_size for path in (report.parent / "figures").iterdir()}
    assert set(files) == {f"{name}.{kind}" for name in FIGURES for kind in ("pdf", "png", "svg")}
    assert min(files.values()) > 5000


def test_interrupted_run_says_so(make_run: Run) -> None:
    run = make_run(epochs=4, finished=False)
    metrics = run / "metrics.jsonl"
    metrics.write_bytes(metrics.read_bytes()[:-30])
    (run / "sample.npz").unlink()
    page = Page(write_report(run))
    assert "This run has not finished." in page.text
    assert "3 epochs on record, no test result" in page.text
    assert "Test accuracy" not in page.text
    assert sum(tag == "svg" for tag, _ in page.tags) == 2


def test_a_result_without_what_the_page_names_is_told(make_run: Run) -> None:
    folder = make_run()
    path = folder / "result.json"
    result = json.loads(path.read_text())
    del result["wall_s"]
    path.write_text(json.dumps(result))
    with pytest.raises(RunError, match="is no run that can be reported or is damaged: .*'wall_s'"):
        write_report(folder)


def test_run_killed_before_the_first_epoch(make_run: Run) -> None:
    run = make_run(finished=False)
    (run / "metrics.jsonl").unlink()
    (run / "sample.npz").unlink()
    page = Page(write_report(run))
    assert "0 epochs on record" in page.text
    assert not any(tag == "svg" for tag, _ in page.tags)


@pytest.mark.parametrize("baseline", [None, {"name": "guess", "test_accuracy": 0.92345}])
def test_baseline_stands_beside_the_test_accuracy_if_there_is_one(
    make_run: Run, baseline: Any
) -> None:
    run = make_run(epochs=1, baseline=baseline, confusion=[])
    (run / "sample.npz").unlink()
    text = Page(write_report(run)).text
    assert ("Baseline, test accuracy 92.34% guess" in text) is (baseline is not None)


def test_all_text_is_escaped(make_run: Run) -> None:
    evil = '"><img src=x onerror=e>'
    run = make_run(warnings=[evil], classes=[evil, *"123456789"], note=evil)
    for file in ("config.yaml", "run.json", "metrics.jsonl"):
        path = run / file
        text = path.read_text(encoding="utf-8")
        quoted = evil.replace('"', '\\"')
        text = text.replace('"device": "cpu"', f'"device": "{quoted}"')
        text = text.replace("simulated event camera", quoted)
        text = text.replace('"1": 0', f'"{quoted}": 0')
        text = text.replace("name: mlp", f"name: '{evil}'")
        path.write_text(text, encoding="utf-8")
    path = write_report(run)
    page = Page(path)
    assert not {"script", "img"} & {tag for tag, _ in page.tags}
    assert not any(key.startswith("on") for _, attributes in page.tags for key in attributes)
    # warning, note, class (twice in the matrix, once in the raster), layer, device, source, model
    assert page.text.count(evil) >= 9


def test_writing_again_replaces_and_leaves_nothing_behind(make_run: Run) -> None:
    run = make_run(epochs=2, confusion=[])
    first = write_report(run).read_bytes()
    before = sorted(path.name for path in run.iterdir())
    assert write_report(run).read_bytes() == first
    assert sorted(path.name for path in run.iterdir()) == before


def test_opens_for_light_and_dark(report: Path) -> None:
    content = report.read_text(encoding="utf-8")
    assert "prefers-color-scheme: dark" in content
    assert "currentColor" in content
