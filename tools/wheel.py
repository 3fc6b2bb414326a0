"""Installs a wheel into an empty environment, and trains there as a newcomer would.

``python -m tools.wheel dist`` takes the one wheel of a folder. The versions are those that are
tested (``constraints.txt``).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Sequence
from pathlib import Path

__all__ = ["main", "try_out"]

CONSTRAINTS = Path(__file__).resolve().parent.parent / "constraints.txt"


def try_out(wheel: Path, folder: Path) -> None:
    """Install a wheel and use it, in an empty folder.

    Raises:
        CalledProcessError: it cannot be installed, or a command fails.
    """
    venv.create(folder / "environment", with_pip=True)
    commands = folder / "environment" / "bin"
    pip = [str(commands / "python"), "-m", "pip", "install", "--quiet", "-c", str(CONSTRAINTS)]
    started = time.monotonic()
    subprocess.run([*pip, str(wheel)], cwd=folder, check=True)
    print(f"installed {wheel.name} in {time.monotonic() - started:.0f} s", flush=True)
    for words in (["--version"], ["ls", "configs"], ["train", "digits", "--out", "run"]):
        subprocess.run([str(commands / "lfp-snn"), *words], cwd=folder, check=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the wheel of a folder, by default ``dist``."""
    given = sys.argv[1:] if arguments is None else arguments
    (wheel,) = Path(given[0] if given else "dist").resolve().glob("*.whl")
    with tempfile.TemporaryDirectory() as folder:
        try_out(wheel, Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
