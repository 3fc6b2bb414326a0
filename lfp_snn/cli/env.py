"""``lfp-snn env``: versions, devices, and which backends can run."""

from __future__ import annotations

import json
from typing import Any

import torch
import typer

from lfp_snn import __version__
from lfp_snn.backends.support import BACKENDS, interpreted, unavailable

__all__ = ["env", "environment"]


def environment() -> dict[str, Any]:
    """The versions, devices, and for each backend and device why it cannot run there (or None)."""
    # Imported here, since the other commands need none of it.
    from lfp_snn.analysis.machine import machine

    here = machine()
    devices = {"cpu": f"{here['processor']}, {here['cores']} cores, {here['threads']} threads"}
    for index in range(torch.cuda.device_count()):
        known = torch.cuda.get_device_properties(index)
        devices[f"cuda:{index}"] = (
            f"{known.name}, {known.total_memory / 2**30:.1f} GiB, compute capability "
            f"{known.major}.{known.minor}"
        )
    kinds = [torch.device("cpu"), torch.device("cuda")]
    return {
        "lfp_snn": __version__,
        "python": here["python"],
        "system": here["system"],
        "versions": here["versions"],
        "cuda": torch.version.cuda,
        "triton_interpreted": interpreted(),
        "devices": devices,
        "backends": {
            backend: {kind.type: unavailable(backend, kind) for kind in kinds}
            for backend in BACKENDS
        },
    }


def env(as_json: bool) -> None:
    """Print versions, devices and backends; see :func:`lfp_snn.cli.declared.env`."""
    found = environment()
    if as_json:
        typer.echo(json.dumps(found))
        return
    typer.echo(f"lfp_snn {found['lfp_snn']}, python {found['python']}, {found['system']}")
    typer.echo(", ".join(f"{name} {version}" for name, version in found["versions"].items()))
    typer.echo(f"torch built for CUDA {found['cuda']}" if found["cuda"] else "torch without CUDA")
    typer.echo("\ndevices")
    for name, description in found["devices"].items():
        typer.echo(f"  {name:<8} {description}")
    typer.echo("\nbackends")
    for backend, reasons in found["backends"].items():
        for kind, reason in reasons.items():
            typer.echo(f"  {backend:<7} on {kind:<5} {'can run' if reason is None else reason}")
