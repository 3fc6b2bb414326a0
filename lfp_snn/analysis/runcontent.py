"""The content of a run directory, read back for a report.

A run that was interrupted, or still goes on, is read as far as it got.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lfp_snn.data.formats.arrays import load_arrays
from lfp_snn.errors import ConfigError, DataError, RunError
from lfp_snn.training.configfile import read_mapping
from lfp_snn.training.files import read_json
from lfp_snn.training.observer import SampleSpikes
from lfp_snn.training.rundir import RunDir
from lfp_snn.unpacking import reading

__all__ = ["RunContent", "read_run"]


_MOST_SPIKES = 1 << 20  # of a sample


@dataclass(frozen=True)
class RunContent:
    """The content of a run directory.

    Attributes:
        name: the name of the directory.
        config: the resolved config.
        run: the versions, seed, command, device and data.
        history: one mapping for each epoch, ascending.
        result: the result of the finished run; ``None`` if it has not finished.
        sample: the spikes of one sample; ``None`` if none was kept.
    """

    name: str
    config: Mapping[str, Any]
    run: Mapping[str, Any]
    history: tuple[Mapping[str, Any], ...]
    result: Mapping[str, Any] | None
    sample: SampleSpikes | None


def read_run(run_dir: Path) -> RunContent:
    """Read config.yaml, run.json, metrics.jsonl, result.json and sample.npz of a run.

    The last three appear as the run goes on, and may be missing.

    Raises:
        RunError: the directory is no run, or one of its files is broken.
    """
    run = RunDir.open(run_dir)
    sample = run_dir / "sample.npz"
    return RunContent(
        name=run_dir.resolve().name,
        config=_read_config(run.config),
        run=_mapping(run.info, read_json(run.info)),
        history=tuple(run.read_metrics()),
        result=_mapping(run.result, read_json(run.result)) if run.result.exists() else None,
        sample=_read_sample(sample) if sample.exists() else None,
    )


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _mapping(path: Path, content: Any) -> Mapping[str, Any]:
    if not isinstance(content, dict):
        raise RunError(f"{path} holds {type(content).__name__}, expected keys with values.")
    return content


def _read_config(path: Path) -> Mapping[str, Any]:
    try:
        return read_mapping(path)
    except ConfigError as error:
        raise RunError(_line(error)) from error


def _read_sample(path: Path) -> SampleSpikes:
    try:
        with reading(path):
            arrays = load_arrays(path)
            layers = [str(name) for name in arrays["layers"]]
            sample = SampleSpikes(
                label=int(arrays["label"]),
                prediction=int(arrays["prediction"]),
                spikes={name: arrays[f"spikes/{name}"].astype(bool) for name in layers},
            )
    except DataError as error:
        raise RunError(
            f"{path} is not a sample (label, prediction, layers, spikes/<layer>): {_line(error)}."
        ) from error
    shapes = {layer.shape[:1] for layer in sample.spikes.values() if layer.ndim == 2}
    if len(shapes) != 1 or any(layer.ndim != 2 for layer in sample.spikes.values()):
        raise RunError(f"{path} is not a sample: its layers are not [T, units] of one T.")
    if sum(np.count_nonzero(layer) for layer in sample.spikes.values()) > _MOST_SPIKES:
        raise RunError(f"{path} has more than {_MOST_SPIKES} spikes, more than can be drawn.")
    return sample
