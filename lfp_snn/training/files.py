"""Writing files so that none is ever half written."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from lfp_snn.errors import RunError
from lfp_snn.wholefiles import TORN, sync_folder, write_whole

__all__ = [
    "append_line",
    "check_json_size",
    "parsed",
    "read_json",
    "remove_torn",
    "write_atomic",
    "write_json",
]

_MOST_JSON = 1 << 24  # bytes; what a run writes is far smaller


def write_atomic(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``: after a crash there is the old file or the new one.

    Raises:
        RunError: the file cannot be written, for instance because the disk is full. What was there
            before is intact, and nothing else is left behind.
    """
    try:
        write_whole(path, content)
    except OSError as error:
        raise RunError(_cannot_write(path, error)) from error


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically; errors are as of :func:`write_atomic`."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_atomic(path, f"{text}\n".encode())


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        RunError: there is no such file, it is not JSON, or it is far too large.
    """
    try:
        check_json_size(path)
        return parsed(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"There is no file {path}; is {path.parent} a run directory?") from None
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path} cannot be read as JSON: {error}.") from error


def parsed(text: str) -> Any:
    """The value that JSON stands for.

    Raises:
        ValueError: the text is no JSON, or has half a character, which could not be written again.
        RecursionError: it is nested too deeply.
    """
    value = json.loads(text)
    if "\\ud" in text.lower():  # the only way to write half a character, and one to write a whole
        json.dumps(value, ensure_ascii=False).encode()
    return value


def check_json_size(path: Path) -> None:
    """Refuse JSON that is too large to come from a run.

    Raises:
        RunError: the JSON is too large.
    """
    size = path.stat().st_size
    if size > _MOST_JSON:
        raise RunError(f"{path} has {size} bytes, more than any run writes; it is not read.")


def append_line(path: Path, line: str) -> None:
    """Append a line to a file and wait until it is on disk.

    Raises:
        RunError: the line cannot be written.
    """
    try:
        new = not path.exists()
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
            file.flush()
            os.fsync(file.fileno())
        if new:
            sync_folder(path.parent)
    except OSError as error:
        raise RunError(_cannot_write(path, error)) from error


def _cannot_write(path: Path, error: OSError) -> str:
    return (
        f"{path} cannot be written ({error.strerror or error}); what was there before is intact: "
        "make room or write elsewhere, then call it again (a run goes on with --resume)."
    )


def remove_torn(folder: Path) -> None:
    """Remove half-written files of a killed process; no other process may be writing there now."""
    for path in folder.glob(f".*{TORN}*"):
        with contextlib.suppress(OSError):
            path.unlink()
