"""Parts of one's own recordings: given by a table or by folders, or drawn."""

from __future__ import annotations

from pathlib import Path

import pytest

from lfp_snn.data.entries import Entry, find, part_named, read_table
from lfp_snn.data.index import caution
from lfp_snn.data.parts import draw_parts, of_folders
from lfp_snn.errors import DataError


def made(tmp_path: Path, *files: str) -> list[Entry]:
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    return of_folders(find(tmp_path))


def told(entries: list[Entry]) -> dict[str, tuple[str, str]]:
    return {entry.file: (entry.label, entry.part) for entry in entries}


def test_few_recordings_call_for_caution() -> None:
    many = [Entry(f"{n}", "ab"[n % 2], "g", "test" if n < 10 else "train") for n in range(20)]
    assert caution(many) is None
    few = caution(many[5:])
    assert few is not None and few.startswith("few recordings (7 of a class, 5 in the test part")
    assert "each of which is 20 % of it" in few
    assert "(1 of a class)" in str(caution([Entry("0", "a", "0", "train")]))


@pytest.mark.parametrize("names", [("train", "val", "test"), ("Train", "validation", "TEST")])
def test_folders_of_parts(tmp_path: Path, names: tuple[str, ...]) -> None:
    files = [f"{name}/{label}/{name}.bin" for name in names for label in ("a", "b")]
    found = told(made(tmp_path, *files))
    parts = dict(zip(names, ("train", "val", "test"), strict=True))
    assert found == {f: (f.split("/")[1], parts[f.split("/")[0]]) for f in files}


def test_a_folder_to_test_beside_those_of_the_classes(tmp_path: Path) -> None:
    found = told(made(tmp_path, "a/1.bin", "b/deep/2.bin", "Test/a/3.bin", "Test/b/4.bin"))
    assert found == {
        "a/1.bin": ("a", "train"),
        "b/deep/2.bin": ("b", "train"),
        "Test/a/3.bin": ("a", "test"),
        "Test/b/4.bin": ("b", "test"),
    }


@pytest.mark.parametrize(
    "files",
    [
        ("train/1.bin", "test/2.bin"),  # classes of these names
        ("train/monday/1.bin", "car/monday/2.bin"),  # a class, and sessions
        ("valid/1.bin", "invalid/1.bin"),
    ],
)
def test_classes_may_be_named_as_parts_are(tmp_path: Path, files: tuple[str, ...]) -> None:
    found = told(made(tmp_path, *files))
    assert found == {file: (file.split("/")[0], "") for file in files}


def test_a_table_gives_parts_and_targets(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("file,part,x,y\na.bin,Training,1,-2.5\nb.bin,test,3,4\n")
    entries = read_table(table, tmp_path, ["y", "x"])
    assert [(e.part, e.targets, e.label) for e in entries] == [
        ("train", (-2.5, 1.0), ""),
        ("test", (4.0, 3.0), ""),
    ]
    for text, message in [
        ("file,part,x,y\na,other,1,2\n", "line 2: the part is 'other'"),
        ("file,part,x,y\na,,1,2\n", "line 2: the part is ''"),
        ("file,x,y\na,one,2\n", "line 2: x is 'one'"),
        ("file,x,y\na,nan,2\n", "line 2: x is 'nan'"),
        ("file,x\na,1\n", "no column of targets 'y'"),
    ]:
        table.write_text(text)
        with pytest.raises(DataError, match=message):
            read_table(table, tmp_path, ["y", "x"])


def entries(*parts: str) -> list[Entry]:
    return [Entry(f"{n}.bin", "ab"[n % 2], f"g{n // 2}", part) for n, part in enumerate(parts)]


def test_parts_that_are_given_stay() -> None:
    whole = entries("train", "val", "test", "train")
    assert draw_parts(whole, 0.5, 0.2, 0) == whole
    some = entries(*["train"] * 8, "test", "test")
    drawn = draw_parts(some, 0.25, 0.2, 0)
    assert [e.part for e in drawn[8:]] == ["test", "test"]
    assert sorted(e.part for e in drawn[:8]) == ["train"] * 6 + ["val"] * 2
    assert len({e.group for e in drawn if e.part == "val"}) == 1
    assert draw_parts(some, 0, 0.2, 0) == some
    with pytest.raises(DataError, match="no file is of the part test"):
        draw_parts(entries("train", "val"), 0.2, 0.2, 0)
    with pytest.raises(DataError, match="has no part, but others"):
        draw_parts(entries("train", "", "test"), 0.2, 0.2, 0)


def test_two_groups_are_one_to_train_and_one_to_test() -> None:
    drawn = draw_parts(entries("", "", "", ""), 0.125, 0.2, 0)
    assert sorted(e.part for e in drawn) == ["test", "test", "train", "train"]
    three = draw_parts(entries(*[""] * 6), 0.125, 0.2, 0)
    assert sorted({e.part for e in three}) == ["test", "train", "val"]


def test_usual_spellings() -> None:
    assert [part_named(word) for word in ("TRAIN ", "valid", "Dev", "testing", "cat")] == [
        "train", "val", "val", "test", None,
    ]  # fmt: skip


@pytest.mark.parametrize("parted", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_table_is_read_as_spreadsheets_write_it(
    tmp_path: Path, parted: str, encoding: str, end: str
) -> None:
    lines = ["file,label,part", "a/é.npy,a,train", '"b/2.npy","b",test', ""]
    text = end.join(lines).replace(",", parted)
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    entries = read_table(tmp_path / "t.csv", tmp_path)
    assert [(e.file, e.label, e.part) for e in entries] == [
        ("a/é.npy", "a", "train"),
        ("b/2.npy", "b", "test"),
    ]


@pytest.mark.parametrize("again", ["a/1.npy", "a/./1.npy", "b/../a/1.npy"])
def test_a_file_that_is_listed_twice_is_refused(tmp_path: Path, again: str) -> None:
    """It could be in the training and in the test part."""
    table = tmp_path / "t.csv"
    table.write_text(f"file,label,part\na/1.npy,a,train\nb/1.npy,b,test\n{again},a,test\n")
    with pytest.raises(DataError, match=r"t\.csv, line 4: .* stands in line 2 already"):
        read_table(table, tmp_path)


def test_few_recordings_are_counted_in_whole_numbers() -> None:
    told = caution([Entry("a", "a", "a", "train"), Entry("b", "a", "b", "test")])
    assert told is not None and "each of which is 100 % of it" in told


def test_with_targets_a_label_is_passed_over(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("file,label,x\na.bin,left,1\nb.bin,,2\n")
    found = read_table(table, tmp_path, ["x"])
    assert [(each.label, each.targets) for each in found] == [("", (1.0,)), ("", (2.0,))]
    with pytest.raises(DataError, match="line 3: a file and a label are needed"):
        read_table(table, tmp_path)
    table.write_text("file,label,x\n,left,1\n")
    with pytest.raises(DataError, match="line 2: a file is needed"):
        read_table(table, tmp_path, ["x"])
