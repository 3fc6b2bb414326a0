"""``lfp-snn explain``: the relevance of every input event, as pictures, tables and a page."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import typer
from rich.console import Console

from lfp_snn.analysis.explain import explanation, page, pictures, sheet, tables
from lfp_snn.analysis.explain.attribute import Explainer
from lfp_snn.analysis.explain.explanation import Explanation
from lfp_snn.analysis.explain.measure import JITTER, figure_of_curves, measure
from lfp_snn.analysis.explain.smooth import SmoothExplainer
from lfp_snn.analysis.explain.target import (
    Contrast,
    OfClass,
    OfLabel,
    OfOutputs,
    OfReward,
    OfShare,
    Target,
    class_number,
)
from lfp_snn.analysis.style import save
from lfp_snn.cli.arguments import Asked, DataPart
from lfp_snn.cli.meant import is_file
from lfp_snn.cli.own import opened
from lfp_snn.cli.recorded import tell_of_corner
from lfp_snn.console import folder_for, progress_console, shown, time_bar, two_columns
from lfp_snn.data import SampleSet
from lfp_snn.errors import ConfigError
from lfp_snn.learners.lfp import LFPOptions
from lfp_snn.rules import Composite, Norm, Rule
from lfp_snn.shipped import outputs_of_run
from lfp_snn.training import TrainedRun
from lfp_snn.training.config import Settings
from lfp_snn.training.configfile import make_config, parse_yaml
from lfp_snn.training.files import write_json

__all__ = ["explain"]


def explain(
    run: Path,
    overrides: Sequence[str] | None,
    sample: Sequence[int] | None,
    split: DataPart,
    target: Asked,
    of_class: str | None,
    against: str | None,
    rule: str | None,
    smooth: int,
    batch: bool,
    faithfulness: bool,
    samples: int | None,
    out: Path | None,
    net: str | None,
    data: str | None,
) -> None:
    """Show which events made a run decide; see :func:`lfp_snn.cli.declared.explain`."""
    if samples is not None and not (batch or faithfulness):
        raise ConfigError("--samples is for --batch and --faithfulness; name samples by --sample.")
    if sample and (batch or faithfulness):
        raise ConfigError("--sample names samples; --batch and --faithfulness take --samples N.")
    # A recording is told from a change of the config by the sign of equality, unless it is there.
    files = [Path(each) for each in overrides or () if "=" not in each or is_file(each)]
    if files and (sample or batch or faithfulness):
        raise ConfigError(
            "--sample, --batch and --faithfulness are of the run's data; leave them out where "
            "recordings are named."
        )
    changes = [each for each in overrides or () if Path(each) not in files]
    trained = opened(run, changes, net, data)
    explainer = _explainer(trained, _rule(rule, trained), smooth)
    asked = _target(target, of_class, against, trained.classes, explainer)
    folder = folder_for(out or outputs_of_run(run) / "explain")
    if batch or faithfulness:
        part = getattr(trained.classified(), split.value)
        part = _some(part, samples, split.value)
        if batch:
            _batch(explainer, part, folder, split.value)
        if faithfulness:
            if not isinstance(asked, OfOutputs):
                raise ConfigError("--faithfulness measures --target class, contrast or share.")
            _faithfulness(explainer, part, asked, folder, split.value)
        return
    if files:
        for file in files:
            recorded = trained.recording(file)
            tell_of_corner(file, recorded.batch([0]))
            (found,) = explanation.explain(explainer, recorded, [0], asked)
            _write(found, folder / file.stem, str(file))
        return
    _samples(trained, explainer, split.value, list(sample or [0]), asked, folder)


def _explainer(trained: TrainedRun, rule: Rule | Composite, smooth: int) -> Explainer:
    if smooth:
        return SmoothExplainer(trained.learner, rule, smooth)
    return Explainer(trained.learner, rule)


def _rule(given: str | None, trained: TrainedRun) -> Rule | Composite:
    """The rule that the user names.

    Raises:
        ConfigError: there is no rule of that name, or it has no such options.
    """
    if given is None:
        return Norm()
    if given == "run":
        return trained.learner.engine.rule
    try:
        content: Any = parse_yaml(given, "--rule")
    except ConfigError as error:
        raise ConfigError(f"--rule {given!r} is neither a name nor a mapping.") from error
    section = {"name": content} if isinstance(content, str) else content
    settings = make_config(Settings, {"learner": {"name": "lfp", "rule": section}}, "--rule")
    assert isinstance(settings.learner, LFPOptions)
    made: Rule | Composite = settings.learner.rule.make()
    return made


def _target(
    kind: Asked, of_class: str | None, against: str | None, classes: list[str], explainer: Explainer
) -> Target:
    if against is not None and kind is not Asked.contrast:
        raise ConfigError("--against is for --target contrast.")
    if kind is Asked.reward:
        if of_class is not None:
            raise ConfigError(
                "--class is for --target class, contrast or share; a reward knows the label."
            )
        return OfReward(explainer.reward)
    number = None if of_class is None else class_number(of_class, classes, "--class")
    if kind is Asked.of_class:
        return OfClass(number)
    if kind is Asked.share:
        return OfShare(number)
    other = None if against is None else class_number(against, classes, "--against")
    return Contrast(number, other)


def _some(part: SampleSet, number: int | None, name: str) -> SampleSet:
    """A sample of the part, drawn alike each time."""
    if number is None:
        return part
    if number > len(part):
        raise ConfigError(f"--samples is {number}, but the {name} set has {len(part)}.")
    chosen = np.random.default_rng(0).permutation(len(part))[:number]
    return part.subset(np.sort(chosen))


def _samples(
    trained: TrainedRun,
    explainer: Explainer,
    split: str,
    indices: list[int],
    target: Target,
    folder: Path,
) -> None:
    part = getattr(trained.classified(streamed=True), split)
    explanation.check_indices(indices, part, split)
    found = explanation.explain(explainer, part, indices, target)
    for index, each in zip(indices, found, strict=True):
        _write(each, folder / f"{split}-{index}", f"{split} {index}, {each.name}")


def _write(found: Explanation, folder: Path, name: str) -> None:
    """Write an explanation into a folder, and tell it."""
    folder_for(folder)
    save(pictures.strip(found), folder, "strip")
    save(pictures.profile(found), folder, "profile")
    if not found.constant:
        pictures.write_gif(found, folder / "frames.gif")
    page.write_page(found, folder / "page.html")
    tables.write_csv(found, folder / "events.csv")
    tables.write_arrays(found, folder / "relevance.npz")
    typer.echo(f"{name}: {found.verdict}")
    if not found.entered and not found.relevance.any():  # a tie enters as nothing in sum
        typer.echo("  nothing entered: what is asked about did not spike, or earned nothing")
    typer.echo(f"  to look at: {shown(folder / 'page.html')}; beside it pictures and tables")


def _batch(explainer: Explainer, part: SampleSet, folder: Path, split: str) -> None:
    with time_bar(progress_console(sys.stdout)) as bar:
        every = explanation.explain(explainer, part, range(len(part)), OfClass())
        found = list(bar.track(every, len(part), description="explaining"))
        wrong = [n for n, each in enumerate(found) if 0 <= each.label != each.prediction]
        again = explanation.explain(explainer, part, wrong, OfLabel())
        true = list(bar.track(again, len(wrong), description="explaining mistakes"))
    means = sheet.class_means(found)
    save(sheet.means_figure(means, part.classes), folder, f"{split}-classes")
    sheet.write_means(means, part.classes, folder / f"{split}-classes.npz")
    sheet.write_rows(found, folder / f"{split}.csv")
    typer.echo(f"{len(found)} samples, {len(wrong)} misread: {shown(folder)}/{split}-classes.png")
    worst = sheet.mistakes([found[n] for n in wrong], true)
    if worst:
        save(sheet.mistakes_figure(worst), folder, f"{split}-mistakes")
        typer.echo(f"the most confident mistakes: {shown(folder)}/{split}-mistakes.png")


def _faithfulness(
    explainer: Explainer, part: SampleSet, target: OfOutputs, folder: Path, split: str
) -> None:
    batch = part.batch(range(len(part))).to(explainer.engine.device)
    with time_bar(progress_console(sys.stdout)) as bar:
        task = bar.add_task("removing events", total=1)
        found = measure(
            explainer, batch, target, done=lambda share: bar.update(task, completed=share)
        )
    rows = [("area between the curves", "class's share of the output; accuracy")]
    for name, area in found.areas.items():
        rows.append((f"  {name}", f"{area};  {found.areas_of_accuracy[name]}"))
    rows += [
        ("conservation error", f"{found.conservation_error:.2%}"),
        (
            f"stability, jitter of {JITTER:g} step",
            str(found.stability or "unknown: no explanation differs over pixels"),
        ),
    ]
    Console().print(two_columns(rows))
    save(figure_of_curves([found]), folder, f"{split}-faithfulness")
    write_json(folder / f"{split}-faithfulness.json", found.to_json())
    typer.echo(f"drawn: {shown(folder)}/{split}-faithfulness.png")
