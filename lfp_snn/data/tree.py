"""Trees of files in folders or in a zip: both are listed and read alike, and nothing is unpacked.

A zip of one folder is taken as that folder. What a zip tells of its files is held against its size
before any is read (`lfp_snn.unpacking`).
"""

import zipfile
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from lfp_snn.errors import DataError
from lfp_snn.unpacking import check_size, reading
from lfp_snn.wording import setting


class Tree(ABC):
    """The files below a folder or in a zip.

    Args:
        path: the path of the folder or the zip.
        names: the names of the files, with `/` between folders, in order.
    """

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self.path = path
        self.names = names

    def place(self, name: str) -> str:
        """The place of a file, for messages."""
        return f"{self.path}/{name}"

    def files(self) -> list[Path]:
        """The files on disk that hold them all, as the cache tells them apart."""
        return [self.path] if self.path.is_file() else [self.path / name for name in self.names]

    @abstractmethod
    def size(self, name: str) -> int:
        """The bytes of a file in the tree, packed or not."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            DataError: the file cannot be read.
        """


class _Folder(Tree):
    def size(self, name: str) -> int:
        return (self.path / name).stat().st_size

    def read(self, name: str) -> bytes:
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise DataError(f"{self.place(name)} cannot be read ({error.strerror})") from error


class _Zip(Tree):
    def __init__(self, path: Path, suffixes: Collection[str]) -> None:
        with reading(path, "zip"):
            self._archive = zipfile.ZipFile(path)
            members = {each.filename: each for each in self._archive.infolist()}
            wanted = _wanted(members, suffixes)
            check_size(path, sum(members[name].file_size for name in wanted))
        tops = {name.split("/")[0] for name in wanted}
        nested = all(name.count("/") > 1 for name in wanted)
        self._top = f"{tops.pop()}/" if len(tops) == 1 and nested else ""
        super().__init__(path, [name.removeprefix(self._top) for name in wanted])

    def size(self, name: str) -> int:
        return self._archive.getinfo(self._top + name).compress_size

    def read(self, name: str) -> bytes:
        with reading(self.place(name)):
            return self._archive.read(self._top + name)


def open_tree(path: Path, suffixes: Collection[str]) -> Tree:
    """Open the files of a folder or a zip with given suffixes; hidden ones are passed over.

    Args:
        path: the path of the folder or the zip.
        suffixes: the suffixes in small letters, with the dot.

    Raises:
        DataError: there is neither, the zip is damaged or would unpack to far more than its size,
            or a name is not UTF-8.
    """
    if path.is_file():
        return _Zip(path, suffixes)
    if not path.is_dir():
        raise DataError(
            f"{path} is neither a folder nor a zip; name another with {setting('data.root')}"
        )
    files = (each.relative_to(path).as_posix() for each in path.rglob("*") if each.is_file())
    names = _wanted(files, suffixes)
    for name in names:
        check_name(name, path)
    return _Folder(path, names)


def check_name(name: str, folder: Path) -> None:
    """Refuse the name of a file that no text can hold.

    Raises:
        DataError: the name is not UTF-8.
    """
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{folder} has the file {name!a}, whose name is not UTF-8; rename it"
        ) from error


def _wanted(names: Iterable[str], suffixes: Collection[str]) -> list[str]:
    endings = tuple(suffixes)
    return sorted(
        name
        for name in names
        if name.lower().endswith(endings)
        and not any(part.startswith((".", "__MACOSX")) for part in name.split("/"))
    )
