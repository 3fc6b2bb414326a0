"""Tables of benchmarks: what is printed is what is kept, with all of its numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import _tables
from benchmarks.__main__ import main, questions
from benchmarks._tables import Cell, PrintedColumn, Table


@pytest.fixture(autouse=True)
def none_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Table, "made", [])


@pytest.mark.parametrize(
    ("column", "cell", "shown"),
    [
        (PrintedColumn("a"), "words", "words"),
        (PrintedColumn("a"), None, ""),
        (PrintedColumn("a"), 50, "50"),
        (PrintedColumn("a"), 1.25, "1.2"),
        (PrintedColumn("a", digits=2, sign=True), 1.256, "+1.26"),
        (PrintedColumn("a", digits=1, sign=True), -0.04, "+0.0"),
        (PrintedColumn("a", digits=None), 6e-5, "6e-05"),
        (PrintedColumn("a"), [90.0, 91.0, 93.5], "91.5 (90.0 to 93.5)"),
        (PrintedColumn("a", "seeds"), [90.0, 91.0, 93.5], "91.5 (90.0 91.0 93.5)"),
        (PrintedColumn("a", "each", 0), [90.0, 91.0], "90 91"),
        (PrintedColumn("a", "median"), [9.0, 7.0, 30.0], "9.0 (7.0)"),
        (PrintedColumn("a", "bounds", 2, sign=True), [0.1, -0.2, 0.3], "+0.10 (-0.20 to +0.30)"),
        # Student's t with one degree of freedom is 12.706; the standard error of the two is 1.
        (PrintedColumn("a", "interval"), [1.0, 3.0], "2.0 (-10.7 to 14.7)"),
    ],
)
def test_a_cell_is_shown_as_its_column_says(column: PrintedColumn, cell: Cell, shown: str) -> None:
    assert column.shown(cell) == shown


def test_rows_are_printed_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("way", PrintedColumn("test, %", "seeds"))
    table.row("lfp", [100 * 0.28, 30.0])
    table.row("none", None)
    assert capsys.readouterr().out == (
        "| way | test, % |\n| --- | --- |\n| lfp | 29.0 (28.0 30.0) |\n| none | |\n"
    )
    assert _tables.write(tmp_path / "new" / "table.json")
    kept = json.loads((tmp_path / "new" / "table.json").read_text())
    assert kept["rows"] == [["lfp", [28.0, 30.0]], ["none", None]]
    assert kept["columns"][1] == {"title": "test, %", "show": "seeds", "digits": 1, "sign": False}
    assert kept["load"][0] <= kept["load"][1]
    assert kept["machine"]["threads"] > 0


def test_without_one_table_nothing_is_written(tmp_path: Path) -> None:
    assert not _tables.write(tmp_path / "table.json")
    Table("a")
    Table("b")
    assert not _tables.write(tmp_path / "table.json")
    assert list(tmp_path.iterdir()) == []


def test_json_before_the_name_keeps_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("benchmarks.flips.main", lambda: Table("a").row(1.0))
    monkeypatch.setattr("benchmarks.int8.main", lambda: None)
    for name, written in (("flips", True), ("int8", False)):
        path = tmp_path / f"{name}.json"
        Table.made.clear()
        monkeypatch.setattr("sys.argv", ["benchmarks", "--json", str(path), name])
        main()
        assert path.is_file() == written
        assert capsys.readouterr().err == (
            "" if written else f"{name} made no table to keep: {path} was not written\n"
        )


def test_json_needs_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["benchmarks", "--json"])
    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().err == "error: --json needs a FILE.\n"


def test_what_is_no_benchmark_is_not_listed() -> None:
    assert "_tables" not in questions()
    assert "recipes" in questions()
