"""Plain HTML for notebooks: tables and bars of networks and trainings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["bar", "paragraph", "table"]

_CELL = "text-align:left;padding:2px 12px 2px 0;"


def table(rows: Iterable[Sequence[str]], headings: Sequence[str] = ()) -> str:
    """A table of texts, which are escaped."""
    head = "".join(f'<th style="{_CELL}">{escape(each)}</th>' for each in headings)
    body = "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{escape(each)}</td>' for each in row) + "</tr>"
        for row in rows
    )
    top = f"<thead><tr>{head}</tr></thead>" if head else ""
    return f'<table style="border-collapse:collapse">{top}<tbody>{body}</tbody></table>'


def paragraph(text: str, strong: bool = False) -> str:
    """A line of text, which is escaped."""
    inner = escape(text)
    return f"<div>{f'<b>{inner}</b>' if strong else inner}</div>"


def bar(share: float, text: str) -> str:
    """A bar that is filled to a share in [0, 1], with a text beside it."""
    filled = f"{100 * min(max(share, 0.0), 1.0):.1f}%"
    return (
        '<div style="display:flex;align-items:center;gap:12px">'
        '<div style="width:240px;height:10px;border:1px solid #888">'
        f'<div style="width:{filled};height:100%;background:#4878a8"></div></div>'
        f"<span>{escape(text)}</span></div>"
    )
