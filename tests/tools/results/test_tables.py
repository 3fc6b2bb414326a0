"""Tables say the figures of records, and where they come from."""

from __future__ import annotations

from datetime import date

import pytest

from benchmarks._tables import TRAINING, PrintedColumn
from tests.tools.results.made import MACHINE, PARTS, arm, comparison
from tools.results.records import PrintedRecord, RunsRecord, StepRow, StepsRecord, TableRecord
from tools.results.tables import FORMS, TableError


def test_a_comparison_has_a_column_for_each_learner() -> None:
    record = comparison(
        "surrogate",
        lfp=arm("lfp", 0.80, 0.82, 0.84),
        rescale=arm("rescale", 0.90, 0.92, 0.94),
        surrogate=arm("surrogate", 0.90, 0.93, 0.93),
    )
    table, how = FORMS["comparison"]({"made": record})
    # Means, Student's t with 2 degrees of freedom (4.3027) and p by hand; Holm doubles the smaller.
    assert table.splitlines() == [
        "| | published rule (epsilon 0.1) | `rescale` | surrogate |",
        "| --- | --- | --- | --- |",
        "| test accuracy, mean of 3 seeds, 95 % interval | 82.0 % (77.0 to 87.0) "
        "| 92.0 % (87.0 to 97.0) | 92.0 % (87.7 to 96.3) |",
        "| surrogate minus it, points, 95 % interval | +10.0 (+7.5 to +12.5), p = 0.0066 "
        "| +0.0 (-2.5 to +2.5), p = 1 | |",
        "| best trial of the search, validation | 90.0 % | 90.0 % | 90.0 % |",
        "| what the search chose | lr 0.00354 | lr 0.00354 | lr 0.00354 |",
        "| training, s | 10 | 10 | 10 |",
    ]
    assert how == (
        "`lfp-snn compare made data.root=...`: 700 / 100 / 200 samples to train, validate and "
        "test, 8 trials of 4 of the 12 epochs for each learner, then 3 seeds; 2 cores of Some "
        "processor, one thread, load 0.2 to 0.4, 2026-01-02 ([record](records/made.json))."
    )


def test_learners_are_called_as_the_field_calls_them() -> None:
    record = comparison(lfp=arm("lfp", 0.8, 0.9), rstdp=arm("rstdp", 0.5, 0.6))
    title = next(iter(FORMS["comparison"]({"made": record}))).partition("\n")[0]
    assert title == "| | published rule (epsilon 0.1) | R-STDP |"


def test_the_time_to_the_target_is_told_where_all_seeds_came_there() -> None:
    record = comparison(
        target=0.85,
        lfp=arm("lfp", 0.8, 0.9, to_target_s=[2.0, 4.0]),
        rescale=arm("rescale", 0.8, 0.9, to_target_s=[2.0, None]),
        surrogate=arm("surrogate", 0.7, 0.7, to_target_s=[None, None]),
    )
    table, _ = FORMS["comparison"]({"made": record})
    told = "| until 85.0 % on validation, s | 3.0 | 1 of 2 came there | none of 2 came there |"
    assert told in table.splitlines()
    unknown = record.model_copy(update={"machine": MACHINE.model_copy(update={"load": None})})
    assert "until" not in next(iter(FORMS["comparison"]({"made": unknown})))


def test_times_of_a_busy_machine_say_so_and_unknown_ones_are_left_out() -> None:
    record = comparison(lfp=arm("lfp", 0.8, 0.9))
    busy = record.model_copy(update={"machine": MACHINE.model_copy(update={"load": (1.0, 9.0)})})
    unknown = record.model_copy(update={"machine": MACHINE.model_copy(update={"load": None})})
    table, how = FORMS["comparison"]({"made": busy})
    assert "| training, s | 10 |" in table
    assert "load 1.0 to 9.0, so that times compare only with each other" in how
    table, how = FORMS["comparison"]({"made": unknown})
    assert "training, s" not in table
    assert "load unknown" in how


def test_intervals_end_where_shares_do_and_failures_are_told() -> None:
    failed = arm("surrogate", failed={"search": "no memory"})
    table, how = FORMS["comparison"](
        {"made": comparison(lfp=arm("lfp", 1.0, 0.9), surrogate=failed)}
    )
    assert "| 95.0 % (31.5 to 100.0) | failed |" in table
    assert how.endswith(" surrogate, search: no memory.")


def test_learners_of_one_label_keep_their_names() -> None:
    other = arm("rescale", 0.8, 0.9)
    table, _ = FORMS["comparison"]({"made": comparison("one", one=other, two=other)})
    assert table.startswith("| | `one` | `two` |\n")


def test_comparisons_of_the_same_learners_have_a_row_each() -> None:
    pair = comparison(lfp=arm("lfp", 0.8, 0.9), rescale=arm("rescale", 0.7, 0.85))
    table, how = FORMS["comparisons"]({"one": pair, "two": pair})
    title, _, first, second = table.splitlines()
    assert title == (
        "| | published rule (epsilon 0.1) | `rescale` "
        "| published rule (epsilon 0.1) minus `rescale`, points, 95 % interval |"
    )
    assert first.replace("`one`", "`two`") == second
    assert "+7.5 (-24.3 to +39.3), p = 0.2" in first
    assert how.count("([record](records/") == 2
    three = comparison(
        lfp=arm("lfp", 0.8, 0.9), rescale=arm("rescale", 0.7, 0.85), sur=arm("surrogate", 0.6, 0.7)
    )
    title, _, row = next(FORMS["comparisons"]({"one": three})).splitlines()
    assert title.count(" minus ") == 2 and title.endswith(
        " minus surrogate, points, 95 % interval |"
    )
    assert row.count("), p ") == 2 and "| +20.0 (+20.0 to +20.0), p < 0.001 |" in row


def test_comparisons_of_other_learners_do_not_stand_in_one_table() -> None:
    pair = comparison(lfp=arm("lfp", 0.8), rescale=arm("rescale", 0.7))
    alone = comparison(lfp=arm("lfp", 0.8))
    with pytest.raises(TableError, match="expected comparisons of the same learners"):
        list(FORMS["comparisons"]({"one": pair, "two": alone}))
    turned = comparison("rescale", lfp=arm("lfp", 0.8), rescale=arm("rescale", 0.7))
    with pytest.raises(TableError, match="one: expected the first learner, lfp, to be"):
        list(FORMS["comparisons"]({"one": turned}))


def test_steps_have_a_row_for_each_network() -> None:
    record = StepsRecord(
        command="python -m benchmarks steps --root data",
        date=date(2026, 1, 2),
        machine=MACHINE,
        rows=[
            StepRow(network="mlp", unit="ms", values={"ours": 12.5, "bptt": 125.0}, left_out={}),
            StepRow(network="csnn", unit="MiB", values={"ours": 2.0}, left_out={"bptt": "no"}),
        ],
    )
    table, how = FORMS["steps"]({"made": record})
    assert table.splitlines() == [
        "| | ours | bptt |",
        "| --- | --- | --- |",
        "| mlp | 12.5 ms | 125 ms, 10.0x |",
        "| csnn | 2.0 MiB | \u2013 |",
    ]
    assert how.startswith("- `python -m benchmarks steps --root ...`: 2 cores of Some processor")


def test_runs_have_a_row_each_with_times_of_an_idle_machine() -> None:
    record = RunsRecord(
        command="lfp-snn train made",
        date=date(2026, 1, 2),
        machine=MACHINE,
        parts=PARTS,
        epochs=12,
        seeds=[0, 1],
        test=[0.9, 0.8],
        validation=[0.7, None],
        training_s=[12.0, 14.0],
    )
    table, how = FORMS["runs"]({"made": record})
    assert table.splitlines()[2] == (
        "| `lfp-snn train made` ([record](records/made.json)) | 700 / 100 / 200 "
        "| 85.0 % (80.0 to 90.0) | | 13 (12 to 14) |"
    )
    assert how.startswith("Mean and range over the seeds 0, 1; 2 cores of Some processor")
    loads = [(0.5, 2.0), (0.1, 1.0)]
    machines = [MACHINE.model_copy(update={"load": load}) for load in loads]
    runs = [record.model_copy(update={"machine": machine}) for machine in machines]
    _, how = FORMS["runs"](dict(zip("ab", runs, strict=True)))
    assert how.count("Some processor") == 1 and how.endswith("load 0.1 to 2.0.")
    busy = record.model_copy(update={"machine": MACHINE.model_copy(update={"load": None})})
    table, _ = FORMS["runs"]({"made": record, "busy": busy})
    assert "training" not in table


def test_of_what_was_printed_the_tables_are_shown() -> None:
    record = PrintedRecord(
        command="python -m benchmarks made --root here",
        date=date(2026, 1, 2),
        machine=MACHINE,
        lines=["load average 1", "", "| a |", "| --- |", "| 1 |", "", "words"],
    )
    table, how = FORMS["printed"]({"made": record})
    assert table == "| a |\n| --- |\n| 1 |"
    assert how.startswith("`python -m benchmarks made --root ...`: 2 cores")


def test_a_table_is_shown_as_its_columns_say() -> None:
    record = TableRecord(
        command="python -m benchmarks made --root here",
        date=date(2026, 1, 2),
        machine=MACHINE,
        columns=[
            PrintedColumn("way"),
            PrintedColumn("test, %"),
            PrintedColumn("ahead", "bounds", sign=True),
        ],
        rows=[["lfp", [90.0, 92.0], None], ["other", 80.0, [1.0, -0.5, 2.5]]],
    )
    table, how = FORMS["table"]({"made": record})
    assert table.splitlines() == [
        "| way | test, % | ahead |",
        "| --- | --- | --- |",
        "| lfp | 91.0 (90.0 to 92.0) | |",
        "| other | 80.0 | +1.0 (-0.5 to +2.5) |",
    ]
    assert how == (
        "`python -m benchmarks made --root ...`: 2 cores of Some processor, one thread, load 0.2 "
        "to 0.4, 2026-01-02 ([record](records/made.json))."
    )


def test_training_times_of_a_busy_machine_are_left_out() -> None:
    record = TableRecord(
        command="python -m benchmarks made",
        date=date(2026, 1, 2),
        machine=MACHINE,
        columns=[PrintedColumn("way"), TRAINING, PrintedColumn("test, %")],
        rows=[["lfp", [3.0, 4.0], 90.0]],
    )
    idle, _ = FORMS["table"]({"made": record})
    assert "| way | training, s | test, % |" in idle
    busy = record.model_copy(update={"machine": MACHINE.model_copy(update={"load": (1.0, 9.0)})})
    table, _ = FORMS["table"]({"made": busy})
    assert table.splitlines() == ["| way | test, % |", "| --- | --- |", "| lfp | 90.0 |"]


def test_a_block_takes_records_of_its_kind() -> None:
    with pytest.raises(TableError, match="made is a record of kind comparison"):
        list(FORMS["runs"]({"made": comparison(lfp=arm("lfp", 0.8))}))
