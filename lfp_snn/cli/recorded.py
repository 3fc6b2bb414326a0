"""What is said of a recording that a user names: where it reaches on the sensor of the network."""

from __future__ import annotations

from pathlib import Path

import typer

from lfp_snn.data import Batch
from lfp_snn.spikes import Spikes

__all__ = ["tell_of_corner"]

#: The share of both sides of the sensor that a recording of it reaches at least, in all likelihood.
_REACHED = 0.75


def tell_of_corner(file: Path, batch: Batch) -> None:
    """Say on stderr that a recording lies in a corner of the sensor, as one of a smaller one does.

    Args:
        file: the file of the recording.
        batch: the recording as the network takes it.
    """
    if not isinstance(batch.x, Spikes) or len(batch.x.feature_shape) != 3 or not batch.x.nnz:
        return
    height, width = batch.x.feature_shape[1:]
    pixels = batch.x.indices.long() % (height * width)
    rows, columns = int(pixels.max()) // width + 1, int((pixels % width).max()) + 1
    if rows < _REACHED * height and columns < _REACHED * width:
        typer.echo(
            f"note: {file} has events in {columns} x {rows} of {width} x {height} pixels: a "
            "recording of a smaller sensor is read as the corner of the network's, and nothing is "
            "centred or scaled.",
            err=True,
        )
