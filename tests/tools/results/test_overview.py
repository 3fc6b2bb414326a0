"""The overview says every comparison in a row: whose accuracy, on what, by which machine."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tools.results.made import MACHINE, arm, comparison
from tools.results.overview import overview
from tools.results.records import ComparisonRecord
from tools.results.tables import TableError


def made(command: str, **arms: Any) -> ComparisonRecord:
    return comparison(**arms).model_copy(update={"command": command})


def test_a_row_for_each_comparison() -> None:
    published = {"name": "lfp", "rule": {"name": "epsilon", "eps": 1e-6}}
    records = {
        "deep": made(
            "lfp-snn compare compare_nmnist_vgg model.norm=batch --learners lfp,surrogate",
            lfp=arm("rescale", 0.91, 0.93, 0.95),
            surrogate=arm("surrogate", 0.90, 0.93, 0.93),
        ),
        "small": made(
            "lfp-snn compare compare_digits", lfp=arm("lfp", 0.5, 0.7, learner=published)
        ),
        "own": made(
            "lfp-snn compare compare_mnist_norm",
            reference="rescale",
            rescale=arm("rescale", 0.5, 0.5),
        ),
    }
    table, machine, *notes = overview(records)
    assert machine.endswith(" Measured on Some processor, 2 cores, 1 thread.")
    assert table.splitlines()[0].startswith("| data | network | published LFP |")
    # Differences of 1, 0 and 2 points: Student's t with 2 degrees of freedom, 4.3027 / sqrt(3).
    assert table.splitlines()[2:] == [
        "| N-MNIST (700 / 100 / 200) | lif_vgg, width 0.25, batch norm | \u2013 "
        "| 93.0 % (88.0 to 98.0) | 92.0 % (87.7 to 96.3) | +1.0 (-1.5 to +3.5) "
        "| 3 ([record](records/deep.json)) |",
        "| DVS-digits (700 / 100 / 200) | mlp 128 | 60.0 % (0.0 to 100.0) <sup>1</sup> | \u2013 | "
        "\u2013 | \u2013 | 2 ([record](records/small.json)) |",
        "| MNIST (700 / 100 / 200) | 6 spiking layers, batch norm | \u2013 | 50.0 % (50.0 to 50.0) "
        "| \u2013 | \u2013 | 2 ([record](records/own.json)) |",
    ]
    assert [note[:13] for note in notes] == ["<sup>1</sup> "]
    assert "epsilon 1e-06" in notes[0]


def test_a_machine_that_differs_has_a_note() -> None:
    record = made("lfp-snn compare compare_digits", lfp=arm("lfp", 0.5, 0.7))
    other = MACHINE.model_copy(update={"processor": "AMD(R) EPYC(TM) Processor", "threads": 2})
    records = {"a": record, "b": record.model_copy(update={"machine": other}), "c": record}
    table, machine, *notes = overview(records)
    _, _, first, second, third = table.splitlines()
    assert machine.endswith(" on Some processor, 2 cores, 1 thread, unless a note says else.")
    assert notes[-1] == "<sup>1</sup> On AMD EPYC, 2 cores, 2 threads."
    assert second.endswith("<sup>1</sup> |")
    assert not any("<sup>1</sup> |" in each for each in (first, third))


def test_a_comparison_of_no_shipped_config_is_refused() -> None:
    records = {"mine": made("lfp-snn compare mine.yaml", lfp=arm("lfp", 0.5))}
    with pytest.raises(TableError, match="mine: lfp-snn compare mine.yaml cannot be read"):
        list(overview(records))
