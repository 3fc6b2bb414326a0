"""The style of every figure, and how figures are written: as PNG, SVG and PDF.

Colours are told apart by colour-blind readers (Okabe and Ito 2008) and stand out on white as on
black paper; lines differ in dash and marker too. A figure is drawn in one of two looks:
``report`` for a page on a screen, ``paper`` for a figure over both columns of a journal. The fonts
of a PDF are embedded as TrueType (type 42), which publishers ask for, and its text stays text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from lfp_snn.training.files import write_atomic

__all__ = [
    "COLOURS",
    "INK",
    "LOOKS",
    "PAPER",
    "STYLES",
    "WIDTH",
    "as_bytes",
    "drawn_as",
    "inline",
    "new_figure",
    "save",
    "style",
]

#: Everything that is neither data nor paper: text, axes, grid.
INK = "#1f2328"
PAPER = "#fefefe"  # not quite white, so that white marks are told from it
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
#: Layers in turn: all colours with a solid line, then all with a dashed one, ...
STYLES = tuple((colour, dash) for dash, colour in product(("-", "--", ":"), COLOURS))
WIDTH = 7.2  # inches, a column of the report

_STYLE: dict[str, Any] = {
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": "medium",
    "figure.facecolor": PAPER,
    "font.size": 10,
    "grid.alpha": 0.15,
    "grid.color": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 4,
    "pdf.fonttype": 42,
    "savefig.dpi": 160,
    "svg.fonttype": "none",
    "text.color": INK,
    "text.parse_math": False,  # a class may be called "$"
    "xtick.color": INK,
    "ytick.color": INK,
}


@dataclass(frozen=True)
class FigureLook:
    """The width of a figure, and what of the style differs with it.

    Attributes:
        width: the width in inches of a figure that is as wide as the report's column.
        settings: settings of matplotlib.
    """

    width: float
    settings: dict[str, Any]


_PRINT: dict[str, Any] = {
    "axes.linewidth": 0.6,
    "font.size": 8,
    "figure.facecolor": "white",
    "lines.linewidth": 1.2,
    "lines.markersize": 3,
    "savefig.dpi": 600,
}
#: By the names that ``--style`` takes.
LOOKS = {
    "report": FigureLook(WIDTH, {}),
    "paper": FigureLook(7.0, _PRINT),
}
#: What else would differ from one writing to the next.
_METADATA = {
    "png": ("Software",),
    "svg": ("Date", "Creator", "Format", "Type"),
    "pdf": ("CreationDate", "Creator", "Producer"),
}
_look: ContextVar[FigureLook] = ContextVar("look", default=LOOKS["report"])


@contextmanager
def drawn_as(name: str) -> Iterator[None]:
    """Draw and write all figures of a ``with`` block in one of :data:`LOOKS`."""
    before = _look.set(LOOKS[name])
    try:
        yield
    finally:
        _look.reset(before)


@contextmanager
def style(**more: Any) -> Iterator[None]:
    """Draw figures of one style in a ``with`` block; ``more`` are settings of matplotlib."""
    settings: Any = {**_STYLE, **_look.get().settings, **more}  # the stubs list every key
    with mpl.rc_context(settings):
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of a size in inches, which a narrower look makes narrower, not lower."""
    look = _look.get()
    return Figure(figsize=(width * look.width / WIDTH, height), layout="constrained")


def save(figure: Figure, folder: Path, name: str) -> str:
    """Write ``folder/name.png``, ``.svg`` and ``.pdf``, on white paper; returns the SVG.

    Equal figures give equal bytes. The name keeps the ids of several figures on one page apart.

    Raises:
        RunError: a file cannot be written.
    """
    drawn = {kind: as_bytes(figure, kind, name) for kind in _METADATA}
    for kind, content in drawn.items():
        write_atomic(folder / f"{name}.{kind}", content)
    return drawn["svg"].decode()


def as_bytes(figure: Figure, kind: str, name: str = "figure") -> bytes:
    """A figure as the content of a file of a kind, such as ``pdf``; equal ones for equal figures.

    Raises:
        ValueError: matplotlib knows no such kind.
    """
    content = BytesIO()
    metadata: Any = dict.fromkeys(_METADATA.get(kind, ()))
    with style(**{"svg.hashsalt": name}):
        _lay_out(figure)
        figure.savefig(content, format=kind, metadata=metadata or None)
    return content.getvalue()


def _lay_out(figure: Figure) -> None:
    """Give everything on a figure its place, once for every kind of file.

    matplotlib does so at each writing, with a drawing of its own: a third of the time of all three.
    """
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine(None)


def inline(svg: str) -> str:
    """A saved SVG as an element of a page, on its paper and with ink in its text's colour."""
    svg = svg[svg.index("<svg") :].replace(PAPER, "none").replace(INK, "currentColor")
    # Groups are numbered alike in every figure and nothing refers to them.
    return re.sub(r'<g id="[^"]*"', "<g", svg)
