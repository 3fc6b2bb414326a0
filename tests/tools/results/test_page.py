"""Blocks of the page are written from records; the rest stays; typed tables are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tools.results.made import arm, comparison
from tools.results.page import rendered, typed_tables
from tools.results.records import Records
from tools.results.tables import TableError

END = "<!-- end of results -->"


@pytest.fixture
def records(tmp_path: Path) -> Records:
    (tmp_path / "commands.yaml").write_text("made: a\nother: b\nlater: c\n")
    found = Records(tmp_path)
    for name in ("made", "other"):
        found.keep(name, comparison(lfp=arm("lfp", 0.5, 0.7)))
    return found


def test_a_block_is_written_anew_and_the_rest_stays(records: Records) -> None:
    page = f"before\n<!-- results: comparison made -->\ntyped\n{END}\nafter\n"
    written = rendered(page, records)
    assert "60.0 % (0.0 to 100.0)" in written
    assert "typed" not in written
    assert written.startswith("before\n<!-- results: comparison made -->\n\n| | published rule")
    assert written.endswith(f"\n\n{END}\nafter\n")
    assert rendered(written, records) == written


def test_others_are_the_comparisons_that_no_block_names(records: Records) -> None:
    page = f"<!-- results: others -->\n{END}\n<!-- results: comparison made -->\n{END}\n"
    written = rendered(page, records)
    assert written.count("### ") == 1
    assert written.index("### `other`") < written.index(END)
    records.folder.joinpath("other.json").unlink()
    again = rendered(written, Records(records.folder))
    assert again.startswith(f"<!-- results: others -->\n\n{END}\n")


def test_what_lacks_is_named(records: Records) -> None:
    page = f"<!-- results: lacking -->\n{END}\n"
    assert " `later`." in rendered(page, records)
    records.keep("later", comparison(lfp=arm("lfp", 0.5)))
    assert "Nothing: every command" in rendered(page, records)


@pytest.mark.parametrize(
    ("page", "said"),
    [
        (f"<!-- results: comparison absent -->\n{END}\n", "no record absent in"),
        (f"<!-- results: drawn made -->\n{END}\n", "no form 'drawn'; there are comparison,"),
        ("<!-- results: lacking -->\n", "a block does not end"),
        (f"<!-- results: lacking -->\n<!-- results: others -->\n{END}\n", "a block does not end"),
    ],
)
def test_a_block_that_cannot_be_written_is_told(records: Records, page: str, said: str) -> None:
    with pytest.raises(TableError, match=said):
        rendered(page, records)


def test_typed_tables_are_those_outside_of_blocks() -> None:
    page = (
        f"# A\n\n| a |\n| - |\n\n## B\n\n<!-- results: runs made -->\n\n| b |\n| - |\n\n{END}\n\n"
        "| c |\n| - |\n"
    )
    assert list(typed_tables(page)) == [(3, "A"), (15, "B")]
