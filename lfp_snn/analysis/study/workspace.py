"""The folder of a study, which holds one study and belongs to one session, or to all that share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import ValidationError

from lfp_snn.analysis.study.spec import Arm
from lfp_snn.errors import ConfigError, RunError
from lfp_snn.training.files import read_json, write_json
from lfp_snn.training.lock import locked

__all__ = ["workspace"]


_MOST_TOLD = 3  # differences in a message


@contextmanager
def workspace(folder: Path, asked: Mapping[str, Any], shared: bool = False) -> Iterator[BinaryIO]:
    """Open the folder of a study: a new one, or one of the same study.

    Args:
        folder: the folder that everything goes to.
        asked: the identity of the study, as JSON takes it. The folder may hold more, or less, but
            not something else: an arm can join later.
        shared: whether other sessions that share it may work in the folder at the same time.

    Yields:
        A lock, held as long as the study or a process of it lives.

    Raises:
        RunError: the folder is something else, holds another study, or is in use.
    """
    plan = folder / "plan.json"
    if folder.exists() and not plan.exists() and any(folder.iterdir()):
        raise RunError(
            f"{folder} exists and is no folder of a study: name another directory with --out."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder} cannot be made: {error.strerror}.") from error
    with locked(folder, shared=shared, hint=", or let all share it with --storage") as lock:
        known = read_json(plan) if plan.exists() else {}
        pairs = {key: (known.get(key, now), now) for key, now in asked.items()}
        differing = sorted(key for key, pair in pairs.items() if not _same(*pair))
        if differing:
            told = "; ".join(_difference(key, *pairs[key]) for key in differing[:_MOST_TOLD])
            more = f"; and {len(differing) - _MOST_TOLD} more" * (len(differing) > _MOST_TOLD)
            raise RunError(
                f"{folder} holds another study, and what it has measured cannot stand beside this "
                f"one: {told}{more}. Name another directory with --out, or ask for what was asked."
            )
        if not all(known.get(key) == asked[key] for key in asked):
            write_json(plan, {**known, **asked})
        yield lock


def _difference(key: str, before: Any, now: Any) -> str:
    """The innermost place where two values of a key differ, with both values."""
    if isinstance(before, dict) and isinstance(now, dict):
        for inner in [*now, *before]:
            if before.get(inner) != now.get(inner):
                return _difference(f"{key}: {inner}", before.get(inner), now.get(inner))
    return f"{key.replace(': base', '').replace(': ', '.')} is {before!r} there and {now!r} here"


def _same(before: Any, now: Any) -> bool:
    """Whether two identities are the same; arms may write defaults or leave them out."""
    if before == now:
        return True
    if not (isinstance(before, dict) and isinstance(now, dict) and "base" in before.keys() & now):
        return False
    try:
        return Arm.model_validate(before).asks_the_same(Arm.model_validate(now))
    except (ConfigError, ValidationError):  # of a version that knew other settings
        return False
