"""An arm of a study, trained with one seed: where it lies, and what was measured on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lfp_snn.training.files import read_json, write_json
from lfp_snn.training.rundir import RunDir

__all__ = ["SeedRun"]


@dataclass(frozen=True)
class SeedRun:
    """A place below ``cells/`` in the folder of a study.

    Args:
        folder: of the study.
        arm: name of the arm.
        seed: of the training.
    """

    folder: Path
    arm: str
    seed: int

    @property
    def path(self) -> Path:
        """Where everything of it lies."""
        return self.folder / "cells" / self.arm / f"seed-{self.seed}"

    @property
    def run(self) -> RunDir:
        """Its run, as ``lfp-snn train`` would have made it."""
        return RunDir(self.path / "run")

    @property
    def finished(self) -> bool:
        """Whether everything was measured and written."""
        return self._measured.is_file()

    def measured(self) -> dict[str, Any]:
        """What was measured.

        Raises:
            RunError: it has not finished, or its file is damaged.
        """
        measured: dict[str, Any] = read_json(self._measured)
        return measured

    def write(self, measured: Mapping[str, Any]) -> None:
        """Keep what was measured; with that the training with this seed is finished."""
        write_json(self._measured, dict(measured))

    @property
    def _measured(self) -> Path:
        return self.path / "cell.json"
