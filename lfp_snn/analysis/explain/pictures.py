"""Pictures of an explanation: a strip over time, profiles, and an animation.

Red is relevance for what is asked, blue is relevance against it; the scale is symmetrical about 0.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from PIL import Image, ImageDraw

from lfp_snn.analysis.explain.explanation import FLOAT, Explanation
from lfp_snn.analysis.style import COLOURS, INK, WIDTH, new_figure, style
from lfp_snn.training.files import write_atomic

__all__ = ["COLOUR_MAP", "PLAIN", "picture", "profile", "reach", "strip", "write_gif"]

COLOUR_MAP = "RdBu_r"
PANELS = 8  # of a strip
MOST_BARS = 400  # of a layer: of larger ones the strongest neurons
FRAME_MS = 160
SIDE = 272  # pixels of an animation's shorter side, at least
PLAIN = {"axes.grid": False, "image.interpolation": "nearest"}


def reach(values: FLOAT) -> float:
    """Half of a symmetrical scale, which few values exceed: the 99.5 % quantile of the sizes."""
    sizes = np.abs(values[values != 0])
    return float(np.quantile(sizes, 0.995)) if len(sizes) else 1.0


def picture(axes: Axes, values: FLOAT, half: float) -> AxesImage:
    """Draw a map of relevance ``[H, W]`` on a scale from ``-half`` to ``half``."""
    image = axes.imshow(values, cmap=COLOUR_MAP, vmin=-half, vmax=half)
    _bare(axes, values.shape)
    return image


def _bare(axes: Axes, shape: tuple[int, ...]) -> None:
    axes.set_aspect("equal" if min(shape) > 1 else "auto")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(True)
    axes.spines[:].set_alpha(0.25)


def _groups(steps: int, panels: int) -> Iterator[tuple[int, int]]:
    """The first and the last + 1 of the steps that each panel shows."""
    edges = np.linspace(0, steps, min(panels, steps) + 1).round().astype(int)
    yield from zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)


def strip(explanation: Explanation) -> Figure:
    """A strip of relevance over time, and below it the events in grey."""
    relevance, inputs = explanation.relevance.sum(1), explanation.inputs.sum(1)
    parts = list(_groups(len(relevance), PANELS))
    maps = np.stack([relevance[a:b].sum(0) for a, b in parts])
    seen = np.stack([inputs[a:b].sum(0) for a, b in parts])
    half, most = reach(maps), max(float(np.quantile(seen, 0.995)), 1e-9)
    side = min(2.2, (WIDTH - 0.9) / len(parts))
    with style(**PLAIN):
        size = (max(side * len(parts) + 0.9, 4.2), 2 * side + 0.62)
        figure = new_figure(*size)
        rows = figure.subplots(2, len(parts), squeeze=False)
        image = None
        for number, (start, stop) in enumerate(parts):
            image = picture(rows[0, number], maps[number], half)
            rows[1, number].imshow(seen[number], cmap="Greys", vmin=0, vmax=most)
            _bare(rows[1, number], seen.shape[1:])
            rows[0, number].set_title(_when(explanation, start, stop), fontsize=8)
        rows[0, 0].set_ylabel("relevance", fontsize=8)
        rows[1, 0].set_ylabel("input" if explanation.constant else "events", fontsize=8)
        assert image is not None
        # The second, which nobody sees, keeps the rows in line.
        bar, unseen = (figure.colorbar(image, ax=row.tolist(), pad=0.01, aspect=12) for row in rows)
        bar.ax.tick_params(labelsize=7)
        unseen.ax.tick_params(labelsize=7)
        unseen.ax.set_visible(False)
        bar.outline.set_visible(False)
        figure.suptitle(_title(explanation), x=0.01, ha="left", fontsize=10)
        return figure


def _when(explanation: Explanation, start: int, stop: int) -> str:
    if explanation.constant:
        return "all steps"
    span = f"{start}" if stop == start + 1 else f"{start}\u2013{stop - 1}"
    return f"steps {span}" if start == 0 else span


def _title(explanation: Explanation) -> str:
    return f"{explanation.verdict}; relevance {explanation.question}"


def profile(explanation: Explanation) -> Figure:
    """A figure of relevance by pixel, time step and polarity, and by layer and neuron.

    An image that is shown at every step has no course in time, and no panel of it.
    """
    whole = explanation.relevance
    polarities = whole.shape[1]
    names = ("OFF", "ON") if polarities == 2 else tuple(str(p) for p in range(polarities))
    layers = list(explanation.neurons.items())
    maps = [("all", whole.sum((0, 1)))]
    if 1 < polarities <= 3:
        maps += [(name, whole[:, p].sum(0)) for p, name in enumerate(names)]
    with style(**PLAIN):
        heights = [2.4, *([] if explanation.constant else [1.7]), *[1.35] * len(layers)]
        figure = new_figure(WIDTH, sum(heights) + 0.5)
        top, *below = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
        panels = top.subplots(1, len(maps), squeeze=False)[0]
        half = max(reach(values) for _, values in maps)
        digits = _decimals(max(abs(float(values.sum())) for _, values in maps))
        for axes, (name, values) in zip(panels, maps, strict=True):
            image = picture(axes, values, half)
            axes.set_title(f"{name}: {values.sum():+.{digits}f}", fontsize=9)
        top.colorbar(image, ax=panels.tolist(), label="relevance", aspect=14, pad=0.01)
        if not explanation.constant:
            _by_step(below.pop(0).subplots(), whole, names)
        for figure_of_layer, (name, values) in zip(below, layers, strict=True):
            _by_neuron(figure_of_layer.subplots(), name, values)
        figure.suptitle(f"{explanation.name}: {_title(explanation)}", x=0.01, ha="left", fontsize=9)
        return figure


def _decimals(largest: float) -> int:
    """The decimals by which the largest of several numbers has three digits, for all of them."""
    return max(0, 2 - math.floor(math.log10(largest))) if largest > 0 else 0


def _by_step(axes: Axes, whole: FLOAT, names: tuple[str, ...]) -> None:
    steps = np.arange(len(whole))
    width = 0.8 / len(names)
    for p, name in enumerate(names):
        place = steps + (p - (len(names) - 1) / 2) * width
        axes.bar(place, whole[:, p].sum((1, 2)), width, color=COLOURS[p % 4], label=name)
    axes.axhline(0, color=INK, linewidth=0.6)
    axes.set_title("by time step and polarity", fontsize=9)
    axes.set_xlabel("time step", fontsize=8)
    axes.set_ylabel("relevance", fontsize=8)
    axes.tick_params(labelsize=8)
    if len(names) > 1:
        axes.legend(fontsize=8, ncols=len(names))


def _by_neuron(axes: Axes, name: str, values: FLOAT) -> None:
    """Draw bars of the neurons or maps of a layer; of the strongest ones where there are many."""
    maps = values.ndim > 1
    each = values.reshape(len(values), -1).sum(1)
    what = "map" if maps else "neuron"
    order = np.argsort(-each)
    if len(each) > MOST_BARS:
        strongest = np.sort(np.argsort(-np.abs(each))[:MOST_BARS])
        order = strongest[np.argsort(-each[strongest])]
    sorted_too = len(each) > 20
    shown = each[order] if sorted_too else each
    colours = np.where(shown >= 0, "#b2182b", "#2166ac")
    axes.bar(np.arange(len(shown)), shown, 0.85, color=colours.tolist())
    axes.axhline(0, color=INK, linewidth=0.6)
    digits = _decimals(abs(float(values.sum())))
    title = f"layer {name}: {values.sum():+.{digits}f} on {len(each)} {what}s"
    if len(shown) < len(each):
        title += f", the {len(shown)} strongest"
    axes.set_title(title, fontsize=9)
    axes.set_xlabel(f"{what}, by falling relevance" if sorted_too else what, fontsize=8)
    axes.set_ylabel("relevance", fontsize=8)
    axes.tick_params(labelsize=8)


def write_gif(explanation: Explanation, path: Path) -> None:
    """Write an animation over the time steps: relevance on the left, events in grey on the right.

    Raises:
        RunError: the file cannot be written.
    """
    relevance, inputs = explanation.relevance.sum(1), explanation.inputs.sum(1)
    half, most = reach(relevance), max(float(inputs.max()), 1e-9)
    signed = mpl.colormaps[COLOUR_MAP]
    grey = mpl.colormaps["Greys"]
    pages = []
    for step, (values, seen) in enumerate(zip(relevance, inputs, strict=True)):
        left = _rgb(signed(Normalize(-half, half)(values)))
        right = _rgb(grey(Normalize(0, most)(seen)))
        page = Image.new("RGB", (2 * left.width + 6, left.height + 18), "#fefefe")
        page.paste(left, (0, 18))
        page.paste(right, (left.width + 6, 18))
        pen = ImageDraw.Draw(page)
        pen.text((3, 3), f"relevance {explanation.question}", fill=INK)
        pen.text((left.width + 9, 3), f"events, step {step + 1} of {len(relevance)}", fill=INK)
        pages.append(page)
    content = io.BytesIO()
    pages[0].save(
        content, format="gif", save_all=True, append_images=pages[1:], duration=FRAME_MS, loop=0
    )
    write_atomic(path, content.getvalue())


def _rgb(colours: npt.NDArray[np.float64]) -> Image.Image:
    """Colours ``[H, W, 4]`` in [0, 1] as an image that is large enough to be seen."""
    height, width = colours.shape[:2]
    across, down = max(1, SIDE // width), max(1, SIDE // height)
    if min(height, width) > 1:
        across = down = max(1, SIDE // min(height, width))
    pixels = (255 * colours[..., :3]).astype(np.uint8)
    return Image.fromarray(pixels.repeat(down, 0).repeat(across, 1))
