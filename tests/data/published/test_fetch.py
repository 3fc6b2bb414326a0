"""Fetching from a server of our own: whole, gone on with, refused."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lfp_snn.data.published import DESCRIPTIONS, Description
from lfp_snn.data.published.fetch import Archive, archives, download, fetch, unpack
from lfp_snn.errors import DataError
from tests.cli.conftest import Cli, cli  # noqa: F401 - the fixture

datasets = pytest.importorskip("tonic.datasets")
FILES: dict[str, bytes] = {}
ASKED: list[str | None] = []
CUT = {"after": 0}


class Server(BaseHTTPRequestHandler):
    """Serves FILES, knows ranges, and breaks off where CUT says."""

    def do_GET(self) -> None:
        content = FILES[self.path.strip("/")]
        asked = self.headers.get("Range")
        ASKED.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start : start + (CUT["after"] or len(content))])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    FILES.clear()
    ASKED.clear()
    CUT["after"] = 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def zipped(names: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in names.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


POKER = DESCRIPTIONS["pokerdvs"]


def nothing(name: str, done: int, total: int) -> None:
    pass


def test_is_fetched_unpacked_and_then_left_alone(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = zipped({"ant/image.bin": b"12345"})
    content = zipped({"Caltech101.zip": inner, "readme.txt": b"x"})
    FILES["N.zip"] = content
    kind = datasets.NCALTECH101
    monkeypatch.setattr(kind, "url", f"{address}/N.zip")
    monkeypatch.setattr(kind, "filename", "N.zip")
    monkeypatch.setattr(kind, "file_md5", md5(content))
    description = replace(DESCRIPTIONS["ncaltech101"], archives=OWN)
    seen: list[tuple[str, int, int]] = []
    root = tmp_path / "new" / "folder"
    assert fetch(description, root, lambda *each: seen.append(each)) == ["N.zip"]
    assert (root / "ant" / "image.bin").read_bytes() == b"12345"
    assert seen[0] == ("N.zip", 0, len(content)) and seen[-1] == ("N.zip", *[len(content)] * 2)
    assert not list(root.glob(".unpack*")) and not list(root.glob("*.part"))
    (root / "ant" / "image.bin").write_bytes(b"mine!")
    assert fetch(description, root, nothing) == []
    assert len(ASKED) == 1
    assert (root / "ant" / "image.bin").read_bytes() == b"mine!"


OWN = (("url", "filename", "file_md5", "ant/*.bin"),)


def test_goes_on_where_the_connection_broke(address: str, tmp_path: Path) -> None:
    content = bytes(range(256)) * 40
    FILES["a.bin"] = content
    archive = Archive(f"{address}/a.bin", "a.bin", md5(content), "a.bin")
    CUT["after"] = 5000
    with pytest.raises(DataError, match=r"broke|IncompleteRead|could not be fetched"):
        download(archive, tmp_path, POKER, nothing)
    assert (tmp_path / "a.bin.part").stat().st_size == 5000
    assert not (tmp_path / "a.bin").exists()
    CUT["after"] = 0
    assert download(archive, tmp_path, POKER, nothing).read_bytes() == content
    assert ASKED == [None, "bytes=5000-"]
    assert not (tmp_path / "a.bin.part").exists()


def test_a_wrong_checksum_is_told(address: str, tmp_path: Path) -> None:
    FILES["a.zip"] = b"something else"
    archive = Archive(f"{address}/a.zip", "a.zip", "0" * 32, "x")
    with pytest.raises(DataError, match=r"a.zip has the MD5 sum .* delete it"):
        download(archive, tmp_path, POKER, nothing)


def test_without_a_network_it_says_what_to_put_where(tmp_path: Path, cli: Cli) -> None:  # noqa: F811
    archive = Archive("http://127.0.0.1:9/no.zip", "no.zip", "abc", "x")
    with pytest.raises(DataError) as told:
        download(archive, tmp_path, POKER, nothing)
    for part in ("no.zip", "http://127.0.0.1:9/no.zip", "MD5 abc", str(tmp_path), POKER.layout):
        assert part in str(told.value)
    result = cli("data", "fetch", "dvs_lip", "--to", tmp_path / "lip")
    assert result.exit_code == 2
    assert "DVS-Lip.zip" in result.output and "drive.google.com" in result.output


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_nothing_climbs_out_of_the_folder(kind: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    path = root / f"bad.{kind}"
    if kind == "zip":
        path.write_bytes(zipped({"../evil.txt": b"x"}))
    else:
        with tarfile.open(path, "w:gz") as archive:
            archive.addfile(tarfile.TarInfo("../evil.txt"), io.BytesIO(b""))
    with pytest.raises(DataError, match=r"unsafe"):
        unpack(path, root)
    assert not (tmp_path / "evil.txt").exists()
    path.write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"damaged"):
        unpack(path, root)


@pytest.mark.parametrize("name", [name for name, each in DESCRIPTIONS.items() if each.tonic])
def test_tonic_knows_every_archive(name: str) -> None:
    description: Description = DESCRIPTIONS[name]
    found = archives(description)
    assert len(found) == len(description.archives)
    for archive in found:
        assert len(archive.md5) == 32
        assert archive.url == "" or archive.url.startswith("https://")


def test_lists_and_describes(cli: Cli) -> None:  # noqa: F811
    listed = cli("data", "ls").output
    for name, description in DESCRIPTIONS.items():
        assert name in listed
        told = " ".join(cli("data", "info", name).output.split())
        assert description.citation.split(",")[0] in told
        assert str(len(description.classes)) in listed
    refused = cli("data", "fetch", "digits")
    assert refused.exit_code == 2 and "cannot be fetched" in refused.output
