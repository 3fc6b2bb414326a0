"""Explanations as files for other programs: CSV and NPZ."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np

from lfp_snn.analysis.explain.explanation import Explanation
from lfp_snn.training.files import write_atomic

__all__ = ["write_arrays", "write_csv"]


def write_csv(explanation: Explanation, path: Path) -> None:
    """Write a CSV line for each event: t, x, y, p, relevance.

    Raises:
        RunError: the file cannot be written.
    """
    table = explanation.table
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\n")
    writer.writerow(("t", "x", "y", "p", "relevance"))
    columns = (table.t, table.x, table.y, table.p, table.relevance)
    writer.writerows(zip(*(column.tolist() for column in columns), strict=True))
    write_atomic(path, content.getvalue().encode())


def write_arrays(explanation: Explanation, path: Path) -> None:
    """Write an explanation as NPZ.

    It holds ``t``, ``x``, ``y``, ``p``, ``relevance`` ``[E]`` of the events and ``step``, to which
    time step each went; ``per_pixel`` ``[P, H, W]``, ``per_step`` ``[T]``, ``per_polarity``
    ``[P]``; ``neurons/<layer>``; ``scores`` ``[C]`` of what the network ``emits``, ``label``,
    ``prediction``, ``entered``, ``question``, ``method``, ``unit`` of t.

    Raises:
        RunError: the file cannot be written.
    """
    table, whole = explanation.table, explanation.relevance
    arrays: dict[str, Any] = {
        name: getattr(table, name) for name in ("t", "x", "y", "p", "relevance", "step", "unit")
    }
    arrays |= {
        "per_pixel": whole.sum(0),
        "per_step": whole.sum((1, 2, 3)),
        "per_polarity": whole.sum((0, 2, 3)),
    }
    arrays |= {f"neurons/{layer}": each for layer, each in explanation.neurons.items()}
    names = "scores", "emits", "label", "prediction", "entered", "question", "method"
    for name in names:
        arrays[name] = getattr(explanation, name)
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    write_atomic(path, content.getvalue())
