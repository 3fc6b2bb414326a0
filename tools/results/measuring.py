"""Running the commands whose records are missing; what was stopped goes on where it stopped."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from lfp_snn.analysis.machine import mean_load
from tools.results.collecting import CollectError, collect
from tools.results.records import Record

__all__ = ["Measuring"]

SEEDS = (0, 1, 2)  # of a training
LOOK_S = 30.0  # between two looks at the load


class Measuring:
    """Runs commands in the folder of the data, into a folder of what they leave.

    Args:
        root: the folder that holds the data; a command's ``data.root`` is relative to it.
        out: the folder for comparisons, runs and what benchmarks print; it is made.
    """

    def __init__(self, root: Path, out: Path) -> None:
        self.root = root.resolve()
        self.out = out.resolve()
        self._loads: list[float] = []

    def lacks(self, command: str) -> str | None:
        """The data that a command reads and that is not there; ``None`` if all is."""
        folders = re.findall(r"root[= ](\S+)", command)
        return next((each for each in folders if not (self.root / each).exists()), None)

    def run(self, name: str, command: str) -> Record:
        """Run a command, or what is left to do of it, and collect its record.

        Raises:
            CollectError: it failed, or is of no kind that leaves a record.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        self._loads = [mean_load()]
        program, *words = shlex.split(command)
        if program == "lfp-snn" and words[0] in ("compare", "convergence"):
            folder = self.out / name
            self._call(["lfp_snn", *words, "--out", str(folder)], self.out / f"{name}.log")
            return self._collected(command, [folder])
        if (program, words[0]) == ("lfp-snn", "train"):
            runs = [self.out / f"{name}-{seed}" for seed in SEEDS]
            for seed, folder in zip(SEEDS, runs, strict=True):
                self._train([*words, f"seed={seed}"], folder)
            return self._collected(command, runs)
        if (program, *words[:3]) == ("python", "-m", "benchmarks", "steps"):
            folder = self.out / name
            self._call([*words[1:], "--out", str(folder)], self.out / f"{name}.log")
            return self._collected(command, [folder])
        if (program, *words[:2]) == ("python", "-m", "benchmarks"):
            log, table = self.out / f"{name}.log", self.out / f"{name}.json"
            table.unlink(missing_ok=True)
            self._call(["benchmarks", "--json", str(table), *words[2:]], log)
            return self._collected(command, [table if table.is_file() else log])
        raise CollectError(
            f"{name}: {command} leaves no record; expected lfp-snn compare, lfp-snn "
            f"convergence, lfp-snn train or python -m benchmarks."
        )

    def _train(self, words: Sequence[str], folder: Path) -> None:
        if (folder / "result.json").is_file():
            return
        resume = ["--resume"] if folder.exists() else []
        log = folder.with_name(f"{folder.name}.log")
        self._call(["lfp_snn", *words, *resume, "--out", str(folder)], log)

    def _collected(self, command: str, paths: Sequence[Path]) -> Record:
        self._loads.append(mean_load())
        return collect(command, paths, (round(min(self._loads), 1), round(max(self._loads), 1)))

    def _call(self, module: Sequence[str], log: Path) -> None:
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", *module], cwd=self.root, stdout=out, stderr=subprocess.STDOUT
            )
            try:
                while process.poll() is None:
                    self._wait(process)
            except KeyboardInterrupt:
                process.wait()  # it was told as well, and saves what it has
                raise
        if process.returncode:
            last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
            raise CollectError(f"{shlex.join(module)}: {' '.join(last)} ({log})")

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        try:
            process.wait(LOOK_S)
        except subprocess.TimeoutExpired:
            self._loads.append(mean_load())
