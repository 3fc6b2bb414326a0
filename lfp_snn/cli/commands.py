"""The commands of ``lfp-snn``: each reads its arguments, calls the library and shows the outcome.

Exit codes: 0 done; 2 a mistake that the user can mend, told in one line; 130 and 143 stopped by
Ctrl-C or SIGTERM with everything saved.
"""

from __future__ import annotations

import errno
import json
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from io import TextIOWrapper
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console
from typer.core import TyperGroup

from lfp_snn import __version__
from lfp_snn.analysis.experiments import STUDIES, load_any
from lfp_snn.cli.compare import compare, sweep
from lfp_snn.cli.convergence import convergence
from lfp_snn.cli.data import app as data_commands
from lfp_snn.cli.display import Display, percent, result_table, shown, two_columns
from lfp_snn.cli.env import env
from lfp_snn.cli.explain import explain
from lfp_snn.cli.export import export, import_network
from lfp_snn.cli.listing import Kind, entries
from lfp_snn.cli.metrics import metrics
from lfp_snn.cli.prune import prune
from lfp_snn.cli.shipped import find_config
from lfp_snn.engine import TemporalLFP
from lfp_snn.errors import ConfigError, LfpSnnError, RunError
from lfp_snn.models.layer import as_text as shape_text
from lfp_snn.training import Config, Interrupted, Observer, Result, TrainedRun, load_config
from lfp_snn.training import train as run_training
from lfp_snn.training.assembly import build_learner, load_splits
from lfp_snn.training.configfile import read_mapping
from lfp_snn.training.configtext import commented
from lfp_snn.training.distributed import World, join, rank
from lfp_snn.training.outofmemory import of_memory
from lfp_snn.training.rundir import RunDir
from lfp_snn.wholefiles import write_whole

__all__ = ["app", "main"]

WATCH_PORT = 8470
_NAME = 200  # characters of a name in a message
SIGNAL_BASE = 128  # exit code of a program that a signal stopped, by convention of shells

ConfigArgument = Annotated[
    str, typer.Argument(metavar="CONFIG", help="A YAML file, or the name of a shipped config.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Changes, such as optimizer.lr=1e-3."),
]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class _Commands(TyperGroup):
    """Tells what the user can mend in one line, without a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command, and turn an error into a line and an exit code."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):  # names of files need not be text to be shown
                stream.reconfigure(errors="backslashreplace")
        try:
            return super().invoke(ctx)
        except LfpSnnError as error:
            raise _told(str(error), error) from error
        except UnicodeEncodeError as error:
            # Linux names files with any bytes; Python keeps those that are no text as surrogates.
            if not _is_foreign(error.object):
                raise
            raise _told(
                f"The name {error.object[:_NAME]!a} is not UTF-8 and cannot be written: "
                "rename the file or folder.",
                error,
            ) from error
        except KeyboardInterrupt as error:
            raise _told("Stopped.", Interrupted("", signal.SIGINT)) from error
        except OSError as error:
            if error.errno == errno.EPIPE:  # nobody reads what is printed; no mistake
                raise
            named = f"{error.filename}: " if error.filename else ""
            raise _told(f"{named}{error.strerror or error}.", error) from error
        except (MemoryError, RuntimeError) as error:
            if not of_memory(error):
                raise
            raise _told(
                "Memory ran out: make batch_size, data.train or the network smaller.", error
            ) from error


def _is_foreign(text: str) -> bool:
    """Whether a name has bytes that are no UTF-8."""
    return any("\udc80" <= letter <= "\udcff" for letter in text)


def _told(message: str, error: BaseException) -> typer.Exit:
    """Print one line; the exit code that goes with it."""
    where = "error" if rank() is None else f"error in process {rank()}"
    typer.echo(f"{where}: {' '.join(message.split())}", err=True)
    return typer.Exit(SIGNAL_BASE + error.signum if isinstance(error, Interrupted) else 2)


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train spiking networks on event data without surrogate gradients.",
)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command()
def train(
    config: ConfigArgument,
    overrides: Overrides = None,
    out: Annotated[
        Path | None, typer.Option(help="Run directory to make; by default runs/<name>-<time>.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Serve a page to watch it, to this machine alone.")
    ] = False,
    port: Annotated[
        int | None, typer.Option(min=0, help=f"Of --watch; default {WATCH_PORT}, 0 takes any.")
    ] = None,
) -> None:
    """Train, test and report. Everything ends up in the run directory."""
    if port is not None and not watch:
        raise ConfigError("--port is for --watch.")
    settings = _experiment(find_config(config), overrides or ())
    if resume and out is None:
        raise RunError("--resume needs --out RUN, the run to go on with.")
    run = out or Path("runs") / f"{settings.name}-{datetime.now():%Y%m%d-%H%M%S}"
    world = join(settings.device)
    console = Console(quiet=not world.first)
    if watch and port is None:
        port = WATCH_PORT
    with _watched(run, port if world.first else None, console) as observers:
        result = _train(settings, run, resume, console, world, observers)
    if not world.first:
        return
    console.print()
    console.print(result_table(result))
    console.print(f"report: {shown(_report(run))}", soft_wrap=True, highlight=False)


@app.command()
def evaluate(run: RunArgument, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Test the best weights of a run once more."""
    evaluation = TrainedRun.open(run, overrides or ()).evaluate()
    if evaluation.error is not None:
        told = json.dumps({"test_error": evaluation.error})
        typer.echo(told if as_json else f"test error  {evaluation.error:.4g}")
        return
    if as_json:
        typer.echo(json.dumps({"test_accuracy": evaluation.accuracy, "test_ties": evaluation.ties}))
        return
    rows = [
        ("test accuracy", percent(evaluation.accuracy, 2)),
        ("ties", percent(evaluation.ties)),
    ]
    Console().print(two_columns(rows))


@app.command()
def predict(
    run: RunArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A recording.")],
    as_json: AsJson = False,
) -> None:
    """Say which class a recording is of, and how often each output spiked (or its membrane).

    A network that has learnt numbers says the numbers.
    """
    trained = TrainedRun.open(run)
    batch = trained.read(file)
    if batch.targets is not None:
        estimate = trained.learner.estimate(batch)[0].tolist()
        said = {name: round(each, 4) for name, each in zip(trained.classes, estimate, strict=True)}
        told = json.dumps({"file": str(file), "targets": said})
        typer.echo(told if as_json else "  ".join(f"{name}: {n}" for name, n in said.items()))
        return
    prediction = trained.learner.predict(batch)
    evidence, numbers = "spikes", trained.learner.counts(batch)[0].long().tolist()
    if trained.learner.engine.is_readout:
        mean = trained.learner.engine.membranes[:, 0].mean(0)
        evidence, numbers = "membranes", [round(each, 4) for each in mean.tolist()]
    name, tie = trained.classes[int(prediction.classes[0])], bool(prediction.ties[0])
    by_class = dict(zip(trained.classes, numbers, strict=True))
    if as_json:
        key = "counts" if evidence == "spikes" else evidence
        typer.echo(json.dumps({"file": str(file), "class": name, "tie": tie, key: by_class}))
        return
    typer.echo(f"class {name}{' (a tie; the first of the best)' if tie else ''}")
    typer.echo(f"{evidence}  " + "  ".join(f"{each}: {count}" for each, count in by_class.items()))


@app.command("ls")
def list_names(
    kind: Annotated[Kind | None, typer.Argument(help="What to list; everything if absent.")] = None,
) -> None:
    """List what can be named in a config, and the shipped configs."""
    console = Console()
    for each in Kind if kind is None else (kind,):
        console.print(f"[bold]{each.value}[/]")
        console.print(two_columns((f"  {name}", line) for name, line in entries(each)))


@app.command("cp")
def copy(
    config: ConfigArgument,
    dest: Annotated[
        Path | None, typer.Argument(metavar="[DEST]", help="File or folder; here if absent.")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Write every field, with a comment on each.")
    ] = False,
) -> None:
    """Copy a shipped config to start your own from; it holds what differs from the defaults."""
    source = find_config(config)
    text = _in_full(source) if full else source.read_text(encoding="utf-8")
    target = dest or Path(source.name)
    if target.is_dir():
        target /= source.name
    try:
        write_whole(target, text.encode(), new=True)
    except FileExistsError:
        raise RunError(f"{target} exists already; name another file.") from None
    except OSError as error:
        raise RunError(f"{target} cannot be written: {error.strerror}.") from error
    typer.echo(f"copied to {target}")


@app.command()
def validate(config: ConfigArgument, overrides: Overrides = None) -> None:
    """Check a config and its overrides without running anything."""
    path = find_config(config)
    load_any(path, overrides or [])
    typer.echo(f"{path} is valid")


@app.command()
def show(
    config: ConfigArgument,
    overrides: Overrides = None,
    shape: Annotated[
        str | None,
        typer.Option("--input", metavar="CxHxW", help="Shape of an input; else that of the data."),
    ] = None,
    classes: Annotated[
        int, typer.Option(min=1, help="Number of classes, with --input; else that of the data.")
    ] = 10,
    resolved: Annotated[
        bool, typer.Option("--config", help="Print the whole config instead, defaults included.")
    ] = False,
) -> None:
    """Show the network of a config, layer by layer: shapes and parameters."""
    if resolved:
        typer.echo(commented(load_any(find_config(config), overrides or [])), nl=False)
        return
    settings = _experiment(find_config(config), overrides or ())
    feature = None if shape is None else _input_shape(shape)
    if feature is None:
        train = load_splits(settings).train
        feature, classes = train.feature_shape, len(train.classes)
    net = settings.model.build(feature, classes).eval()
    own = build_learner(net, settings).engine
    engine = TemporalLFP(net, own.rule, backend="torch")  # a row for every layer
    engine.forward(torch.zeros(1, 1, *feature), record=False)
    typer.echo(f"{settings.model.name} for inputs of {shape_text(feature)}, {classes} classes")
    typer.echo(engine.summary(own.kernels))


def _input_shape(given: str) -> tuple[int, ...]:
    sizes = given.lower().split("x")
    if not all(size.strip().isdecimal() and int(size) for size in sizes):
        raise ConfigError(f"--input is {given!r}; expected sizes such as 2x34x34 or 700.")
    return tuple(map(int, sizes))


app.command()(compare)
app.command()(sweep)
app.command()(convergence)
app.command()(env)
app.command()(explain)
app.command()(export)
app.command()(metrics)
app.command()(prune)
app.command("import")(import_network)
app.add_typer(data_commands, name="data")


def _in_full(path: Path) -> str:
    """Every field of a config, under the comment at the head of the file."""
    head = takewhile(lambda line: line.startswith("#"), path.read_text("utf-8").splitlines())
    return commented(load_any(path, []), [line.removeprefix("#").strip() for line in head])


def _experiment(path: Path, overrides: Sequence[str]) -> Config:
    """The config of one training."""
    for section in read_mapping(path).keys() & STUDIES.keys():
        raise ConfigError(f"{path} has a section {section}: run it with lfp-snn {section}.")
    return load_config(path, overrides)


@contextmanager
def _watched(run: Path, port: int | None, console: Console) -> Iterator[list[Observer]]:
    """Observers of a training that is watched at that port; none without one."""
    if port is None:
        yield []
        return
    from lfp_snn.analysis.watch import Watch  # slow to import

    with Watch(run.name, port) as watch:
        console.print(f"watch: {watch.url}", soft_wrap=True, highlight=False)
        yield [watch]


def _train(
    config: Config,
    run: Path,
    resume: bool,
    console: Console,
    world: World,
    observers: Sequence[Observer],
) -> Result:
    if not resume:
        world.on_first(lambda: RunDir.check_new(run))
    console.print(f"run: {shown(run)}", soft_wrap=True, highlight=False)
    splits = load_splits(config)
    sizes = f"{len(splits.train)} train, {len(splits.val)} val, {len(splits.test)} test"
    console.print(f"data: {splits.info['source']}; {sizes}", soft_wrap=True, highlight=False)
    if splits.info.get("skipped"):
        console.print(f"skipped: {splits.info['skipped']} files that cannot be read")
    try:
        with Display(console, config.epochs) as display:
            result = run_training(
                config, run, splits=splits, resume=resume, observers=[display, *observers]
            )
    except KeyboardInterrupt:
        raise Interrupted(
            f"Stopped at once; if {run} is there, it goes on from its last checkpoint with: "
            f"lfp-snn train {run}/config.yaml --out {run} --resume",
            signal.SIGINT,
        ) from None
    several = len(np.unique(splits.train.labels)) > 1  # one class, or targets: nothing to tell
    if config.baseline and result.baseline is None and several and world.first:
        from lfp_snn.analysis.baseline import logistic_baseline  # slow to import

        name = "logistic regression on events summed over time"
        accuracy = logistic_baseline(splits)
        result = replace(result, baseline={"name": name, "test_accuracy": accuracy})
        result.write()
    return result


def _report(run: Path) -> Path:
    from lfp_snn.analysis.report import write_report  # slow to import

    return write_report(run)


def main() -> None:
    """Entry point of the command ``lfp-snn``."""
    app()
