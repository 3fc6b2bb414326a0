"""The time and memory that reading text of events takes: 2 million lines by default.

Each way of writing is read in a process of its own, so that the peak of its memory is its own; the
reader's machine code is there already, as after the first file of a folder. This needs Linux.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks._arguments import at_least_one
from lfp_snn.data.formats import read_recording

FORMS: dict[str, Callable[[int, int, int, int], str]] = {
    "whole": lambda t, x, y, p: f"{t},{x},{y},{p}",
    "seconds": lambda t, x, y, p: f"{t / 1e6:.9f} {x} {y} {p}",
    "savetxt": lambda t, x, y, p: f"{t:.18e} {x:.18e} {y:.18e} {p:.18e}",
    "utf-16": lambda t, x, y, p: f"{t},{x},{y},{p}",
    "words": lambda t, x, y, p: f"{t},{x},{y},{'ON' if p else 'OFF'}",
}


def main() -> None:
    """Print seconds and bytes an event for each way of writing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=at_least_one, default=2_000_000)
    parser.add_argument("--read", type=Path, help="read this file, and print the figures")
    chosen = parser.parse_args()
    if chosen.read is not None:
        _measure(chosen.read)
        return
    print(f"{'written as':<12} {'MB':>6} {'s':>6} {'bytes an event, above the start':>32}")
    with tempfile.TemporaryDirectory() as folder:
        for way in FORMS:
            path = Path(folder) / f"{way}.txt"
            _write(path, way, chosen.lines)
            command = [sys.executable, "-m", "benchmarks", "text_events", "--read", str(path)]
            told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            seconds, peak = (float(each) for each in told.split())
            size = path.stat().st_size / 1e6
            print(f"{way:<12} {size:>6.0f} {seconds:>6.2f} {peak / chosen.lines:>32.0f}")
            path.unlink()


def _measure(path: Path) -> None:
    """The seconds and bytes that reading a file takes, in this process."""
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "small.txt"
        _write(small, "seconds", 100)
        read_recording(small)
    before = _memory("VmRSS")
    start = time.perf_counter()
    read_recording(path)
    print(time.perf_counter() - start, _memory("VmHWM") - before)


def _memory(key: str) -> int:
    """A size in bytes that Linux knows of this process."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split(f"{key}:")[1].split()[0]) << 10


def _write(path: Path, way: str, lines: int) -> None:
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, 30 * lines, lines))
    x, y, p = rng.integers(0, 640, lines), rng.integers(0, 480, lines), rng.integers(0, 2, lines)
    rows = zip(t.tolist(), x.tolist(), y.tolist(), p.tolist(), strict=True)
    form = FORMS[way]
    with path.open("w", encoding="utf-16" if way == "utf-16" else "utf-8") as file:
        file.writelines(form(*row) + "\n" for row in rows)


if __name__ == "__main__":
    main()
