"""Pictures of a recording of a camera or another event sensor."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from lfp_snn.analysis.style import COLOURS, INK, WIDTH, new_figure, style
from lfp_snn.data import Events
from lfp_snn.data.formats.base import put
from lfp_snn.errors import DataError

__all__ = ["animate", "event_image", "overview"]

ON, OFF = COLOURS[1], COLOURS[0]
SLICES = 8  # pictures in the strip over time
BINS = 60
MOST_MARKS = 20_000  # in a raster
FEW_CHANNELS = 128  # of which each has room for a stroke in a raster; of more, a dot
FRAME_MS = 60
SIDE = 272  # pixels of an animation's shorter side, at least
BAND = 34  # rows of an animation of channels
MOST_PIXELS = 1 << 22  # of a sensor that is drawn; the largest event cameras have a quarter

Counts = npt.NDArray[np.int64]


def event_image(events: Events, chosen: npt.NDArray[np.bool_] | None = None) -> Counts:
    """The number of events of each pixel, int64 ``[polarities, height, width]``.

    Args:
        events: the events of one recording.
        chosen: the events to count, bool ``[E]``; all if ``None``.

    Raises:
        DataError: the sensor has more pixels than can be drawn.
    """
    if np.prod(events.sensor[1:]) > MOST_PIXELS:
        raise DataError(
            f"a sensor of {events.sensor[2]} x {events.sensor[1]} pixels is too large to be drawn "
            f"(more than {MOST_PIXELS} pixels); are there events far off the others?"
        )
    units = events.units() if chosen is None else events.units()[chosen]
    size = int(np.prod(events.sensor))
    return np.bincount(units, minlength=size).reshape(events.sensor).astype(np.int64)


def overview(events: Events, name: str = "") -> Figure:
    """A figure of a recording: all events by polarity, slices of time, rate, pauses.

    For a recording without pixels, which is one row of channels, it has a raster, the events of
    each channel, rate and pauses.

    Args:
        events: the events of one recording.
        name: what to call the recording.
    """
    if events.sensor[1] == 1:
        return _raster_page(events, name)
    with style(**{"axes.grid": False}):
        figure = new_figure(WIDTH, 7.2)
        grid = figure.add_gridspec(3, SLICES, height_ratios=(2.2, 1, 1.5))
        half = SLICES // 2
        _whole(figure.add_subplot(grid[0, :half]), events)
        _in_space_and_time(figure.add_subplot(grid[0, half:], projection="3d"), events)
        for number, (start, image) in enumerate(_slices(events, SLICES)):
            axes = figure.add_subplot(grid[1, number])
            _picture(axes, image, _bright(image))
            axes.set_title(f"{start / 1000:.0f} ms", fontsize=8)
        _rate(figure.add_subplot(grid[2, :half]), events)
        _pauses(figure.add_subplot(grid[2, half:]), events)
        _caption(figure, events, name, f"{events.sensor[2]} x {events.sensor[1]}")
        return figure


def _raster_page(events: Events, name: str) -> Figure:
    with style(**{"axes.grid": False}):
        figure = new_figure(WIDTH, 6.4)
        grid = figure.add_gridspec(2, 4, height_ratios=(2.4, 1.5))
        raster = figure.add_subplot(grid[0, :3])
        _raster(raster, events)
        _channels(figure.add_subplot(grid[0, 3], sharey=raster), events)
        _rate(figure.add_subplot(grid[1, :2]), events)
        _pauses(figure.add_subplot(grid[1, 2:]), events, "channel")
        _caption(figure, events, name, f"{events.sensor[2]} channels")
        return figure


def _caption(figure: Figure, events: Events, name: str, size: str) -> None:
    duration = (int(events.t.max()) - int(events.t.min())) / 1000
    figure.suptitle(
        f"{name}  {len(events):,} events, {duration:,.1f} ms, {size}",
        x=0.01,
        ha="left",
        fontsize=11,
    )


def animate(events: Events, path: Path, frames: int = 40) -> None:
    """Write the recording as an animated GIF, ON and OFF events in two colours.

    Args:
        events: the events of one recording.
        path: the file.
        frames: the number of slices of equal duration.

    Raises:
        DataError: the file cannot be written.
    """
    images = [image for _, image in _slices(events, frames)]
    brightest = max(int(image.max()) for image in images) or 1
    _, height, width = events.sensor
    if height == 1:  # channels lie side by side, as a band
        rows, columns = BAND, max(1, SIDE // width)
    else:
        rows = columns = max(1, SIDE // min(height, width))
    pictures = [
        Image.fromarray(_coloured(image, brightest).repeat(rows, 0).repeat(columns, 1))
        for image in images
    ]
    content = io.BytesIO()
    pictures[0].save(
        content, "gif", save_all=True, append_images=pictures[1:], duration=FRAME_MS, loop=0
    )
    put(path, content.getvalue())


def _slices(events: Events, number: int) -> Iterator[tuple[int, Counts]]:
    """The start in microseconds and the event image of slices of equal duration."""
    first = int(events.t.min())
    length = (int(events.t.max()) - first) // number + 1
    which = (events.t - first) // length
    for each in range(number):
        yield each * length, event_image(events, which == each)


def _coloured(image: Counts, brightest: int) -> npt.NDArray[np.uint8]:
    """An RGB image ``[height, width, 3]``: white where nothing was, the colours where much was."""
    strength = np.sqrt(np.minimum(image / max(brightest, 1), 1))
    colours = [_rgb(OFF), _rgb(ON)] if len(image) == 2 else [_rgb(OFF)]
    paper = np.full((*image.shape[1:], 3), 255.0)
    for part, colour in zip(strength, colours, strict=True):
        paper -= part[..., None] * (255 - colour)
    return np.clip(paper, 0, 255).astype(np.uint8)


def _rgb(colour: str) -> npt.NDArray[np.float64]:
    return np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)], np.float64)


def _bright(image: Counts) -> int:
    """A brightness that few pixels exceed, so that a hot one does not outshine the others."""
    return int(np.quantile(image[image > 0], 0.95)) if image.any() else 1


def _picture(axes: Axes, image: Counts, brightest: int) -> None:
    axes.imshow(_coloured(image, brightest), interpolation="nearest", aspect="auto")
    if min(image.shape[1:]) > 1:
        axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])


def _whole(axes: Axes, events: Events) -> None:
    image = event_image(events)
    _picture(axes, image, _bright(image))
    counts = image.sum((1, 2))
    words = ("OFF", "ON") if len(counts) == 2 else ("events",)
    said = [f"{word} {share:.0%}" for word, share in zip(words, counts / counts.sum(), strict=True)]
    axes.set_title("all events: " + ", ".join(said))


def _in_space_and_time(axes: Any, events: Events) -> None:
    """Draw every event, or one of several, as a point in x, y and time."""
    every = max(1, len(events) // 4000)
    part = slice(None, None, every)
    on = events.p[part] > 0
    for chosen, colour in ((on, ON), (~on, OFF)):
        axes.scatter(
            (events.t[part][chosen] - events.t.min()) / 1000,
            events.x[part][chosen],
            -events.y[part][chosen].astype(int),
            s=1.5,
            color=colour,
            linewidths=0,
            rasterized=True,
        )
    axes.set_xlabel("ms", labelpad=-4)
    axes.set_ylabel("x", labelpad=-10)
    axes.set_zlabel("y", labelpad=-12)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.tick_params(labelsize=7, pad=-2)
    axes.set_yticklabels([])
    axes.set_zticklabels([])
    axes.grid(False)
    axes.set_title("x, y and time")


def _raster(axes: Axes, events: Events) -> None:
    """Draw a mark for each event, or for one of several, at its time and channel."""
    every = -(-len(events) // MOST_MARKS)
    part = slice(None, None, every)
    t = (events.t[part] - events.t.min()) / 1000
    for label, chosen, colour in _by_polarity(events):
        axes.plot(
            t[chosen[part]],
            events.x[part][chosen[part]],
            linestyle="none",
            marker="|" if events.sensor[2] <= FEW_CHANNELS else ",",
            color=colour,
            label=label,
            rasterized=True,
        )
    axes.set_ylim(-0.5, events.sensor[2] - 0.5)
    axes.set_xlabel("ms")
    axes.set_ylabel("channel")
    axes.set_title("raster" if every == 1 else f"raster, every {every}th event")


def _channels(axes: Axes, events: Events) -> None:
    """Draw the number of events of each channel."""
    counts = event_image(events)[:, 0]
    edges = np.arange(events.sensor[2] + 1) - 0.5
    for part, (_, _, colour) in zip(counts[::-1], _by_polarity(events), strict=True):
        axes.stairs(part, edges, orientation="horizontal", color=colour)
    axes.tick_params(labelleft=False)
    axes.set_xlabel("events")
    axes.set_title("of each channel")


def _by_polarity(events: Events) -> list[tuple[str, npt.NDArray[np.bool_], str]]:
    """The name, events and colour of each polarity, ON first; of all events if there is one."""
    if events.sensor[0] == 1:
        return [("events", np.ones(len(events), np.bool_), OFF)]
    return [("ON", events.p > 0, ON), ("OFF", events.p == 0, OFF)]


def _rate(axes: Axes, events: Events) -> None:
    t = (events.t - events.t.min()) / 1000
    edges = np.linspace(0, max(float(t.max()), 1e-3), BINS + 1)
    width_s = (edges[1] - edges[0]) / 1000
    for label, chosen, colour in _by_polarity(events):
        counts, _ = np.histogram(t[chosen], edges)
        axes.stairs(counts / width_s / 1000, edges, color=colour, label=label)
    axes.set_xlabel("ms")
    axes.set_ylabel("thousand events/s")
    axes.set_title("rate")
    axes.legend(fontsize=8)


def _pauses(axes: Axes, events: Events, place: str = "pixel") -> None:
    """Draw the time from an event to the next of the same place and polarity."""
    order = np.lexsort((events.t, events.units()))
    units, t = events.units()[order], events.t[order]
    pauses = np.diff(t)[units[1:] == units[:-1]] / 1000
    pauses = pauses[pauses > 0]
    if len(pauses):
        edges = np.geomspace(pauses.min(), max(pauses.max(), pauses.min() * 1.01), BINS + 1)
        axes.hist(pauses, edges.tolist(), color=INK, alpha=0.7)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    axes.set_xlabel("ms")
    axes.set_ylabel("pauses")
    axes.set_title(f"time to the next event of a {place}")
