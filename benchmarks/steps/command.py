"""``python -m benchmarks steps``: the cost of a training step, beside other toolkits."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lfp_snn.errors import RunError

__all__ = ["app"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class MeasuredPart(StrEnum):
    """The parts that can be measured."""

    step = "step"
    memory = "memory"
    claims = "claims"
    mnist_epoch = "mnist-epoch"


class Quantity(StrEnum):
    """The quantities that a sweep can vary."""

    activity = "activity"
    steps = "steps"
    width = "width"
    batch = "batch"


@app.command()
def measure(
    parts: Annotated[
        list[MeasuredPart] | None,
        typer.Argument(
            metavar="[PART]...",
            help="step: ours beside other toolkits (if nothing else is asked for); memory: the "
            "peak of a step; claims: what is said of growth, on few points; mnist-epoch.",
        ),
    ] = None,
    sweep: Annotated[
        list[Quantity] | None, typer.Option(help="How cost grows with this; may be repeated.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every part and sweep.")] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Tiny synthetic problems, to see that it runs.")
    ] = False,
    root: Annotated[
        Path, typer.Option(help="Folder with NMNIST (else digits are simulated) and MNIST.")
    ] = Path("datasets"),
    rounds: Annotated[int, typer.Option(min=1, help="Timed steps of each contender.")] = 9,
    threads: Annotated[int, typer.Option(min=1, help="Threads for everyone.")] = 2,
    out: Annotated[Path | None, typer.Option(help="Folder for bench.json and plots.")] = None,
) -> None:
    """Measure a training step, ours and those of other toolkits, side by side."""
    # Imported here, so that --help answers at once.
    from benchmarks.steps import timing
    from benchmarks.steps.suite import Outcome, Suite
    from benchmarks.steps.tables import machine_lines, outcome

    console = Console()
    if out is not None:
        _make(out)
    chosen, quantities = parts or [], sweep or []
    if everything:
        chosen, quantities = _everything(root), list(Quantity)
    elif not chosen and not quantities:
        chosen = [MeasuredPart.step]
    with timing.threads(threads), console.status("") as status:

        def show(result: Outcome) -> None:
            console.print(outcome(result), highlight=False)
            console.print()
            if out is not None:
                suite.results.write(out)

        def doing(line: str) -> None:
            status.update(f"measuring: {line}")

        suite = Suite(root, rounds, quick, show, doing)
        console.print(machine_lines(suite.results.machine), highlight=False, soft_wrap=True)
        kinds = {
            MeasuredPart.step: suite.step,
            MeasuredPart.memory: suite.memory,
            MeasuredPart.claims: suite.claims,
            MeasuredPart.mnist_epoch: suite.mnist_epoch,
        }
        for part in chosen:
            kinds[part]()
        for quantity in quantities:
            suite.sweep(quantity)
    if quick:
        console.print("tiny problems: these figures say nothing of the speed", soft_wrap=True)
        return
    for claim in suite.results.claims():
        console.print(str(claim), highlight=False, soft_wrap=True)


def _everything(root: Path) -> list[MeasuredPart]:
    """All parts that can be measured here; the sweeps contain what the claims rest on."""
    parts = [MeasuredPart.step, MeasuredPart.memory]
    if (root / "MNIST").is_dir():
        parts.append(MeasuredPart.mnist_epoch)
    else:
        typer.echo(f"mnist-epoch is left out: there is no {root / 'MNIST'}")
    return parts


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder} cannot be made: {error.strerror}.") from error
