"""``lfp-snn metrics``: NeuroBench's metrics of a run, and an estimate of energy."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import typer
from rich.console import Console

from lfp_snn.analysis.metrics import Metrics, measure
from lfp_snn.cli.own import opened
from lfp_snn.console import percent, progress_console, time_bar, two_columns
from lfp_snn.errors import ConfigError

__all__ = ["metrics"]


def metrics(
    run: Path,
    overrides: Sequence[str] | None,
    samples: int | None,
    as_json: bool,
    net: str | None,
    data: str | None,
) -> None:
    """Measure a run; see :func:`lfp_snn.cli.declared.metrics`."""
    trained = opened(run, overrides, net, data)
    test = trained.classified().test
    if samples is not None:
        if samples > len(test):
            raise ConfigError(f"--samples is {samples}, but the test set has {len(test)}.")
        test = test.subset(range(samples))
    # A file of its own: while NeuroBench runs, what it prints is kept from the terminal.
    with time_bar(progress_console(sys.stderr)) as bar:
        task = bar.add_task("measuring", total=len(test))
        found: Metrics = measure(trained.learner.net, test, lambda: bar.advance(task))
    if as_json:
        typer.echo(json.dumps(found.to_json()))
        return
    energy = found.energy
    rows = [
        ("accuracy", f"{percent(found.accuracy, 2)}  of {len(test)}"),
        ("footprint", f"{found.footprint:,} bytes, {found.parameters:,} parameters"),
        ("connection sparsity", percent(found.connection_sparsity, 2)),
        ("activation sparsity", percent(found.activation_sparsity, 2)),
        ("synaptic operations", f"{found.synaptic_operations_dense:,.0f} dense, a sample"),
        ("  effective", f"{found.effective_acs:,.0f} ACs, {found.effective_macs:,.0f} MACs"),
        ("membrane updates", f"{found.membrane_updates:,.0f} of {found.neuron_steps:,.0f}"),
        ("energy, ESTIMATED", "a sample; published constants, see lfp_snn.analysis.energy"),
        ("  inference, 45 nm", f"{_micro(energy.inference_45nm)}, event-driven"),
        ("", f"{_micro(energy.inference_dense_45nm)}, dense"),
        ("  inference, Loihi", _micro(energy.inference_loihi)),
        ("  training, 45 nm", f"{_micro(energy.lfp_step_45nm)}, LFP"),
        ("", f"{_micro(energy.bptt_sparse_step_45nm)}, BPTT that skips zeros where it can"),
        ("", f"{_micro(energy.bptt_dense_step_45nm)}, BPTT as frameworks compute it"),
    ]
    Console().print(two_columns(rows))


def _micro(joules: float) -> str:
    return f"{joules * 1e6:,.2f} uJ"
