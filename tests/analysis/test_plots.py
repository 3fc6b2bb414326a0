from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib import colors
from matplotlib.figure import Figure

from lfp_snn.analysis import plots, style
from lfp_snn.training.observer import SampleSpikes
from tests.analysis.conftest import CLASSES, LAYERS, history, sample


def _sample(label: int = 3, prediction: int = 3) -> SampleSpikes:
    arrays = sample()
    spikes = {name: arrays[f"spikes/{name}"] for name in LAYERS}
    return SampleSpikes(spikes, label, prediction)


def _texts(figure: Figure) -> str:
    """All text of a figure, as drawn."""
    with TemporaryDirectory() as folder:
        root = ElementTree.fromstring(style.save(figure, Path(folder), "texts"))
    return "\n".join("".join(node.itertext()) for node in root.iter() if node.tag.endswith("text"))


def test_accuracy_curves_hold_the_metrics() -> None:
    epochs = history(6)
    (axes,) = plots.accuracy_curves(epochs, best_epoch=5, baseline=0.9).axes
    lines = {str(line.get_label()): line for line in axes.lines}
    for label, key in (("training", "train_accuracy"), ("validation", "val_accuracy")):
        np.testing.assert_array_equal(lines[label].get_xdata(), [1, 2, 3, 4, 5, 6])
        np.testing.assert_array_equal(lines[label].get_ydata(), [e[key] for e in epochs])
    (star,) = (line for label, line in lines.items() if label.startswith("kept: epoch 5"))
    np.testing.assert_array_equal(star.get_xydata(), [[5, epochs[4]["val_accuracy"]]])
    np.testing.assert_array_equal(lines["baseline (test)"].get_ydata(), [0.9, 0.9])


def test_accuracy_curves_leave_gaps_where_nothing_was_measured() -> None:
    epochs = history(3)
    epochs[1]["val_accuracy"] = None
    del epochs[2]["val_accuracy"]
    (axes,) = plots.accuracy_curves(epochs, best_epoch=3).axes
    values = np.asarray(axes.lines[1].get_ydata())
    assert np.isnan(values).tolist() == [False, True, True]
    assert len(axes.lines) == 2


def test_firing_rates_draw_each_layer_apart() -> None:
    epochs = history(4)
    for epoch in epochs:
        epoch["firing"] = {f"block{i}": 0.01 * i for i in range(9)}
    (axes,) = plots.firing_rates(epochs).axes
    assert [line.get_label() for line in axes.lines] == [f"block{i}" for i in range(9)]
    looks = {(str(line.get_color()), str(line.get_linestyle())) for line in axes.lines}
    assert len(looks) == 9
    np.testing.assert_allclose(np.asarray(axes.lines[8].get_ydata()), 0.08)


def test_of_very_many_layers_some_are_drawn() -> None:
    names = [f"block{i}" for i in range(1000)]
    epochs = [{"epoch": 1, "firing": dict.fromkeys(names, 0.1)}]
    figure = plots.firing_rates(epochs)
    lines = figure.axes[0].lines
    drawn = [str(line.get_label()) for line in lines]
    assert len(drawn) == plots.MOST_LAYERS == len(set(drawn))
    assert (drawn[0], drawn[-1]) == (names[0], names[-1])
    looks = {(str(n.get_color()), str(n.get_linestyle()), str(n.get_marker())) for n in lines}
    assert len(looks) == len(drawn)
    figure.draw_without_rendering()
    legend = figure.legends[0].get_window_extent()
    assert 0 <= legend.y0 and legend.y1 <= figure.bbox.height
    assert f"{plots.MOST_LAYERS} of 1000 layers" in _texts(figure)
    sample = SampleSpikes({name: np.ones((1, 2), bool) for name in names}, 0, 1)
    assert len(plots.sample_raster(sample, ("a", "b")).axes) == plots.MOST_LAYERS


def test_raster_shows_every_spike() -> None:
    figure = plots.sample_raster(_sample(), CLASSES)
    for axes, name in zip(figure.axes, LAYERS, strict=False):
        (points,) = axes.collections
        drawn = {tuple(int(n) for n in point) for point in np.asarray(points.get_offsets())}
        when, which = np.nonzero(_sample().spikes[name])
        assert drawn == set(zip(when.tolist(), which.tolist(), strict=True))


def test_raster_says_label_and_prediction() -> None:
    assert "class 3, read as 3 (right)" in _texts(plots.sample_raster(_sample(), CLASSES))
    assert "class 3, read as 7 (wrong)" in _texts(plots.sample_raster(_sample(3, 7), CLASSES))
    names = tuple("abcdefghij")
    assert "class d, read as h (wrong)" in _texts(plots.sample_raster(_sample(3, 7), names))
    assert "class 3, read as 7 (wrong)" in _texts(plots.sample_raster(_sample(3, 7)))


def test_raster_of_silent_layers() -> None:
    spikes = {"1": np.zeros((1, 4), bool), "3": np.zeros((1, 2), bool)}
    text = _texts(plots.sample_raster(SampleSpikes(spikes, 0, 1), ("a", "b")))
    assert "layer 1: 0 spikes, 0.0% of 4 units x 1 steps" in text


def test_confusion_matrix_writes_counts() -> None:
    counts, shares = [[8, 2], [0, 5]], [[0.8, 0.2], [0.0, 1.0]]
    figure = plots.confusion_matrix(counts, ("left", "right"))
    axes = figure.axes[0]
    written = {(t.get_position(), t.get_text()) for t in axes.texts}
    assert written == {((0, 0), "8"), ((1, 0), "2"), ((1, 1), "5")}
    np.testing.assert_allclose(np.asarray(axes.images[0].get_array()), np.array(shares))
    assert [label.get_text() for label in axes.get_yticklabels()] == ["left", "right"]


def test_confusion_matrix_of_many_classes_and_of_one_that_has_no_samples() -> None:
    counts = np.eye(101, dtype=int) * 3
    counts[7, 7] = 0
    axes = plots.confusion_matrix(counts).axes[0]
    assert not axes.texts
    assert np.isfinite(np.asarray(axes.images[0].get_array())).all()
    assert len(axes.get_xticks()) <= 40


@pytest.mark.usefixtures("every_kind_of_figure")
def test_save_writes_the_same_bytes_again(tmp_path: Path) -> None:
    written = []
    for _ in range(2):
        style.save(plots.sample_raster(_sample(), CLASSES), tmp_path, "raster")
        written.append(
            [(tmp_path / f"raster.{kind}").read_bytes() for kind in ("png", "svg", "pdf")]
        )
    assert written[0] == written[1]
    png, svg, pdf = written[0]
    assert b"/FontFile2" in pdf and b"/Type3" not in pdf, "fonts are embedded as TrueType"
    assert png.startswith(b"\x89PNG")
    assert ElementTree.fromstring(svg).tag.endswith("svg")


def test_inline_svgs_share_a_page(tmp_path: Path) -> None:
    figures = [plots.accuracy_curves(history(3)), plots.firing_rates(history(3))]
    svgs = [style.inline(style.save(f, tmp_path, f"figure{i}")) for i, f in enumerate(figures)]
    ids = [found for svg in svgs for found in set(re.findall(r'\bid="([^"]+)"', svg))]
    assert len(ids) == len(set(ids))
    for svg in svgs:
        ElementTree.fromstring(svg)
        own = set(re.findall(r'\bid="([^"]+)"', svg))
        used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
        assert used
        assert used <= own
        assert style.INK not in svg
        assert style.PAPER not in svg
        assert "currentColor" in svg


@pytest.mark.parametrize("name", ["<script>x</script>", "a & b", "$x", "$\\frac$"])
def test_names_are_text(name: str) -> None:
    epochs = history(2)
    for epoch in epochs:
        epoch["firing"] = {name: 0.1}
    assert name in _texts(plots.firing_rates(epochs))
    assert name in _texts(plots.confusion_matrix(np.eye(2, dtype=int), (name, "b")))


def test_long_names_leave_room_for_the_data() -> None:
    name = "a very long name of a class, as some data sets have"
    text = _texts(plots.confusion_matrix(np.eye(2, dtype=int), (name, "b")))
    assert name[: plots.LONGEST_NAME - 1] + "\u2026" in text


def _contrast(colour: str, paper: str) -> float:
    """Contrast ratio of WCAG 2.1."""

    def luminance(name: str) -> float:
        rgb = np.array(colors.to_rgb(name))
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted((luminance(colour), luminance(paper)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colour", style.COLOURS)
def test_colours_stand_out_on_light_and_dark_paper(colour: str) -> None:
    assert _contrast(colour, "#ffffff") >= 3
    assert _contrast(colour, "#14171a") >= 3


def test_a_figure_for_print_has_the_width_of_two_columns() -> None:
    with style.drawn_as("paper"), style.style():
        figure = plots.accuracy_curves(history(3))
        assert figure.get_figwidth() == pytest.approx(7.0)
        assert figure.axes[0].xaxis.label.get_fontsize() == 8
    assert plots.accuracy_curves(history(3)).get_figwidth() == pytest.approx(style.WIDTH)
