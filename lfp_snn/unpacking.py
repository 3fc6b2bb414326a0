"""Files from strangers: what unpacks without end or leads to other files is refused.

A file never takes more memory than about `EXPANSION` times its size (and `FREE` bytes at least):
formats that compress are asked how large their content is before it is unpacked.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lfp_snn.errors import DataError

__all__ = ["allowance", "check_size", "open_hdf5"]

EXPANSION = 200
FREE = 1 << 26


def allowance(path: Path) -> int:
    """Bytes to which the content of a file may unpack."""
    return max(FREE, EXPANSION * path.stat().st_size)


def check_size(path: Path, size: int) -> None:
    """Refuse content that would unpack to more than the allowance.

    Raises:
        DataError: it would.
    """
    if size > allowance(path):
        raise DataError(
            f"{path} would unpack to {size / 2**20:.0f} MiB, over {EXPANSION} times its size; it "
            "is damaged or made to fill the memory"
        )


@contextmanager
def open_hdf5(path: Path) -> Iterator[Any]:
    """An HDF5 file, open to be read; what goes wrong within is told as damage to the file.

    Raises:
        DataError: it cannot be read, leads to other files, would unpack to far more than its size,
            or h5py is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise DataError(
            f"reading {path} takes h5py, which is not installed: pip install 'lfp_snn[formats]'"
        ) from error
    try:
        with h5py.File(path, "r") as file:
            _check(path, file, [], [0])
            yield file
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is damaged: {' '.join(str(error).split())[:200]}") from error


def _check(path: Path, group: Any, above: list[Any], size: list[int]) -> None:
    """Refuse what leads out of a file, back into itself, or unpacks to far more than its size."""
    import h5py

    if group in above:
        raise DataError(f"{path} has a group {group.name} that holds itself")
    for name in group:
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise DataError(f"{path} has a link {name!r} in {group.name}, which is not followed")
        item = group[name]
        if isinstance(item, h5py.Group):
            _check(path, item, [*above, group], size)
        elif isinstance(item, h5py.Dataset):
            if item.external or item.is_virtual:
                raise DataError(f"{path} keeps {item.name} in another file, which is not read")
            size[0] += item.nbytes
            check_size(path, size[0])
