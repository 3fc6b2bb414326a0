"""``lfp-snn prune``: accuracy over the share of weights pruned, learners side by side."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from lfp_snn.analysis.exchange.weights import weights_bytes
from lfp_snn.analysis.prune.criteria import Criterion
from lfp_snn.analysis.prune.curve import (
    SHARES,
    PruningOptions,
    learner_name,
    prune_run,
    rankings,
    refuse_unlike,
)
from lfp_snn.analysis.prune.findings import PruningFindings
from lfp_snn.analysis.prune.ranking import Scope
from lfp_snn.analysis.prune.report import (
    SUMMARY_NOTE,
    SUMMARY_TITLES,
    curve_tables,
    summary_rows,
    write_pruning,
)
from lfp_snn.cli.own import opened
from lfp_snn.cli.study import print_table, tell
from lfp_snn.console import folder_for, shown, time_bar
from lfp_snn.data import SampleSet
from lfp_snn.errors import ConfigError
from lfp_snn.options import nearest
from lfp_snn.shipped import outputs_of_run
from lfp_snn.training import TrainedRun
from lfp_snn.training.files import write_atomic

__all__ = ["prune"]

SHOWN = 7  # characters of a share in a table, beside which stand the learner and the criterion


def prune(
    runs: Sequence[str],
    criteria: str,
    shares: str | None,
    scope: str,
    draws: int,
    samples: int,
    save: float | None,
    out: Path | None,
    net: str | None,
    data: str | None,
) -> None:
    """Prune trained networks; see :func:`lfp_snn.cli.declared.prune`."""
    options = PruningOptions(
        criteria=_criteria(criteria),
        shares=SHARES if shares is None else _numbers(shares),
        scope=Scope(_known("--scope", scope, [each.value for each in Scope])),
        draws=draws,
        samples=samples,
    )
    # A run is told from a change of its config by the sign of equality, unless it is there.
    paths = [Path(each) for each in runs if "=" not in each or Path(each).exists()]
    changes = [each for each in runs if Path(each) not in paths]
    if not paths:
        raise ConfigError("No RUN is named: name one or more run directories.")
    trained = {path: opened(path, changes, net, data) for path in paths}
    configs = {path: each.config for path, each in trained.items()}
    refuse_unlike(configs)
    names = {path: learner_name(config.learner) for path, config in configs.items()}
    parent = outputs_of_run(paths[0]) if len(paths) == 1 else Path("runs")
    folder = folder_for(out or parent / "prune")
    splits = trained[paths[0]].classified()
    console = Console()
    orders = sum(draws if each == "random" else 1 for each in options.criteria)
    found = []
    with time_bar(console) as bar:
        task = bar.add_task("pruning", total=orders * len(paths))
        for path, each in trained.items():
            bar.update(task, description=f"pruning {shown(path)}")
            found.append(prune_run(path, each, splits, options, lambda: bar.advance(task)))
            if save is not None:
                _save(each, names[path], splits.train, options, save, folder)
    findings = PruningFindings(found, options, len(splits.test))
    name = trained[paths[0]].name
    report = write_pruning(findings, folder, name, splits.info.get("source", ""))
    print_table(console, SUMMARY_TITLES, summary_rows(findings))
    console.print(SUMMARY_NOTE, highlight=False)
    console.print("\ntest accuracy, %, by the share pruned", highlight=False)
    beside = sum(max(map(len, each)) + 2 for each in (names.values(), options.criteria))
    for titles, rows in curve_tables(findings, max(1, (console.width - beside) // SHOWN)):
        print_table(console, titles, rows)
    tell(console, findings, report)


def _criteria(given: str) -> tuple[Criterion, ...]:
    known = [each.value for each in Criterion]
    return tuple(
        Criterion(_known("--criteria", name.strip(), known))
        for name in dict.fromkeys(given.split(","))
    )


def _known(option: str, given: str, known: Sequence[str]) -> str:
    """The member of an enumeration that a word names.

    Raises:
        ConfigError: the word names none of them.
    """
    if given not in known:
        guess = nearest(given, known)
        hint = f"did you mean {guess}?" if guess else f"expected {', '.join(known)}."
        raise ConfigError(f"{option} has {given!r}, which is not known; {hint}")
    return given


def _numbers(given: str) -> tuple[float, ...]:
    try:
        return tuple(float(each) for each in given.split(","))
    except ValueError:
        raise ConfigError(
            f"--shares is {given!r}; expected numbers by commas, such as 0,0.5,0.9."
        ) from None


def _save(
    trained: TrainedRun,
    learner: str,
    train: SampleSet,
    options: PruningOptions,
    share: float,
    folder: Path,
) -> None:
    """Write the network as each criterion would prune it, but for random ones."""
    config, net = trained.config, trained.learner.net
    for criterion in options.criteria:
        if criterion == "random":
            continue
        (ranking,) = rankings(trained, train, criterion, options)
        with ranking.pruned(net, share):
            content = weights_bytes(net, trained.model, train.feature_shape, trained.classes)
        stem = f"{re.sub(r'[^a-z0-9_.]+', '-', learner)}-seed-{config.seed}-{criterion}-{share:g}"
        write_atomic(folder / f"{stem}.safetensors", content)
