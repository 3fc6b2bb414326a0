"""The command: tests, rows, epochs, one after the other, and a record of each."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks._arguments import at_least_one
from benchmarks._tables import PrintedColumn
from benchmarks._tables import Table as Kept
from benchmarks.device.cases import CASES, LAYERS, DeviceCase
from benchmarks.device.contenders import CONTENDERS
from benchmarks.device.figures import growth_of_layers
from benchmarks.device.measure import DeviceRow, measure_epoch, measure_row
from benchmarks.device.roof import Roof, measure_roof, require
from benchmarks.steps.timing import threads
from lfp_snn.analysis.machine import machine
from lfp_snn.analysis.style import save
from lfp_snn.errors import NetworkError
from lfp_snn.training.files import write_json

__all__ = ["DeviceSession", "count_cases", "main"]

PARTS = ("counts", "table", "layers", "epochs")


class DeviceSession:
    """A run of the command.

    Args:
        device: the device to measure on.
        out: the folder for records; None to keep none.
        small: whether to take few samples and rounds.
        rounds: the number of timed steps of each row.
        console: the console that shows the tables.
    """

    def __init__(
        self, device: torch.device, out: Path | None, *, small: bool, rounds: int, console: Console
    ) -> None:
        self.device = device
        self.out = out
        self.small = small
        self.rounds = 2 if small else rounds
        self.console = console
        self._roof: Roof | None = None
        on_cuda = device.type == "cuda"
        self.record: dict[str, Any] = {
            "device": torch.cuda.get_device_name(device) if on_cuda else "cpu",
            "machine": machine(),
            "small": small,
        }

    def write(self, part: str, found: Any) -> None:
        """Keep what a part has found, at once."""
        self.record[part] = found
        if self.out is not None:
            self.out.mkdir(parents=True, exist_ok=True)
            write_json(self.out / "device.json", self.record)

    def tests(self) -> None:
        """Run the tests that need a device."""
        words = [sys.executable, "-m", "pytest", "-q", "-m", "cuda", "-p", "no:cacheprovider"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        last = done.stdout.strip().splitlines()[-1:]
        self.console.print(f"pytest -m cuda: {' '.join(last)}", highlight=False)
        self.write("tests", {"code": done.returncode, "output": done.stdout[-20_000:]})

    def roof(self) -> Roof:
        """What the device does on a copy and on products, measured once."""
        if self._roof is None:
            size = 64 if self.small else (8192 if self.device.type == "cuda" else 2048)
            self._roof = measure_roof(self.device, size=size)
            self.write("roof", asdict(self._roof))
            done = [f"{name} {each / 1e9:,.0f}" for name, each in self._roof.arithmetic.items()]
            copy = f"{self._roof.bandwidth / 1e9:,.0f} GB/s"
            self.console.print(f"roof: a copy {copy}, products {', '.join(done)} GFLOP/s")
        return self._roof

    def layers(self, widest: int) -> None:
        """Every contender on one linear layer and its neurons, over their number."""
        cases = [case for case in LAYERS if case.shape[0] <= widest]
        found = self.rows("layers", cases[:1] if self.small else cases)
        if self.out is not None:
            save(growth_of_layers(found), self.out, "device-layers")

    def rows(self, part: str, cases: Sequence[DeviceCase]) -> list[DeviceRow]:
        """Every contender on every case."""
        found: list[DeviceRow] = []
        roof = self.roof()
        for case in cases:
            given = case.small() if self.small else case
            for make in CONTENDERS:
                peaks = not self.small
                found.append(measure_row(given, make, self.device, self.rounds, roof, peaks=peaks))
                self.write(part, [each.record() for each in found])
            self.console.print(_rows_table(case.name, [r for r in found if r.case == case.name]))
        return found

    def epochs(self) -> None:
        """Epochs of ``fit``."""
        found = []
        for name in ("mnist", "nmnist"):
            epoch = measure_epoch(name, self.device, small=self.small)
            found.append(epoch.record())
            self.write("epochs", found)
            seconds = ", ".join(f"{each:.2f}" for each in epoch.seconds)
            self.console.print(f"an epoch of {epoch.samples} like {name}: {seconds} s")

    def counts(self) -> None:
        """Bytes, operations and launches, which need no device."""
        if find_spec("triton") is None:
            self.console.print("nothing is counted: Triton is not installed")
            return
        count_cases((*CASES, *LAYERS[:3]))  # wider ones only take longer to build


def count_cases(cases: Sequence[DeviceCase]) -> None:
    """Print a step as its calls are now and at least, and what that bounds its time to."""
    from benchmarks.device.roofline import H200, CountedWork, count, least  # which needs Triton

    def shown(work: CountedWork) -> float:
        return 1e3 * H200.seconds(work, graph=True)

    table = Kept(
        "step",
        PrintedColumn("GB moved", digits=2),
        PrintedColumn("GB at least", digits=2),
        PrintedColumn("GFLOP", digits=0),
        "launches",
        "launches at least",
        PrintedColumn("ms", digits=2),
        PrintedColumn("ms at least", digits=2),
        PrintedColumn("ms in two chunks", digits=2),
    )
    for case in cases:
        now, minimum = count(case), least(case)
        try:
            halves = shown(count(case, chunks=2))
        except NetworkError:  # it takes statistics of the batch over all steps
            halves = None
        table.row(
            case.name,
            now.bytes / 1e9,
            minimum.bytes / 1e9,
            minimum.operations / 1e9,
            now.launches,
            minimum.launches,
            shown(now),
            shown(minimum),
            halves,
        )
    print(f"\nComputed, not measured: {H200.name}, as a CUDA graph.")


def _rows_table(title: str, rows: Sequence[DeviceRow]) -> Table:
    table = Table("", "ms", "MiB", "GB moved", "GFLOP", "roofline [ms]", "", title=title)
    for each in rows:
        figures = (
            (each.median, 1e3, ".2f"),
            (each.peak, 2**-20, ".0f"),
            (each.moved, 1e-9, ".2f"),
            (each.operations, 1e-9, ".1f"),
            (each.least, 1e3, ".2f"),
        )
        cells = [
            "-" if value is None else f"{value * unit:{kind}}" for value, unit, kind in figures
        ]
        table.add_row(each.contender, *cells, each.why or "")
    return table


def main(words: Sequence[str] | None = None) -> None:
    """Measure what is asked for, everything if nothing is."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks device")
    parser.add_argument("parts", nargs="*", help=f"{', '.join(PARTS)}; all if none is named")
    parser.add_argument("--device", type=torch.device, default=torch.device("cuda"))
    parser.add_argument("--small", action="store_true", help="few samples, to see that it runs")
    parser.add_argument("--tests", action="store_true", help="run pytest -m cuda before")
    parser.add_argument("--rounds", type=at_least_one, default=20, help="timed steps of each row")
    parser.add_argument(
        "--widest",
        type=at_least_one,
        default=16384,
        help="neurons of the widest layer that is measured",
    )
    parser.add_argument(
        "--threads", type=at_least_one, default=2, help="threads on the CPU, for everyone"
    )
    parser.add_argument("--out", type=Path, help="folder for device.json")
    given = parser.parse_args(words)
    unknown = [each for each in given.parts if each not in PARTS]
    if unknown:
        parser.error(f"there is no part '{unknown[0]}'; expected {', '.join(PARTS)}")
    require(given.device)
    session = DeviceSession(
        given.device, given.out, small=given.small, rounds=given.rounds, console=Console()
    )
    if given.tests:
        session.tests()
    kinds = {
        "counts": session.counts,
        "table": lambda: session.rows("table", CASES),
        "layers": lambda: session.layers(given.widest),
        "epochs": session.epochs,
    }
    with threads(given.threads):
        for part in given.parts or PARTS:
            kinds[part]()
