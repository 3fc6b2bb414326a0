"""The records that are kept: each has its command, and the page says what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.tools.results.made import arm, comparison
from tools.results.page import read_pages, rendered
from tools.results.records import RecordError, Records

DOCS = REPOSITORY / "docs"


def test_the_pages_say_what_the_records_say() -> None:
    """Nothing in their blocks is typed; ``python -m tools.results render`` writes them anew."""
    pages = read_pages(DOCS)
    assert {"README.md", "docs/results.md", "docs/results/comparisons.md"} <= pages.keys()
    assert rendered(pages, Records(DOCS / "records")) == pages


def test_every_record_is_on_a_page() -> None:
    pages = "".join(read_pages(DOCS).values())
    names = Records(DOCS / "records").kept
    assert [name for name in names if f"records/{name}.json)" not in pages] == []


def test_every_record_has_its_command_in_the_list() -> None:
    records = Records(DOCS / "records")
    listed = {name: records.commands.get(name) for name in records.kept}
    assert listed == {name: record.command for name, record in records.kept.items()}


def test_records_are_small() -> None:
    assert max(path.stat().st_size for path in (DOCS / "records").iterdir()) < 8_000


def test_a_record_is_read_as_it_was_kept(tmp_path: Path) -> None:
    records = Records(tmp_path)
    record = comparison(lfp=arm("lfp", 0.9, 0.8))
    assert records.kept == {}
    records.keep("made", record)
    assert records.kept == {"made": record}


def test_numbers_of_a_list_share_a_line(tmp_path: Path) -> None:
    records = Records(tmp_path)
    text = records.keep("made", comparison(lfp=arm("lfp", 0.9, 0.8))).read_text()
    assert '"test": [0.9, 0.8],\n' in text
    assert text.endswith("}\n")


def test_what_lacks_has_a_command_and_no_record(tmp_path: Path) -> None:
    (tmp_path / "commands.yaml").write_text("# a list\nmade: lfp-snn compare made\n")
    records = Records(tmp_path)
    records.name_command("other", 'python -m benchmarks made --learners "a, b"')
    assert records.lacking == ["made", "other"]
    assert records.commands["other"] == 'python -m benchmarks made --learners "a, b"'
    records.keep("made", comparison(lfp=arm("lfp", 0.9)))
    assert records.lacking == ["other"]


def test_a_record_with_a_key_too_many_is_refused(tmp_path: Path) -> None:
    path = Records(tmp_path).keep("made", comparison(lfp=arm("lfp", 0.9)))
    path.write_text(path.read_text().replace('"trials"', '"trails"'))
    with pytest.raises(RecordError, match="trials is missing"):
        _ = Records(tmp_path).kept


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('"test"', '"test', r"made\.json: Invalid JSON"),
        ("0.9,", "NaN,", r"made\.json: .*test.*is nan, expected a finite number"),
        ("0.9,", "98.1,", r"test.*is 98\.1, expected a number less than or equal to 1\.$"),
        ('"seeds": [', '"seeds": [7,', "there are 3 seeds, 2 test, .* expected one of each"),
        ("[0, 1]", "[0, 0]", r"seeds are \[0, 0\]; expected each once"),
        ('_s": null', '_s": [3.0]', "there are 1 to_target_s; expected one for each of 2 seeds"),
        ('_s": null', '_s": [3, null]', r"target is None and to_target_s of lfp \[3\.0, None\];"),
        (
            '"target": null',
            '"target": 0.8',
            r"target is 0\.8 and to_target_s of lfp None;",
        ),
        ('"target": null', '"target": 0', "target.*is 0, expected a number greater than 0"),
        ('"reference": "lfp"', '"reference": "other"', "reference is 'other'; expected one of lfp"),
        ("0.2,", "2,", r"load.*is \[2, 0\.4\], expected the lowest load before the highest\.$"),
    ],
)
def test_what_no_measurement_gives_is_refused(
    tmp_path: Path, before: str, after: str, said: str
) -> None:
    path = Records(tmp_path).keep("made", comparison(lfp=arm("lfp", 0.9, 0.8)))
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))
    with pytest.raises(RecordError, match=said):
        _ = Records(tmp_path).kept
