"""Run directories: what they hold, and how each file comes into being.

config.yaml                      the whole configuration, defaults included
run.json                         versions, seed, command, device, data, calibration
metrics.jsonl                    one JSON object an epoch
checkpoints/last.safetensors     everything that resuming needs
checkpoints/step-*.safetensors   the checkpoints before it, as many as are kept
checkpoints/best.safetensors     the weights with the best validation accuracy
sample.npz                       spikes of one test sample, layer by layer
result.json                      what the run came to
report.html, figures/            all of it on a page, written by the command line and by ``fit``
.lock                            held by the process that trains
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lfp_snn.errors import RunError
from lfp_snn.training.files import (
    append_line,
    check_json_size,
    parsed,
    remove_torn,
    write_atomic,
    write_json,
)
from lfp_snn.wholefiles import sync_folder
from lfp_snn.wording import option

__all__ = ["RunDir"]

_EARLIER = "step-"


def _step_of(path: Path) -> int:
    return int(path.stem.removeprefix(_EARLIER))


def _epochs_told(epochs: Sequence[int]) -> str:
    """Some epochs in words."""
    if len(epochs) == 1:
        return f"epoch {epochs[0]}"
    return f"{len(epochs)} epochs, the first of them {epochs[0]},"


@dataclass(frozen=True)
class RunDir:
    """A run directory that exists, with the paths of its files."""

    path: Path

    @classmethod
    def check_new(cls, path: Path) -> None:
        """Refuse a path that is taken, since nothing is overwritten, or that cannot be made.

        Raises:
            RunError: something is there already, or nothing can be written there.
        """
        try:
            str(path).encode()
        except UnicodeEncodeError as error:  # it could not be written into the report
            raise RunError(
                f"{str(path)!a} is not UTF-8: name another directory with {option('out')}."
            ) from error
        if path.exists():
            raise RunError(
                f"{path} exists already and nothing is overwritten: name another directory with "
                f"{option('out')}, or continue the run that is there with {option('resume', True)}."
            )
        above = next(each for each in path.absolute().parents if each.exists())
        if not (above.is_dir() and os.access(above, os.W_OK)):
            raise RunError(
                f"{path} cannot be made: {above} is no directory that can be written to; name "
                f"another with {option('out')}."
            )

    @classmethod
    def create(cls, path: Path, config: str, info: Mapping[str, Any]) -> RunDir:
        """Make a run directory with its config and info; it appears at once or not at all.

        Raises:
            RunError: the path is taken, or cannot be written.
        """
        cls.check_new(path)
        scratch: Path | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
            scratch.chmod(0o755)
            (scratch / "checkpoints").mkdir()
            write_atomic(scratch / "config.yaml", config.encode())
            write_json(scratch / "run.json", info)
            # Fails if another process has made a run there in the meantime.
            os.rename(scratch, path)  # noqa: PTH104 - Path.rename says nothing of directories
            sync_folder(path.parent)
        except OSError as error:
            raise RunError(
                f"The run directory {path} cannot be made: {error.strerror or error}."
            ) from error
        finally:
            if scratch is not None:
                shutil.rmtree(scratch, ignore_errors=True)
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> RunDir:
        """Open an existing run.

        Raises:
            RunError: there is no run, or something in it leads elsewhere.
        """
        if not (path / "config.yaml").is_file():
            raise RunError(f"{path} is not a run directory: it has no config.yaml.")
        for each in (*path.iterdir(), *(path / "checkpoints").glob("*")):
            # A run may come from anywhere; what is written into it stays in it.
            if each.is_symlink() and not each.resolve().is_relative_to(path.resolve()):
                raise RunError(
                    f"{each} is a link that leads out of the run directory, to {each.resolve()}; "
                    f"put the file itself there."
                )
        return cls(path)

    @property
    def config(self) -> Path:
        """The path of the whole configuration, as YAML."""
        return self.path / "config.yaml"

    @property
    def info(self) -> Path:
        """The path of the JSON with versions, seed, command, device, data and calibration."""
        return self.path / "run.json"

    @property
    def metrics(self) -> Path:
        """The path of the metrics, one JSON object for each line and epoch."""
        return self.path / "metrics.jsonl"

    @property
    def last(self) -> Path:
        """The path of the checkpoint to resume from."""
        return self.path / "checkpoints" / "last.safetensors"

    def checkpoints(self) -> list[Path]:
        """The checkpoints that can be resumed from, the latest first."""
        earlier = sorted(self._earlier(), key=_step_of, reverse=True)
        return [path for path in (self.last, *earlier) if path.exists()]

    def keep_last(self, step: int) -> None:
        """Keep the last checkpoint, of the given step, when a newer one takes its name.

        Raises:
            RunError: the checkpoint cannot be kept; it is where it was.
        """
        kept = self.last.with_name(f"{_EARLIER}{step}{self.last.suffix}")
        try:
            kept.unlink(missing_ok=True)
            try:
                os.link(self.last, kept)
            except OSError:  # a file system without links: until the newer one is there, this is it
                self.last.replace(kept)
        except OSError as error:
            raise RunError(f"{kept} cannot be written: {error.strerror or error}.") from error

    def drop_earlier(self, step: int, keep: int) -> None:
        """Remove checkpoints before the last one, of the given step, but for the latest few."""
        earlier = sorted(self._earlier(), key=_step_of, reverse=True)
        # Checkpoints of later steps were damaged, and the run went back behind them.
        kept = [path for path in earlier if _step_of(path) < step][:keep]
        for path in set(earlier) - set(kept):
            with suppress(OSError):
                path.unlink()

    def _earlier(self) -> list[Path]:
        paths = self.last.parent.glob(f"{_EARLIER}*{self.last.suffix}")
        return [path for path in paths if path.stem.removeprefix(_EARLIER).isdecimal()]

    def clean(self) -> None:
        """Remove half-written files of a killed process; only the holder of the lock may do so.

        A folder for checkpoints that was removed is made again.
        """
        with suppress(OSError):  # told by the first checkpoint
            self.last.parent.mkdir(exist_ok=True)
        for folder in (self.path, self.last.parent):
            remove_torn(folder)

    @property
    def best(self) -> Path:
        """The path of the weights with the best validation accuracy."""
        return self.path / "checkpoints" / "best.safetensors"

    @property
    def result(self) -> Path:
        """The path of the result of the run."""
        return self.path / "result.json"

    def append_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Add the metrics of an epoch."""
        append_line(self.metrics, json.dumps(metrics, allow_nan=False))

    def read_metrics(self) -> list[dict[str, Any]]:
        """The metrics of all complete lines; a last line torn by a crash is passed over."""
        if not self.metrics.exists():
            return []
        check_json_size(self.metrics)
        *complete, _ = self.metrics.read_bytes().split(b"\n")
        try:
            lines = [parsed(line.decode()) for line in complete]
        except (ValueError, RecursionError) as error:
            raise RunError(f"{self.metrics} is damaged: {error}.") from error
        if not all(isinstance(line, dict) and isinstance(line.get("epoch"), int) for line in lines):
            raise RunError(f"{self.metrics} is damaged: a line is not of an epoch.")
        return lines

    def cut_metrics(self, epochs: int) -> list[dict[str, Any]]:
        """Drop the metrics behind the first ``epochs`` epochs, and return the rest.

        Raises:
            RunError: the file is damaged, or lacks one of these epochs; nothing is changed.
        """
        kept = [line for line in self.read_metrics() if line["epoch"] <= epochs]
        known = {line["epoch"] for line in kept}
        lacking = [epoch for epoch in range(1, epochs + 1) if epoch not in known]
        if lacking:  # a line is on disk before the checkpoint of its epoch, so that it was removed
            raise RunError(
                f"{self.metrics} is damaged: it lacks {_epochs_told(lacking)} of the {epochs} that "
                "the checkpoint has finished; bring the file back, or start another run."
            )
        text = "".join(f"{json.dumps(line, allow_nan=False)}\n" for line in kept)
        if self.metrics.exists():
            write_atomic(self.metrics, text.encode())
        return kept

    def write_sample(
        self, spikes: Mapping[str, npt.NDArray[np.bool_]], label: int, prediction: int
    ) -> None:
        """Keep the spikes of one sample: bool ``[T, units]`` by layer, in order."""
        content = io.BytesIO()
        arrays: dict[str, Any] = {f"spikes/{name}": layer for name, layer in spikes.items()}
        np.savez_compressed(
            content, layers=list(spikes), label=label, prediction=prediction, **arrays
        )
        write_atomic(self.path / "sample.npz", content.getvalue())
