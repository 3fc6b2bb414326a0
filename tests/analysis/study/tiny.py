"""Studies of a handful of DVS-digits, and who watches them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

BASE: dict[str, Any] = {
    "name": "tiny",
    "device": "cpu",
    "data": {"name": "digits", "steps": 6, "train": 60},
    "model": {"name": "mlp", "hidden": [16]},
    "epochs": 2,
    "batch_size": 20,
    "clip": None,
}
LR = {"optimizer.lr": {"low": 1e-3, "high": 1e-2, "log": True}}
COMPARE = {
    "search": {"trials": 2, "epochs": 1},
    "target": 0.1,
    "learners": {
        "lfp": {"tune": LR},
        "surrogate": {"tune": LR},
        # Feedback that overflows: every cell of this learner fails.
        "broken": {"learner": "surrogate", "set": {"optimizer.lr": 1e38}},
    },
}


class Told:
    """Keeps the lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def changed(self, states: Sequence[Any]) -> None: ...

    def told(self, line: str) -> None:
        self.lines.append(line)


def write(folder: Path, **section: Any) -> Path:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({**BASE, **section}, sort_keys=False))
    return path
