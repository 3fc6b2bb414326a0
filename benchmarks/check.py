"""The check that the engine equals the module: its share of a first epoch on digits.

    python -m benchmarks check [CONFIG ...] [--repeats 3]

A training from a config is run for one epoch. Counted is the CPU time of this process: of every
check from the start on, beside that of the epoch with its validation
(:mod:`lfp_snn.engine.check`). The median of a few runs is shown.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass
from typing import Any
from unittest import mock

from typing_extensions import override

from benchmarks._arguments import at_least_one
from benchmarks._tables import PrintedColumn, Table
from lfp_snn.cli.shipped import find_config
from lfp_snn.data import Splits
from lfp_snn.engine import network
from lfp_snn.engine.check import check_equal
from lfp_snn.training import Config, Observer, StepReport, load_config, train
from lfp_snn.training.assembly import load_splits


@dataclass(frozen=True)
class Share:
    """The seconds of CPU time of all checks, their number, and the seconds of the first epoch."""

    check_s: float
    checks: int
    epoch_s: float


class _Epoch(Observer):
    """An observer that notes the CPU time of an epoch."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @override
    def started(self, report: StepReport) -> None:
        self.seconds = -time.process_time()

    @override
    def epoch_ended(self, metrics: dict[str, Any]) -> None:
        self.seconds += time.process_time()


def measure(config: Config, splits: Splits) -> Share:
    """Train for one epoch, and count the checks."""
    taken: list[float] = []

    def timed(*arguments: Any) -> None:
        started = time.process_time()
        check_equal(*arguments)
        taken.append(time.process_time() - started)

    epoch = _Epoch()
    with mock.patch.object(network, "check_equal", timed):
        train(config, splits=splits, observers=[epoch])
    return Share(sum(taken), len(taken), epoch.seconds)


def main() -> None:
    """Read the arguments, measure, print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("configs", nargs="*", default=["digits"], help="by default digits")
    parser.add_argument("--repeats", type=at_least_one, default=3)
    options = parser.parse_args()
    seconds = [
        PrintedColumn(title, digits=3) for title in ("their CPU time, s", "a first epoch, s")
    ]
    table = Table("config", "checks", *seconds, PrintedColumn("share, %"))
    for name in options.configs:
        config = load_config(find_config(name), ["epochs=1", "device=cpu", "baseline=false"])
        splits = load_splits(config)
        found = [measure(config, splits) for _ in range(options.repeats)]
        check_s = statistics.median(each.check_s for each in found)
        epoch_s = statistics.median(each.epoch_s for each in found)
        table.row(name, found[0].checks, check_s, epoch_s, 100 * check_s / epoch_s)


if __name__ == "__main__":
    main()
