"""``lfp-snn export`` and ``lfp-snn import``: networks to and from other programs."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from lfp_snn.analysis.exchange.finetune import quantise_run
from lfp_snn.analysis.exchange.nir_export import meaning_lost, nir_bytes, to_nir
from lfp_snn.analysis.exchange.onnx_export import to_onnx
from lfp_snn.analysis.exchange.weights import weights_bytes
from lfp_snn.cli.arguments import ExportFormat
from lfp_snn.cli.own import opened
from lfp_snn.cli.shipped import find_config
from lfp_snn.console import folder_for, percent, shown, two_columns
from lfp_snn.engine import TemporalLFP
from lfp_snn.errors import RunError
from lfp_snn.learners.lfp import LFP, LFPOptions
from lfp_snn.models.nir import load_nir
from lfp_snn.shipped import outputs_of_run
from lfp_snn.training import TrainedRun, evaluate, load_config
from lfp_snn.training.assembly import load_classes
from lfp_snn.training.files import write_atomic

__all__ = ["export", "import_network"]


SUFFIX = {ExportFormat.int8: "int8.npz"}


def export(
    run: Path,
    overrides: Sequence[str] | None,
    to: ExportFormat,
    out: Path | None,
    force: bool,
    finetune: int,
    net: str | None,
    data: str | None,
) -> None:
    """Write a network in a format of exchange; see :func:`lfp_snn.cli.declared.export`."""
    if finetune and to is not ExportFormat.int8:
        raise RunError("--finetune is for --to int8; the other formats change no weights.")
    target = out or outputs_of_run(run) / f"network.{SUFFIX.get(to, to.value)}"
    if target.exists() and not force:
        raise RunError(f"{target} exists already: name another file with --out, or use --force.")
    trained = opened(run, overrides, net, data)
    content, rows = _content(trained, to, finetune)
    folder_for(target.parent)
    write_atomic(target, content)
    Console().print(two_columns(rows))
    typer.echo(f"written to {shown(target)}")


def _content(
    trained: TrainedRun, to: ExportFormat, finetune: int
) -> tuple[bytes, list[tuple[str, str]]]:
    """The content to write, and the lines to tell."""
    net, shape = trained.learner.net, trained.input_shape
    if to is ExportFormat.nir:
        graph = to_nir(net, shape)
        return nir_bytes(graph), [("note", line) for line in meaning_lost(net)]
    if to is ExportFormat.onnx:
        return to_onnx(net, shape), []
    if to is ExportFormat.safetensors:
        return weights_bytes(net, trained.model, shape, trained.classes), []
    return _int8(trained, finetune)


def _int8(trained: TrainedRun, finetune: int) -> tuple[bytes, list[tuple[str, str]]]:
    quantised = quantise_run(trained, trained.classified(), finetune)
    info: dict[str, Any] = {"classes": trained.classes, "test_accuracy": quantised.to_json()}
    rows = [
        ("test accuracy, float32", percent(quantised.before, 2)),
        ("test accuracy, int8", percent(quantised.rounded, 2)),
    ]
    if finetune:
        rows.append(("test accuracy, int8 fine-tuned", percent(quantised.after, 2)))
    return quantised.network.integer(info).to_bytes(), rows


def import_network(
    file: Path,
    config: str | None,
    overrides: Sequence[str] | None,
    dt: float | None,
    as_json: bool,
) -> None:
    """Read a network from NIR; see :func:`lfp_snn.cli.declared.import_network`."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UserWarning)
        net = load_nir(file, dt).eval()
    for each in told:
        typer.echo(f"note: {each.message}", err=True)
    accuracy = None
    if config is not None:
        settings = load_config(find_config(config), overrides or ())
        learner = LFP.from_options(net, LFPOptions())
        accuracy = evaluate(learner, load_classes(settings).test, settings.batch_size).accuracy
    if as_json:
        typer.echo(json.dumps({"input_shape": list(net.input_shape), "test_accuracy": accuracy}))
        return
    typer.echo(repr(TemporalLFP(net)))
    if accuracy is not None:
        typer.echo(f"test accuracy  {percent(accuracy, 2)}")
