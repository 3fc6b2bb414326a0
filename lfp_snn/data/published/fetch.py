"""Downloads of published datasets, with addresses and checksums from tonic.

A download goes on where an earlier one stopped. What is there already is never fetched again, and
nothing in the folder is ever deleted or overwritten.
"""

import hashlib
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from lfp_snn.data.published.catalogue import Description
from lfp_snn.errors import DataError

_BLOCK = 1 << 20
_TIMEOUT_S = 30

#: Told of a download: its name, bytes so far, bytes in all (0 if the server does not tell).
Progress = Callable[[str, int, int], None]


class Archive(NamedTuple):
    """A file to fetch: its address, name and MD5 sum, and a pattern of the files that it holds."""

    url: str
    filename: str
    md5: str
    holds: str


def archives(description: Description) -> list[Archive]:
    """The archives of a dataset, as tonic describes them.

    Raises:
        DataError: tonic is not installed.
    """
    try:
        import tonic.datasets
    except ImportError as error:
        raise DataError(
            f"the addresses of {description.title} are known to tonic, which is not installed: "
            "pip install 'lfp_snn[data]'"
        ) from error
    known = getattr(tonic.datasets, description.tonic)
    found = []
    for url, filename, md5, holds in description.archives:
        name = getattr(known, filename)
        address = getattr(known, url) if url else ""
        if url == "base_url" and address.endswith("/"):
            address += name
        if description.tonic == "SMNIST":  # tonic adds the suffix itself
            address, name = address + ".gz", name + ".gz"
        found.append(Archive(address, name, getattr(known, md5), holds))
    return found


def fetch(description: Description, root: Path, progress: Progress) -> list[str]:
    """Fetch what is missing of a dataset into `root`.

    Args:
        description: the description of the dataset.
        root: the folder that is to hold it.
        progress: a function that is told of each block that has come.

    Returns:
        The names of the archives that were fetched; empty if all was there.

    Raises:
        DataError: there is no network or no place, a checksum is wrong, or an archive is unsafe;
            the message says what to put where by hand.
    """
    if not description.tonic:
        raise DataError(
            f"{description.title} is not fetched by a program: get it from {description.address} "
            f"and put it into {root} as {description.layout}"
        )
    done = []
    for archive in archives(description):
        if any(root.glob(archive.holds)):
            continue
        try:
            root.mkdir(parents=True, exist_ok=True)
            unpack(download(archive, root, description, progress), root)
        except OSError as error:
            raise DataError(f"{root} cannot be written ({error.strerror})") from error
        done.append(archive.filename)
    return done


def download(archive: Archive, folder: Path, description: Description, progress: Progress) -> Path:
    """Download an archive to `folder`, or go on with its download, and check its sum.

    Raises:
        DataError: the archive cannot be fetched, or its checksum is wrong.
    """
    from urllib.error import URLError  # here, for it brings all of HTTP

    whole, part = folder / archive.filename, folder / f"{archive.filename}.part"
    if not whole.exists():
        if not archive.url.startswith(("http://", "https://")) or "drive.google" in archive.url:
            raise DataError(by_hand(archive, folder, description, "it cannot be fetched directly"))
        try:
            _transfer(archive, part, progress)
        except (URLError, TimeoutError, ConnectionError) as error:
            reason = getattr(error, "reason", error)
            raise DataError(by_hand(archive, folder, description, str(reason))) from error
        part.replace(whole)
    found = _md5(whole)
    if found != archive.md5:
        raise DataError(
            f"{whole} has the MD5 sum {found}, but tonic expects {archive.md5}: it is damaged or "
            "has changed; delete it and fetch again"
        )
    return whole


def by_hand(archive: Archive, folder: Path, description: Description, reason: str) -> str:
    """A sentence that says what to do by hand where nothing can be fetched."""
    where = archive.url or "tonic's source distribution, which carries it"
    return (
        f"{archive.filename} of {description.title} could not be fetched ({reason}). Get it from "
        f"{where} (MD5 {archive.md5}), put it into {folder.resolve()} under that name, and give "
        "the same command again; or unpack it there yourself, so that the folder holds "
        f"{description.layout}."
    )


def _transfer(archive: Archive, part: Path, progress: Progress) -> None:
    """Append to a partial download what is missing."""
    from urllib.error import HTTPError  # here, for they bring all of HTTP
    from urllib.request import Request, urlopen

    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "lfp_snn", **({"Range": f"bytes={have}-"} if have else {})}
    request = Request(archive.url, headers=headers)
    try:
        response = urlopen(request, timeout=_TIMEOUT_S)
    except HTTPError as error:
        if error.code == 416 and have:  # nothing is missing
            return
        raise
    with response:
        if response.status != 206:  # the server knows no ranges: from the start
            have = 0
        total = have + int(response.headers.get("Content-Length") or 0)
        with part.open("ab" if have else "wb") as file:
            progress(archive.filename, have, total)
            while block := response.read(_BLOCK):
                file.write(block)
                have += len(block)
                progress(archive.filename, have, total)
    if have < total:
        raise ConnectionError(f"the connection broke after {have} of {total} bytes")


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def unpack(path: Path, root: Path) -> None:
    """Unpack an archive, and archives within it, into `root`; nothing there is overwritten.

    A file that is no archive stays as it is.

    Raises:
        DataError: a name in the archive leads out of the folder, or the archive is damaged.
    """
    if not _packed(path):
        return
    with tempfile.TemporaryDirectory(dir=root, prefix=".unpack-") as scratch:
        inside = Path(scratch)
        _extract(path, inside)
        for inner in [each for each in sorted(inside.rglob("*")) if _packed(each)]:
            _extract(inner, inner.parent)
            inner.unlink()
        _merge(inside, root)


def _packed(path: Path) -> bool:
    return path.name.endswith((".zip", ".tar.gz", ".tgz", ".tar")) and path.is_file()


def _extract(path: Path, folder: Path) -> None:
    try:
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    if not (folder / name).resolve().is_relative_to(folder.resolve()):
                        raise DataError(f"{path} is unsafe: {name!r} leads out of the folder")
                archive.extractall(folder)
        else:
            with tarfile.open(path) as archive:
                archive.extractall(folder, filter="data")
    except tarfile.FilterError as error:
        raise DataError(f"{path} is unsafe: {error}") from error
    except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise DataError(f"{path} is damaged: {error}") from error


def _merge(source: Path, target: Path) -> None:
    """Move what `target` does not have."""
    for each in sorted(source.iterdir()):
        place = target / each.name
        if each.is_dir() and place.is_dir():
            _merge(each, place)
        elif not place.exists():
            shutil.move(each, place)
