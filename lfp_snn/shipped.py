"""The trained networks that the package ships, as run directories that ``hub:NAME`` names.

Each is a folder of ``lfp_snn/hub`` with what opening a run needs (``config.yaml``, ``run.json``,
``checkpoints/best.safetensors``) and a model card, ``card.yaml``. Wherever a run is taken, the
folder stands for it, so that nothing but this module knows of the prefix.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from lfp_snn.errors import RunError
from lfp_snn.options import nearest

__all__ = ["is_shipped", "located", "outputs_of_run", "shipped_networks"]

_PREFIX = "hub:"


def shipped_networks() -> dict[str, Path]:
    """The run directories of the shipped networks, by name."""
    folder = Path(str(resources.files("lfp_snn"))) / "hub"
    return {path.parent.name: path.parent for path in sorted(folder.glob("*/card.yaml"))}


def is_shipped(run: Path | str) -> bool:
    """Whether ``run`` names a shipped network, by ``hub:NAME``."""
    return str(run).startswith(_PREFIX)


def located(run: Path | str) -> Path:
    """The run directory that is meant by its path or by ``hub:NAME``.

    Raises:
        RunError: no shipped network has that name, or it is written without ``hub:``.
    """
    if not is_shipped(run):
        if str(run) in shipped_networks() and not Path(run).exists():
            raise RunError(f"There is no run {run}; did you mean {_PREFIX}{run}?")
        return Path(run)
    name, shipped = str(run).removeprefix(_PREFIX), shipped_networks()
    if name not in shipped:
        guess = nearest(name, shipped)
        hint = f"did you mean {_PREFIX}{guess}? " if guess else ""
        raise RunError(
            f"There is no shipped network {_PREFIX}{name}; {hint}shipped are {', '.join(shipped)}."
        )
    return shipped[name]


def outputs_of_run(run: Path | str) -> Path:
    """The folder for what is made of a run: its own, or ``runs/NAME`` for a shipped network."""
    return Path("runs") / str(run).removeprefix(_PREFIX) if is_shipped(run) else Path(run)
