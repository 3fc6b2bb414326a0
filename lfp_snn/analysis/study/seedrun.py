"""The place of a training of one arm of a study with one seed, and its measurements."""

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
    """The training of an arm with a seed, in a folder below ``cells/`` of a study.

    Args:
        folder: the folder of the study.
        arm: the name of the arm.
        seed: the seed of the training.
    """

    folder: Path
    arm: str
    seed: int

    @property
    def path(self) -> Path:
        """The folder of this training."""
        return self.folder / "cells" / self.arm / f"seed-{self.seed}"

    @property
    def run(self) -> RunDir:
        """The run directory of this training, as ``lfp-snn train`` would have made it."""
        return RunDir(self.path / "run")

    @property
    def finished(self) -> bool:
        """Whether everything was measured and written."""
        return self._measured.is_file()

    def measured(self) -> dict[str, Any]:
        """The measurements of the finished training.

        Raises:
            RunError: the training has not finished, or the file is damaged.
        """
        measured: dict[str, Any] = read_json(self._measured)
        return measured

    def write(self, measured: Mapping[str, Any]) -> None:
        """Write the measurements; the training with this seed is finished with that."""
        write_json(self._measured, dict(measured))

    @property
    def _measured(self) -> Path:
        return self.path / "cell.json"
