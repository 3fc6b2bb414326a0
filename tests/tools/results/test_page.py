"""Blocks of the page are written from records; the rest stays; typed tables are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tools.results.made import arm, comparison
from tools.results.page import read_pages, rendered, typed_tables
from tools.results.records import Records
from tools.results.tables import TableError

END = "<!-- end of results -->"
PAGE = "docs/results.md"


@pytest.fixture
def records(tmp_path: Path) -> Records:
    (tmp_path / "commands.yaml").write_text("made: a\nother: b\nlater: c\n")
    found = Records(tmp_path)
    for name in ("made", "other"):
        found.keep(name, comparison(lfp=arm("lfp", 0.5, 0.7)))
    return found


def rendered_page(page: str, records: Records) -> str:
    return rendered({PAGE: page}, records)[PAGE]


def test_a_block_is_written_anew_and_the_rest_stays(records: Records) -> None:
    page = f"before\n<!-- results: comparison made -->\ntyped\n{END}\nafter\n"
    written = rendered_page(page, records)
    assert "60.0 % (0.0 to 100.0)" in written
    assert "typed" not in written
    assert written.startswith("before\n<!-- results: comparison made -->\n\n| | published rule")
    assert written.endswith(f"\n\n{END}\nafter\n")
    assert rendered_page(written, records) == written


def test_others_are_the_comparisons_that_no_block_names(records: Records) -> None:
    page = f"<!-- results: others -->\n{END}\n<!-- results: comparison made -->\n{END}\n"
    written = rendered_page(page, records)
    assert written.count("### ") == 1
    assert written.index("### `other`") < written.index(END)
    records.folder.joinpath("other.json").unlink()
    again = rendered_page(written, Records(records.folder))
    assert again.startswith(f"<!-- results: others -->\n\n{END}\n")


def test_others_are_named_by_no_page_and_links_lead_to_the_records(records: Records) -> None:
    pages = rendered(
        {
            PAGE: f"<!-- results: comparison made -->\n{END}\n",
            "docs/results/more.md": f"<!-- results: others -->\n{END}\n",
            "README.md": f"<!-- results: comparison other -->\n{END}\n",
        },
        records,
    )
    assert "([record](records/made.json))" in pages[PAGE]
    assert "###" not in pages["docs/results/more.md"]
    assert "([record](docs/records/other.json))" in pages["README.md"]


def test_pages_are_read_with_the_readme(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    (docs / "results").mkdir(parents=True)
    (docs / "results.md").write_text("a")
    (docs / "results" / "more.md").write_text("b")
    assert read_pages(docs) == {"docs/results.md": "a", "docs/results/more.md": "b"}
    (tmp_path / "README.md").write_text("c")
    assert read_pages(docs)["README.md"] == "c"


def test_what_lacks_is_named(records: Records) -> None:
    page = f"<!-- results: lacking -->\n{END}\n"
    assert " `later`." in rendered_page(page, records)
    records.keep("later", comparison(lfp=arm("lfp", 0.5)))
    assert "Nothing: every command" in rendered_page(page, records)


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
        rendered_page(page, records)


def test_typed_tables_are_those_outside_of_blocks() -> None:
    page = (
        f"# A\n\n| a |\n| - |\n\n## B\n\n<!-- results: runs made -->\n\n| b |\n| - |\n\n{END}\n\n"
        "| c |\n| - |\n"
    )
    links = "\n| | |\n| - | - |\n| here | there |\n"
    assert list(typed_tables(page + links)) == [(3, "A"), (15, "B")]
