"""The tables that ``python -m benchmarks steps`` prints."""

from __future__ import annotations

from typing import Any

from rich.markup import escape
from rich.table import Table

from benchmarks.steps.contenders import OURS
from benchmarks.steps.epoch import Epoch
from benchmarks.steps.memory import Peaks
from benchmarks.steps.suite import Outcome
from benchmarks.steps.sweeps import Series
from benchmarks.steps.timing import StepTimes
from lfp_snn.console import percent

__all__ = ["machine_lines", "outcome"]

MEBIBYTE = 2**20


def outcome(result: Outcome) -> Table | str:
    """The table or line to print of a result."""
    if isinstance(result, StepTimes):
        return _steps_table(result)
    if isinstance(result, Peaks):
        return _peaks_table(result)
    if isinstance(result, Series):
        return _series_table(result)
    return _epoch_line(result)


def machine_lines(machine: dict[str, Any]) -> str:
    """The lines about processor, load and versions."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads; "
        f"load {machine['load']:.1f}\npython {machine['python']}, {versions}"
    )


def _epoch_line(epoch: Epoch) -> str:
    """A line about an epoch of MNIST."""
    return (
        f"MNIST, 784-1000-10, T={epoch.steps}, batch {epoch.batch}, constant current: "
        f"{epoch.seconds:.2f} s for {epoch.images} images, loader and Adam included "
        f"({percent(epoch.accuracy)} read right on the way)"
    )


def _steps_table(comparison: StepTimes) -> Table:
    table = _table(
        f"training step, {_title(comparison.facts)}",
        "ms",
        "fastest to slowest",
        "samples/s",
        "x ours",
        "firing of each population",
    )
    for name, each in comparison.measured.items():
        table.add_row(
            name,
            _ms(each.median),
            f"{_ms(min(each.seconds))} to {_ms(max(each.seconds))}",
            f"{comparison.facts['batch'] / each.median:,.0f}",
            f"{comparison.ratio(name):.2f}",
            "  ".join(map(percent, each.firing)),
        )
    _add_left_out(table, comparison.left_out)
    before, after = comparison.load
    table.caption = (
        f"medians of {comparison.rounds} interleaved steps after {comparison.warmup} of warm-up; "
        f"dense input of the others made beforehand; load {before:.1f} to {after:.1f}"
    )
    return table


def _peaks_table(peaks: Peaks) -> Table:
    title = f"peak memory of a step above weights and input, {_title(peaks.facts)}"
    table = _table(title, "MiB", "x ours")
    for name, size in peaks.bytes.items():
        ratio = f"{peaks.ratio(name):.2f}" if OURS in peaks.bytes else "?"
        table.add_row(name, f"{size / MEBIBYTE:.1f}", ratio)
    _add_left_out(table, peaks.left_out)
    table.caption = "fresh process each, resident size, kernels loaded before"
    return table


def _series_table(series: Series) -> Table:
    names = series.names()
    facts = series.points[0][1].facts
    table = _table(f"{series.sweep.label}, {series.network}, synthetic input; ms a step", *names)
    for value, comparison in series.points:
        table.add_row(f"{value:g}", *(_ms(comparison.measured[name].median) for name in names))
    table.add_section()
    table.add_row("slope", *(f"{series.slope(name):z.2f}" for name in names))
    loads = [load for _, comparison in series.points for load in comparison.load]
    fixed = {"T": "steps", "batch": "batch"}
    same = [
        f"{name}={facts[key]}"
        for name, key in fixed.items()
        if len({comparison.facts[key] for _, comparison in series.points}) == 1
    ]
    table.caption = f"{', '.join(same)}; load {min(loads):.1f} to {max(loads):.1f}"
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=escape(title), title_justify="left", caption_justify="left")
    table.add_column("", no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _add_left_out(table: Table, left_out: dict[str, str]) -> None:
    """Add a row for each contender left out; a long reason below the table would get lost."""
    for name, reason in left_out.items():
        table.add_row(name, escape(f"left out: {reason}"))


def _title(facts: dict[str, Any]) -> str:
    hidden = "".join(f" {size}" for size in facts.get("hidden", ()))
    return (
        f"{facts['model']}{hidden}, batch {facts['batch']}, T={facts['steps']}; "
        f"{percent(facts['input_activity'])} of the input active ({facts['input']})"
    )


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.1f}"
