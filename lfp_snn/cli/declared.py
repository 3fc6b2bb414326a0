"""Declarations of the commands of ``lfp-snn``: names, options, help. Their work is elsewhere.

Reading a line of arguments and printing help needs none of torch, and importing that takes longer
than all else a command line does. So this module imports nothing but Typer, and each command names
the function that does its work, of the same parameters, which is imported when the command runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lfp_snn.cli.arguments import (
    AsJson,
    Asked,
    Changes,
    Command,
    ConfigName,
    DataPart,
    ExportFormat,
    Folder,
    Jobs,
    Kind,
    NetOfConfig,
    OfItsConfig,
    OwnData,
    OwnNet,
    Run,
    Storage,
    Style,
    Threads,
    Votes,
    changes_such_as,
    runs,
)

__all__ = ["COMMANDS"]


@runs("lfp_snn.cli.train:train")
def train(
    config: ConfigName,
    overrides: Changes = None,
    out: Annotated[
        Path | None, typer.Option(help="Run directory to make; by default runs/<name>-<time>.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Serve a page to watch it, to this machine alone.")
    ] = False,
    port: Annotated[
        int | None, typer.Option(min=0, help="Of --watch; default 8470, 0 takes any.")
    ] = None,
    style: Style = None,
    net: NetOfConfig = None,
) -> None:
    """Train, test and report. Everything ends up in the run directory."""


@runs("lfp_snn.cli.runs:evaluate")
def evaluate(
    run: Run,
    overrides: OfItsConfig = None,
    votes: Votes = 1,
    as_json: AsJson = False,
    net: OwnNet = None,
    data: OwnData = None,
) -> None:
    """Test the best weights of a run once more."""


@runs("lfp_snn.cli.runs:predict")
def predict(
    run: Run,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A recording.")],
    overrides: OfItsConfig = None,
    votes: Votes = 1,
    as_json: AsJson = False,
    net: OwnNet = None,
) -> None:
    """Say which class a recording is of, and how often each output spiked (or its value).

    A network that has learnt numbers says the numbers.
    """


@runs("lfp_snn.cli.listing:list_names")
def ls(
    kind: Annotated[Kind | None, typer.Argument(help="What to list; everything if absent.")] = None,
) -> None:
    """List what can be named in a config, and the shipped configs."""


@runs("lfp_snn.cli.copies:copy")
def cp(
    config: ConfigName,
    dest: Annotated[
        Path | None, typer.Argument(metavar="[DEST]", help="File or folder; here if absent.")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Write every field, with a comment on each.")
    ] = False,
) -> None:
    """Copy a shipped config to start your own from; it holds what differs from the defaults."""


@runs("lfp_snn.cli.configs:validate")
def validate(config: ConfigName, overrides: Changes = None) -> None:
    """Check a config and its overrides without running anything."""


@runs("lfp_snn.cli.show:show")
def show(
    config: ConfigName,
    overrides: Changes = None,
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
    net: NetOfConfig = None,
) -> None:
    """Show the network of a config, layer by layer: shapes and parameters.

    Of a shipped network, hub:NAME, its model card too.
    """


@runs("lfp_snn.cli.compare:compare")
def compare(
    config: ConfigName,
    overrides: Annotated[list[str] | None, changes_such_as("compare.search.trials=4")] = None,
    learners: Annotated[
        str | None, typer.Option(help="Names from the config, by commas; all if absent.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds for each learner.")] = 5,
    jobs: Jobs = 1,
    threads: Threads = None,
    out: Folder = None,
    storage: Storage = None,
    style: Style = None,
    net: NetOfConfig = None,
) -> None:
    """Compare learning rules: each tuned with the same budget, then trained with several seeds.

    Stop it with Ctrl-C and start it again with the same command: what is finished is kept. Several
    processes at a time are quicker, but their times are those of a shared machine.
    """


@runs("lfp_snn.cli.sweep:sweep")
def sweep(
    config: ConfigName,
    overrides: Annotated[list[str] | None, changes_such_as("sweep.search.trials=4")] = None,
    jobs: Jobs = 1,
    threads: Threads = None,
    out: Folder = None,
    storage: Storage = None,
    style: Style = None,
    net: NetOfConfig = None,
) -> None:
    """Search the settings of one learner on validation data, and show which of them matter."""


@runs("lfp_snn.cli.convergence:convergence")
def convergence(
    config: ConfigName,
    overrides: Annotated[list[str] | None, changes_such_as("convergence.every=6")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds for each rule and depth.")] = 3,
    jobs: Jobs = 1,
    threads: Threads = None,
    out: Folder = None,
    style: Style = None,
) -> None:
    """Study how rules converge: reward over steps, and how updates lie to a gradient by layer.

    Stop it with Ctrl-C and start it again with the same command: what is finished is kept.
    """


@runs("lfp_snn.cli.bench:bench")
def bench(
    config: ConfigName,
    overrides: Changes = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps that are timed.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Measure a training step of a config here: time, memory, data, and where the time goes."""


@runs("lfp_snn.cli.env:env")
def env(as_json: AsJson = False) -> None:
    """Print versions, devices, and which backends can run here or why they cannot."""


@runs("lfp_snn.cli.explain:explain")
def explain(
    run: Run,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE]... [KEY=VALUE]...",
            help="Recordings, in place of a sample of its data; changes of its config.",
        ),
    ] = None,
    sample: Annotated[
        list[int] | None, typer.Option(help="Number of a sample; may be given again. Default 0.")
    ] = None,
    split: Annotated[DataPart, typer.Option(help="The part of the data.")] = DataPart.test,
    target: Annotated[
        Asked,
        typer.Option(
            help="class: why did it spike; contrast: why it and not another; share: why it rather "
            "than any other; reward: what training would send back."
        ),
    ] = Asked.of_class,
    of_class: Annotated[
        str | None, typer.Option("--class", help="The class; by default that which was read.")
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="The other class; by default the runner-up.")
    ] = None,
    rule: Annotated[
        str | None,
        typer.Option(
            metavar="RULE",
            help="A name of `lfp-snn ls rules`, a mapping such as '{name: gamma, gamma: 0.5}', or "
            "'run' for that of the training; by default norm.",
        ),
    ] = None,
    smooth: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="TIMES",
            help="Mean over so many times four copies of a recording, each without a random "
            "quarter of its events, which is more faithful; 0: of the recording as it is, quicker.",
        ),
    ] = 4,
    batch: Annotated[
        bool, typer.Option("--batch", help="A whole split: class means and mistakes.")
    ] = False,
    faithfulness: Annotated[
        bool, typer.Option("--faithfulness", help="Measure what removing events does.")
    ] = False,
    samples: Annotated[
        int | None, typer.Option(min=1, help="So many, with --batch or --faithfulness.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder; by default RUN/explain.")] = None,
    net: OwnNet = None,
    data: OwnData = None,
    style: Style = None,
) -> None:
    """Show which input events made a run decide as it did."""


@runs("lfp_snn.cli.export:export")
def export(
    run: Run,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Changes of its config, for int8 its data."),
    ] = None,
    to: Annotated[
        ExportFormat,
        typer.Option(
            help="nir: for other simulators; onnx: one time step; safetensors: weights that say "
            "what network they are of; int8: integer weights and fixed-point membranes."
        ),
    ] = ExportFormat.nir,
    out: Annotated[Path | None, typer.Option(help="File; by default RUN/network.<format>.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    finetune: Annotated[
        int, typer.Option(min=0, metavar="EPOCHS", help="int8: fine-tune with LFP so long.")
    ] = 0,
    net: OwnNet = None,
    data: OwnData = None,
) -> None:
    """Write the best weights of a run in a format of exchange."""


@runs("lfp_snn.cli.export:import_network")
def import_network(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A network in NIR (.nir).")],
    config: Annotated[
        str | None,
        typer.Argument(metavar="[CONFIG]", help="A config whose test set it is tried on."),
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Changes of the config.")
    ] = None,
    dt: Annotated[
        float | None, typer.Option(help="Seconds of a step; by default what the file says.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read a network from NIR, show its stages and, with a config, test it."""


@runs("lfp_snn.cli.metrics:metrics")
def metrics(
    run: Run,
    overrides: OfItsConfig = None,
    samples: Annotated[
        int | None, typer.Option(min=1, help="So many test samples; by default all of them.")
    ] = None,
    as_json: AsJson = False,
    net: OwnNet = None,
    data: OwnData = None,
) -> None:
    """Measure a run with NeuroBench, and estimate its energy."""


@runs("lfp_snn.cli.prune:prune")
def prune(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN... [KEY=VALUE]...", help="Runs, and changes of their configs."),
    ],
    criteria: Annotated[
        str, typer.Option(help="Of magnitude, relevance and random, by commas.")
    ] = "magnitude,relevance,random",
    shares: Annotated[
        str | None, typer.Option(help="Shares to prune, by commas; rising, and 0 first.")
    ] = None,
    scope: Annotated[
        str,
        typer.Option(help="global: weights of all layers compete; layer: those of each by itself."),
    ] = "global",
    draws: Annotated[int, typer.Option(min=1, help="Random orders for each run.")] = 5,
    samples: Annotated[
        int, typer.Option(min=1, help="Training samples through which relevance is sent.")
    ] = 300,
    save: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, metavar="SHARE", help="Write the networks with that share pruned too."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder; by default RUN/prune, and runs/prune for several runs."),
    ] = None,
    net: OwnNet = None,
    data: OwnData = None,
    style: Style = None,
) -> None:
    """Prune trained networks: what is left of accuracy, and which learner's prune better."""


#: By the name that one types, in the order of the help.
COMMANDS: dict[str, Command] = {
    "train": train,
    "evaluate": evaluate,
    "predict": predict,
    "ls": ls,
    "cp": cp,
    "validate": validate,
    "show": show,
    "compare": compare,
    "sweep": sweep,
    "convergence": convergence,
    "bench": bench,
    "env": env,
    "explain": explain,
    "export": export,
    "metrics": metrics,
    "prune": prune,
    "import": import_network,
}
