from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lfp_snn.analysis.explain import pictures, sheet, tables
from lfp_snn.analysis.explain.attribute import Explainer
from lfp_snn.analysis.explain.explanation import Explanation, check_indices, explain, frame_of
from lfp_snn.analysis.explain.target import OfClass, OfLabel
from lfp_snn.analysis.style import save
from lfp_snn.data import ImageSet, SampleSet
from lfp_snn.data.encoders import CODES, Encoder
from lfp_snn.data.event_set import EventSet
from lfp_snn.errors import ConfigError
from lfp_snn.learners import LEARNERS
from lfp_snn.learners.lfp import LFPOptions
from lfp_snn.models import build
from lfp_snn.rules import Norm


@pytest.fixture
def one(explainer: Explainer, recordings: SampleSet) -> Explanation:
    found = next(explain(explainer, recordings, [5], OfClass()))
    assert found.entered > 0
    return found


def test_events_share_what_their_entry_got(
    one: Explanation, explainer: Explainer, recordings: SampleSet
) -> None:
    assert isinstance(recordings, EventSet)
    events, _ = recordings.recording(5)
    table = one.table
    assert len(table) == len(events) and table.unit == "us"
    window = (int(events.t.max()) - int(events.t.min())) // 5
    shared: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for e in range(len(events)):
        step = (int(events.t[e]) - int(events.t.min())) // window
        if step < 5:
            shared[step, int(events.p[e]), int(events.y[e]), int(events.x[e])].append(e)
        else:
            assert table.step[e] == -1 and table.relevance[e] == 0
    assert any(len(own) > 1 and one.relevance[at] != 0 for at, own in shared.items())
    for place, own in shared.items():
        np.testing.assert_allclose(table.relevance[own], one.relevance[place] / len(own))
        assert (table.step[own] == place[0]).all()
    assert table.relevance.sum() == pytest.approx(one.relevance.sum())
    assert (one.relevance[one.inputs == 0] == 0).all()


def test_batches_do_not_matter(explainer: Explainer, recordings: SampleSet) -> None:
    together = list(explain(explainer, recordings, [2, 7, 5], OfClass()))
    apart = list(explain(explainer, recordings, [2, 7, 5], OfClass(), size=1))
    for a, b in zip(together, apart, strict=True):
        assert a.name == b.name and a.label == b.label
        np.testing.assert_allclose(a.relevance, b.relevance, atol=1e-6)
        np.testing.assert_array_equal(a.table.t, b.table.t)


def test_tables_hold_the_same(one: Explanation, tmp_path: Path) -> None:
    tables.write_csv(one, tmp_path / "e.csv")
    tables.write_arrays(one, tmp_path / "e.npz")
    with (tmp_path / "e.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["t", "x", "y", "p", "relevance"]
    with np.load(tmp_path / "e.npz") as arrays:
        for name in rows[0]:
            np.testing.assert_allclose([float(row[name]) for row in rows], arrays[name])
        np.testing.assert_allclose(arrays["per_pixel"], one.relevance.sum(0))
        np.testing.assert_allclose(arrays["per_step"].sum(), one.relevance.sum())
        assert arrays["per_polarity"].shape == (2,)
        assert arrays["neurons/2"].shape == (12,)


@pytest.mark.usefixtures("every_kind_of_figure")
def test_pictures_can_be_opened(one: Explanation, tmp_path: Path) -> None:
    for figure, name in ((pictures.strip(one), "s"), (pictures.profile(one), "p")):
        save(figure, tmp_path, name)
        with Image.open(tmp_path / f"{name}.png") as image:
            assert image.width > 300
    pictures.write_gif(one, tmp_path / "g.gif")
    with Image.open(tmp_path / "g.gif") as image:
        assert getattr(image, "n_frames", 0) == 5


@pytest.mark.usefixtures("every_kind_of_figure")
def test_a_picture_keeps_its_colours(one: Explanation, tmp_path: Path) -> None:
    """A palette of 255 would leave few of them for negative relevance."""
    save(pictures.strip(one), tmp_path, "s")
    with Image.open(tmp_path / "s.png") as image:
        assert image.mode in ("RGB", "RGBA"), "no palette"


def test_numbers_beside_each_other_have_as_many_decimals(one: Explanation) -> None:
    titles = [axes.get_title(loc="left") for axes in pictures.profile(one).axes]
    decimals = {len(t.partition(".")[2]) for t in titles if t.startswith(("all", "ON", "OFF"))}
    assert len(decimals) == 1


def test_the_scale_is_symmetrical(one: Explanation) -> None:
    (image,) = pictures.strip(one).axes[0].images
    low, high = image.get_clim()
    assert low == -high < 0


def test_class_means_are_of_samples_read_rightly(
    explainer: Explainer, recordings: SampleSet, tmp_path: Path
) -> None:
    every = list(explain(explainer, recordings, range(len(recordings)), OfClass()))
    true = list(explain(explainer, recordings, range(len(recordings)), OfLabel()))
    means = sheet.class_means(every)
    for number, (mean, count) in means.items():
        own = [e.relevance.sum(0) for e in every if e.label == number == e.prediction]
        assert count == len(own)
        np.testing.assert_allclose(mean, np.mean(own, axis=0))
    found = sheet.mistakes(every, true, most=3)
    assert len(found) == 3
    assert [m.confidence for m in found] == sorted((m.confidence for m in found), reverse=True)
    worst = found[0]
    assert worst.read.name == worst.true.name and worst.read.label != worst.read.prediction
    assert f"{worst.read.scores[worst.read.prediction]:g} spikes" in worst.reason
    sheet.write_rows(every, tmp_path / "r.csv")
    assert len((tmp_path / "r.csv").read_text().splitlines()) == len(recordings) + 1
    sheet.write_means(means, recordings.classes, tmp_path / "m.npz")
    for name, figure in (
        ("m", sheet.means_figure(means, recordings.classes)),
        ("w", sheet.mistakes_figure(found)),
    ):
        save(figure, tmp_path, name)
        assert (tmp_path / f"{name}.svg").stat().st_size > 1000


@pytest.mark.parametrize("code", ["constant", "rate"])
def test_images_without_events(code: str, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 1, 6, 6), dtype=np.uint8)
    samples = ImageSet(
        images,
        Encoder(CODES[code](), 7, 0),
        np.arange(4) % 2,
        [f"i{n}" for n in range(4)],
        classes=("a", "b"),
    )
    torch.manual_seed(0)
    net = build("mlp", (1, 6, 6), 2, hidden=[8], scale=6.0)
    learner = LEARNERS["lfp"].from_options(net.eval(), LFPOptions())
    (found,) = explain(Explainer(learner, Norm()), samples, [1], OfClass())
    assert found.constant == (code == "constant")
    assert found.relevance.shape == ((1 if found.constant else 7), 1, 6, 6)
    assert found.table.unit == "step"
    assert found.table.relevance.sum() == pytest.approx(found.relevance.sum())
    strip = pictures.strip(found)
    save(strip, tmp_path, "s")
    above, below = (axes.get_position().x0 for axes in strip.axes[:2])
    assert above == pytest.approx(below) or not found.constant  # the rows are in line
    profile = pictures.profile(found)
    titles = [axes.get_title(loc="left") for axes in profile.axes]
    assert ("by time step and polarity" in titles) is not found.constant
    save(profile, tmp_path, "p")


def test_samples_that_are_not_there(recordings: SampleSet) -> None:
    with pytest.raises(ConfigError, match=r"--sample is 99, but the test set has .* 0 to 11"):
        check_indices([0, 99], recordings, "test")
    with pytest.raises(ConfigError, match="--sample is -1"):
        check_indices([-1], recordings, "test")


def test_frames_of_any_shape() -> None:
    assert frame_of((700,)) == (1, 1, 700)
    assert frame_of((2, 3, 4)) == (2, 3, 4)
    with pytest.raises(ConfigError, match="cannot be drawn"):
        frame_of((2, 2, 3, 4))


def test_what_is_no_explainer_target_or_class_is_told(
    explainer: Explainer, recordings: SampleSet
) -> None:
    for given, target, told in (
        (
            explainer.engine.net,
            OfClass(),
            "The explainer is a Sequential; expected one such as Exp",
        ),
        (explainer, OfClass, r"The target is OfClass; expected one such as OfClass\(\)"),
        (explainer, OfClass(99), "The class asked about is 99; expected its number, 0 to "),
        (explainer, OfClass("1"), "The class asked about is '1'"),  # type: ignore[arg-type]
    ):
        with pytest.raises(ConfigError, match=told):
            list(explain(given, recordings, [0], target))  # type: ignore[arg-type]
