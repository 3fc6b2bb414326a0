"""The report of a run: one HTML file that needs nothing else, and the figures beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from lfp_snn.analysis import plots
from lfp_snn.analysis.record import Record, read_run
from lfp_snn.training.files import write_atomic

__all__ = ["write_report"]

#: What result.json holds beside the figures of the result table.
_SHOWN_ELSEWHERE = frozenset({"confusion", "classes", "warnings", "firing", "baseline", "samples"})


def write_report(run_dir: Path) -> Path:
    """Write ``report.html`` and ``figures/*.png|svg`` from what a run directory holds.

    Reads config.yaml, run.json, metrics.jsonl, result.json and sample.npz, nothing else. A run
    without result.json gets a report that says that it has not finished.

    Args:
        run_dir: the run directory.

    Returns:
        The path of the report.

    Raises:
        RunError: the directory is no run, or one of its files is broken.
    """
    record = read_run(run_dir)
    folder = run_dir / "figures"
    folder.mkdir(exist_ok=True)
    figures = []
    for name, title, caption, figure in _figures(record):
        # Safe: matplotlib escapes every text that it writes into an SVG.
        svg = Markup(plots.inline(plots.save(figure, folder, name)))
        figures.append({"name": name, "title": title, "caption": caption, "svg": svg})
    path = run_dir / "report.html"
    write_atomic(path, _render(record, figures).encode())
    return path


def _figures(record: Record) -> Iterator[tuple[str, str, str, Figure]]:
    """Name, title, caption and figure of all that the run has data for."""
    result = record.result or {}
    classes = [str(name) for name in result.get("classes", ())]
    if record.history:
        yield (
            "accuracy",
            "Accuracy",
            "Training accuracy is read during an epoch, while the weights change; validation "
            "accuracy at its end. The star is the epoch whose weights were kept and tested.",
            plots.accuracy_curves(
                record.history, result.get("best_epoch"), _baseline(result).get("test_accuracy")
            ),
        )
        yield (
            "firing",
            "Firing rates",
            "Share of a layer's neurons that spike in a time step, mean over the epoch. A layer "
            "at zero is dead and learns nothing.",
            plots.firing_rates(record.history),
        )
    if record.sample is not None:
        yield (
            "raster",
            "One sample, layer by layer",
            "Every spike of one sample; in the output the true class is shaded and the spikes of "
            "each class are counted on the right.",
            plots.sample_raster(record.sample, classes),
        )
    if result.get("confusion"):
        yield (
            "confusion",
            "Confusion matrix",
            "Test samples: the true class in rows, the class that was read in columns.",
            plots.confusion_matrix(result["confusion"], classes),
        )


def _render(record: Record, figures: list[dict[str, Any]]) -> str:
    environment = Environment(
        loader=PackageLoader("lfp_snn.analysis"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda share: f"{share:.2%}"
    result = record.result or {}
    run = dict(record.run)
    data = run.pop("data", {})
    versions = run.pop("versions", {})
    tables = {
        "Result": {key: result[key] for key in result if key not in _SHOWN_ELSEWHERE},
        "Data": data,
        "Run": run,
        "Versions": versions,
        "Config": record.config,
    }
    return environment.get_template("report.html").render(
        name=record.name,
        source=data.get("source", ""),
        result=record.result,
        baseline=_baseline(result),
        tested=_size(result, data, "test"),
        warnings=result.get("warnings", ()),
        tables={title: list(_rows(content)) for title, content in tables.items() if content},
        figures=figures,
        epochs=[dict(_rows(epoch)) for epoch in record.history],
    )


def _baseline(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """``name`` and ``test_accuracy``, or nothing."""
    return result.get("baseline") or {}


def _size(result: Mapping[str, Any], data: Mapping[str, Any], part: str) -> int | None:
    sizes: Mapping[str, Any] = result.get("samples") or data.get("sizes") or {}
    return sizes.get(part)


def _rows(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted keys and readable values of nested mappings, as an override names them."""
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _rows(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _text(value)


def _text(value: Any) -> str:
    """As a config would have it."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)
