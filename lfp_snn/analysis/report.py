"""The report of a run: one HTML file that needs nothing else, and the figures beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lfp_snn.analysis import plots
from lfp_snn.analysis.pages import Illustration, rows, write_page
from lfp_snn.analysis.runcontent import RunContent, read_run
from lfp_snn.errors import RunError
from lfp_snn.unpacking import reading

__all__ = ["write_report"]

#: Test samples of a class below which a report says that they are few.
FEW = 10
#: What result.json holds beside the figures of the result table.
_SHOWN_ELSEWHERE = frozenset(
    {"confusion", "classes", "warnings", "firing", "baseline", "samples", "layers"}
)


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
    # A run may come from anywhere, and has texts where numbers should be, or curves of no length.
    with reading(run_dir, "run that can be reported", RunError):
        record = read_run(run_dir)
        return write_page(run_dir, "report.html", _figures(record), **_content(record))


def _figures(record: RunContent) -> Iterator[Illustration]:
    """The figures of a run, with name, title and caption, as far as it has data."""
    result = record.result or {}
    classes = [str(name) for name in result.get("classes", ())]
    if any(epoch.get("val_error") is not None for epoch in record.history):
        yield (
            "error",
            "Error",
            "Root of the mean squared difference of outputs and targets, on the validation part.",
            plots.error_curve(record.history),
        )
    if any(epoch.get("train_accuracy") is not None for epoch in record.history):
        validated = any(epoch.get("val_accuracy") is not None for epoch in record.history)
        yield (
            "accuracy",
            "Accuracy",
            "Training accuracy is read during an epoch, while the weights change; validation "
            "accuracy at its end. "
            + (
                "The star is the epoch whose weights were kept and tested."
                if validated
                else "Nothing validated: the weights of the last epoch were tested."
            ),
            plots.accuracy_curves(
                record.history, result.get("best_epoch"), _baseline(result).get("test_accuracy")
            ),
        )
    if record.history:
        yield (
            "firing",
            "Firing rates",
            "Share of a layer's neurons that spike in a time step, mean over the epoch. A layer "
            "at zero is dead and learns nothing. A readout, which is read by its membranes, is "
            "not among them.",
            plots.firing_rates(record.history),
        )
    if record.sample is not None:
        yield (
            "raster",
            "One sample, layer by layer",
            "Every spike of one sample; in the output the true class is shaded and the spikes of "
            "each class are counted on the right. A readout never spikes: its membranes are read.",
            plots.sample_raster(record.sample, classes),
        )
    if result.get("confusion"):
        yield (
            "confusion",
            "Confusion matrix",
            "Test samples: the true class in rows, the class that was read in columns.",
            plots.confusion_matrix(result["confusion"], classes),
        )


def _content(record: RunContent) -> dict[str, Any]:
    """The content that the template names."""
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
    return {
        "name": record.name,
        "source": data.get("source", ""),
        "result": record.result,
        "baseline": _baseline(result),
        "tested": _size(result, data, "test"),
        "warnings": [*result.get("warnings", ()), *_cautions(result, data)],
        "tables": {title: list(rows(content)) for title, content in tables.items() if content},
        "epochs": [dict(rows(epoch)) for epoch in record.history],
    }


def _cautions(result: Mapping[str, Any], data: Mapping[str, Any]) -> Iterator[str]:
    """What a small test part leaves of a figure."""
    tested, classes = _size(result, data, "test"), len(result.get("classes", ()))
    if tested and classes and tested < FEW * classes:
        yield (
            f"Few samples: the test part has {tested} of {classes} classes, and each of them is "
            f"{100 / tested:.2g} points of the test accuracy. Look at several splits before you "
            f"trust it, or compare it with another."
        )


def _baseline(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """The ``name`` and ``test_accuracy`` of the baseline, or nothing."""
    return result.get("baseline") or {}


def _size(result: Mapping[str, Any], data: Mapping[str, Any], part: str) -> int | None:
    sizes: Mapping[str, Any] = result.get("samples") or data.get("sizes") or {}
    return sizes.get(part)
