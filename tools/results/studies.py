"""Tables of what ``lfp-snn convergence`` has left in its folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from benchmarks._tables import Cell, PrintedColumn

__all__ = ["CONVERGENCE", "convergence_rows"]

CONVERGENCE = (
    PrintedColumn("rule"),
    PrintedColumn("depth"),
    PrintedColumn("cosine at the start, from the output to the first layer", "each", 2, sign=True),
    PrintedColumn("at the end", "each", 2, sign=True),
    PrintedColumn("output less first layer, at the end", "bounds", 2, sign=True),
    PrintedColumn("p", digits=3),
    PrintedColumn("test, %", "bounds"),
)


def convergence_rows(found: Mapping[str, Any]) -> list[list[Cell]]:
    """The rows of a convergence study below :data:`CONVERGENCE`; those of failed cases say so.

    Args:
        found: what its ``results.json`` holds.
    """
    falls = {(fall["rule"], fall["depth"]): fall for fall in found["falls"]}
    return [list(_row(case, falls)) for case in found["cases"]]


def _row(case: Mapping[str, Any], falls: Mapping[tuple[str, str], Any]) -> Iterator[Cell]:
    yield from (case["rule"], case["depth"])
    test = case["test_accuracy"]
    if test is None:
        yield from ("failed", None, None, None, None)
        return
    yield _from_output(case["start"])
    yield _from_output(case["end"])
    fall = falls.get((case["rule"], case["depth"]))
    yield [fall["difference"], fall["low"], fall["high"]] if fall else None
    yield fall["adjusted"] if fall else None
    low, high = max(test["low"], 0.0), min(test["high"], 1.0)
    yield [100 * test["value"], 100 * low, 100 * high]


def _from_output(cosines: Sequence[Sequence[float | None]]) -> list[float]:
    """The means over the seeds ``[seeds][layers]``, of the last layer first.

    Of a layer that had no update in a seed, the other seeds count.
    """
    by_layer = [
        [each for each in layer if each is not None] for layer in zip(*cosines, strict=True)
    ]
    return [fmean(layer) for layer in reversed(by_layer)]
