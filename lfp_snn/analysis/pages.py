"""Pages: HTML files that need nothing else, with the figures inside them and beside them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, UndefinedError
from markupsafe import Markup
from matplotlib.figure import Figure

from lfp_snn.analysis import style
from lfp_snn.training.files import write_atomic

__all__ = ["rows", "write_page"]

#: Name, title, caption and figure.
Illustration = tuple[str, str, str, Figure]


def write_page(
    folder: Path, template: str, illustrations: Iterable[Illustration], **content: Any
) -> Path:
    """Write ``report.html`` and ``figures/*.png|svg`` into a folder.

    Args:
        folder: the folder to write to.
        template: the name of a template in ``lfp_snn/analysis/templates``.
        illustrations: the figures, which the template gets as ``figures``.
        content: everything else that the template names.

    Returns:
        The path of the page.

    Raises:
        RunError: something cannot be written.
        LookupError: the content lacks what the template names.
    """
    (folder / "figures").mkdir(exist_ok=True)
    figures = []
    for name, title, caption, figure in illustrations:
        # Safe: matplotlib escapes every text that it writes into an SVG.
        svg = Markup(style.inline(style.save(figure, folder / "figures", name)))
        figures.append({"name": name, "title": title, "caption": caption, "svg": svg})
    environment = Environment(
        loader=PackageLoader("lfp_snn.analysis"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda share: f"{share:.2%}"
    try:
        page = environment.get_template(template).render(figures=figures, **content)
    except UndefinedError as error:  # which is none of Python's own
        raise LookupError(error.message) from error
    path = folder / "report.html"
    write_atomic(path, page.encode())
    return path


def rows(
    content: Mapping[str, Any], prefix: str = "", digits: int = 6
) -> Iterator[tuple[str, str]]:
    """The dotted keys and readable values of nested mappings, as an override names them.

    Args:
        content: the mappings.
        prefix: a text in front of every key.
        digits: the significant digits of numbers that are not whole.
    """
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from rows(value, f"{prefix}{key}.", digits)
        else:
            yield f"{prefix}{key}", _text(value, digits)


def _text(value: Any, digits: int) -> str:
    """A value as a config would have it."""
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)
