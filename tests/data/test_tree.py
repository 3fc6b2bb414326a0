"""Folders and zips, which are read alike; zips that are none, or made to harm."""

from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path

import pytest

from lfp_snn.data.tree import open_tree
from lfp_snn.errors import DataError

FILES = {
    "cat/1.jpg": b"one",
    "cat/2.JPG": b"two",
    "dog/deep/3.jpg": b"three",
    "notes.txt": b"no image",
    ".hidden/4.jpg": b"hidden",
    "__MACOSX/cat/1.jpg": b"of another program",
}
WANTED = ["cat/1.jpg", "cat/2.JPG", "dog/deep/3.jpg"]


def write_folder(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def write_zip(path: Path, files: dict[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_a_zip_is_read_as_the_folder_in_it(tmp_path: Path) -> None:
    for path in (write_folder(tmp_path / "a", FILES), write_zip(tmp_path / "a.zip", FILES)):
        tree = open_tree(path, (".jpg",))
        assert list(tree.names) == WANTED
        assert [tree.read(name) for name in WANTED] == [FILES[name] for name in WANTED]
        assert tree.place("cat/1.jpg") == f"{path}/cat/1.jpg"
        assert all(tree.size(name) > 0 for name in WANTED)


def test_a_zip_of_one_folder_is_that_folder(tmp_path: Path) -> None:
    nested = {f"pets/{name}": content for name, content in FILES.items()} | {"README": b"words"}
    tree = open_tree(write_zip(tmp_path / "a.zip", nested), (".jpg",))
    assert list(tree.names) == WANTED
    assert tree.read("dog/deep/3.jpg") == b"three" and tree.size("cat/1.jpg") > 0
    flat = open_tree(write_zip(tmp_path / "b.zip", {"cat/1.jpg": b"one"}), (".jpg",))
    assert list(flat.names) == ["cat/1.jpg"]  # the folder is a class


def test_what_is_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere is neither a folder nor a zip"):
        open_tree(tmp_path / "nowhere", (".jpg",))
    path = write_zip(tmp_path / "a.zip", FILES)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"a\.zip is no zip or is damaged"):
        open_tree(path, (".jpg",))


def test_a_damaged_member_is_told(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"cat/1.jpg": b"long enough" * 50}, zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    content[100] ^= 255
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.zip/cat/1\.jpg is damaged .*CRC"):
        open_tree(path, (".jpg",)).read("cat/1.jpg")


def test_a_bomb_is_refused_before_it_goes_off(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {f"cat/{n}.jpg": bytes(1 << 20) for n in range(80)})
    assert path.stat().st_size < 100 << 10
    with pytest.raises(DataError, match="would unpack to 80 MiB"):
        open_tree(path, (".jpg",))
    assert len(open_tree(path, (".png",)).names) == 0  # what is not read does no harm


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a" / "cat").mkdir(parents=True)
    name = os.path.join(os.fsencode(tmp_path), b"a/cat/\xff.jpg")  # noqa: PTH118
    try:
        with open(name, "wb"):  # noqa: PTH123
            pass
    except OSError:
        pytest.skip(f"{sys.platform} keeps no such name")
    with pytest.raises(DataError, match=r"has the file 'cat/\\udcff.jpg', whose name is not UTF-8"):
        open_tree(tmp_path / "a", (".jpg",))
    path = write_zip(tmp_path / "a.zip", {"cat/ü.jpg": b"one"})
    path.write_bytes(path.read_bytes().replace("ü".encode(), b"\xff\xfe"))
    with pytest.raises(DataError, match=r"a\.zip is no zip or is damaged"):
        open_tree(path, (".jpg",))
