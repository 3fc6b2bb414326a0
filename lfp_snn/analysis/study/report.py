"""The report of a study: a page, figures, CSV and JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lfp_snn.analysis.pages import Illustration, write_page
from lfp_snn.analysis.study.findings import Findings
from lfp_snn.analysis.study.statistics import Paired, SeedMean
from lfp_snn.training.files import write_atomic, write_json

__all__ = ["DIFFERENCE", "UNKNOWN", "csv_text", "difference_cells", "mean_share", "write_findings"]

UNKNOWN = "\u2013"
#: Titles of the entries of :func:`difference_cells`.
DIFFERENCE = ("points", "95 % interval", "p", "p, Holm")


def write_findings(
    findings: Findings,
    folder: Path,
    *,
    files: Mapping[str, str],
    figures: Iterable[Illustration],
    template: str = "findings.html",
    **content: Any,
) -> Path:
    """Write ``report.html``, ``figures/``, ``results.json`` and tables into a folder.

    Args:
        findings: the findings that are told.
        folder: the folder to write to, which exists.
        files: the content of CSV files, by their names.
        figures: the figures of the page.
        template: the template of the page.
        content: everything else that the template names.

    Returns:
        The path of the page.

    Raises:
        RunError: something cannot be written.
    """
    write_json(folder / "results.json", findings.to_json())
    for name, text in files.items():
        write_atomic(folder / name, text.encode())
    told = {"failed": findings.failures, "conclusions": list(findings.conclusions())}
    return write_page(folder, template, figures, **told, **content)


def csv_text(titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table as the text of a CSV file."""
    file = io.StringIO()
    lines = csv.writer(file, lineterminator="\n")
    lines.writerow(titles)
    lines.writerows(rows)
    return file.getvalue()


def mean_share(found: SeedMean, digits: int = 1) -> str:
    """A mean of shares with its interval, which for few seeds may reach beyond what shares do.

    A share of something, such as of the accuracy before, may be more than the whole.
    """
    low, high = max(found.low, 0.0), min(found.high, max(1.0, found.value))
    return f"{found.value:.{digits}%} ({low:.{digits}%} to {high:.{digits}%})"


def difference_cells(pair: Paired) -> list[str]:
    """The cells of a paired difference of shares, below the titles :data:`DIFFERENCE`."""
    return [
        f"{100 * pair.difference:+.2f}",
        f"{100 * pair.low:+.2f} to {100 * pair.high:+.2f}",
        f"{pair.p:.3g}",
        f"{pair.adjusted:.3g}",
    ]
