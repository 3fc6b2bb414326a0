"""``lfp-snn data``: lists and downloads of datasets; views, checks, conversions of recordings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    track,
)

from lfp_snn.analysis.eventplots import animate, overview
from lfp_snn.analysis.style import as_bytes
from lfp_snn.cli.declared_data import ValidateBy
from lfp_snn.console import shown, two_columns
from lfp_snn.data import DATASETS, entries, index, parts
from lfp_snn.data.camera import Camera
from lfp_snn.data.events import sensor_text
from lfp_snn.data.formats import (
    FORMATS,
    Layout,
    detect,
    read_mixed,
    read_recording,
    write_recording,
)
from lfp_snn.data.formats.base import put
from lfp_snn.data.notices import RecordingFigures, figures_of, notices, notices_of_folder
from lfp_snn.data.published import DESCRIPTIONS
from lfp_snn.data.published.fetch import fetch
from lfp_snn.data.simulated import simulate_file
from lfp_snn.errors import DataError

__all__ = [
    "check",
    "convert",
    "fetch_dataset",
    "import_folder",
    "info",
    "list_datasets",
    "show",
    "simulate",
]


def list_datasets() -> None:
    """List the datasets; see :mod:`lfp_snn.cli.declared_data`."""
    rows = []
    for name, dataset in DATASETS.items():
        known = DESCRIPTIONS.get(name)
        if known is None:
            rows.append((name, dataset.source.partition(",")[0].partition(" (")[0]))
            continue
        root = dataset.options().root  # type: ignore[attr-defined]
        facts = [
            known.title,
            f"sensor {'x'.join(map(str, known.sensor[::-1]))}",
            f"{len(known.classes) or 'folders as'} classes",
            f"{'+'.join(map(str, known.recordings))} recordings",
            f"licence {known.licence or 'not stated'}",
            shown(root) if root.is_dir() else "not here",
        ]
        rows.append((name, "; ".join(facts)))
    Console().print(two_columns(rows))


def info(
    source: str,
    camera: str | None,
    column_order: str | None,
    time_unit: str | None,
) -> None:
    """Print what a recording or a dataset is; see :mod:`lfp_snn.cli.declared_data`."""
    layout = Layout.of(column_order, time_unit)
    rows = _about(source) if source in DATASETS else _recorded(Path(source), camera, layout)
    Console().print(two_columns(rows))


def _about(name: str) -> list[tuple[str, str]]:
    """The rows of a table of what is known of a dataset."""
    known, options = DESCRIPTIONS.get(name), DATASETS[name].options()
    binning = getattr(options, "binning_options", None)
    rows = [("dataset", name), ("what", DATASETS[name].source)]
    if known is not None:
        rows += [
            ("sensor", sensor_text(known.sensor)),
            ("classes", ", ".join(known.classes) or "the folders that are there"),
            ("recordings", " + ".join(f"{count:,}" for count in known.recordings)),
            ("split", known.split),
            ("licence", known.licence or "not stated"),
            ("citation", known.citation),
            ("folder", shown(options.root)),  # type: ignore[attr-defined]
            ("holds", known.layout),
        ]
    if binning is not None:
        rows.append(("recommended", f"{binning()}, preprocess {_steps(options)}"))
    return rows


def _steps(options: Any) -> str:
    return ", ".join(str(each.make()) for each in options.preprocess) or "nothing"


def fetch_dataset(name: str, to: Path | None) -> None:
    """Fetch a published dataset; see :mod:`lfp_snn.cli.declared_data`."""
    if name not in DESCRIPTIONS:
        known = ", ".join(DESCRIPTIONS)
        raise DataError(f"{name!r} cannot be fetched; these can: {known}")
    root = to or DATASETS[name].options().root  # type: ignore[attr-defined]
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TextColumn("left"), TimeRemainingColumn()) as bar:
        tasks: dict[str, TaskID] = {}

        def progress(file: str, done: int, total: int) -> None:
            if file not in tasks:
                tasks[file] = bar.add_task(file, total=total or None)
            bar.update(tasks[file], completed=done)

        fetched = fetch(DESCRIPTIONS[name], root, progress)
    typer.echo(f"{'fetched' if fetched else 'there already'}: {shown(root)}")


def _recorded(file: Path, camera: str | None, layout: Layout) -> list[tuple[str, str]]:
    """The rows of a table of what a recording is."""
    form = detect(file)
    events = read_recording(file, camera=camera, layout=layout)
    duration = (int(events.t.max()) - int(events.t.min())) / 1e6
    rate = f"{len(events) / duration:,.0f} events/s" if duration else "all at one time"
    unsaid = ", or more: the file does not say" if events.size_from_events else ""
    backwards = int((events.t[1:] < events.t[:-1]).sum())
    on = [("ON", f"{events.p.mean():.1%}")] if events.sensor[0] == 2 else []
    return [
        ("format", form.title),
        ("events", f"{len(events):,}"),
        ("sensor", sensor_text(events.sensor) + unsaid),
        ("duration", f"{duration:.6g} s"),
        ("rate", rate),
        *on,
        ("times that run backwards", f"{backwards:,}"),
    ]


def show(
    file: Path,
    out: Path | None,
    gif: Path | None,
    camera: str | None,
    column_order: str | None,
    time_unit: str | None,
) -> None:
    """Draw a recording; see :mod:`lfp_snn.cli.declared_data`."""
    events = read_recording(file, camera=camera, layout=Layout.of(column_order, time_unit))
    target = out or Path(f"{file.stem}.png")
    try:
        drawing = as_bytes(overview(events, file.name), target.suffix.lower()[1:] or "png")
    except ValueError as error:
        raise DataError(f"{target} cannot be written ({error})") from error
    put(target, drawing)
    typer.echo(f"drawn: {shown(target)}")
    if gif is not None:
        animate(events, gif)
        typer.echo(f"drawn: {shown(gif)}")


def check(folder: Path, column_order: str | None, time_unit: str | None) -> None:
    """Read every recording in a folder; see :mod:`lfp_snn.cli.declared_data`."""
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder")
    suffixes = {suffix for each in FORMATS.values() for suffix in each.suffixes}
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes)
    if not files:
        raise DataError(f"{folder} has no recordings: no file of {', '.join(sorted(suffixes))}")
    console = Console()
    layout = Layout.of(column_order, time_unit)
    formats: Counter[str] = Counter()
    bad: list[str] = []
    odd = [f"{path} has no recordings" for path in _without(files, folder)]
    measured: list[RecordingFigures] = []
    for file in track(
        files, "reading", console=console, transient=True, disable=not console.is_terminal
    ):
        try:
            events = read_mixed(file, layout)
            formats[detect(file).title] += 1
            odd += [f"{file}: {notice}" for notice in notices(events)]
            measured.append(figures_of(str(file.relative_to(folder)), events))
        except DataError as error:
            bad.append(str(error))
    for title, count in formats.items():
        console.print(f"{count} good: {title}", highlight=False)
    _list(console, "warning", [*odd, *notices_of_folder(measured)])
    _list(console, "bad", bad)
    if bad:
        raise DataError(f"{len(bad)} of {len(files)} recordings in {folder} cannot be read")


def _without(files: Sequence[Path], folder: Path) -> list[Path]:
    """Folders in which there is none of the files, at any depth; the outermost of each branch."""
    used = {parent for file in files for parent in file.parents}
    unused = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_dir() and path not in used and not path.name.startswith(".")
    ]
    return [path for path in unused if path.parent in used]


def convert(
    file: Path,
    dest: Path,
    to: str | None,
    camera: str | None,
    column_order: str | None,
    time_unit: str | None,
    from_zero: bool,
) -> None:
    """Write a recording in another format; see :mod:`lfp_snn.cli.declared_data`."""
    if dest.exists():
        raise DataError(f"{dest} exists already; name another file")
    form = to or _by_name(dest)
    events = read_recording(file, camera=camera, layout=Layout.of(column_order, time_unit))
    write_recording(events.from_zero() if from_zero else events, dest, form)
    typer.echo(f"written: {shown(dest)}")


def simulate(
    source: Path,
    dest: Path,
    to: str | None,
    size: int | None,
    fps: float | None,
    threshold: float,
    mismatch: float,
    noise_hz: float,
    refractory_ms: float,
    seed: int,
) -> None:
    """Make a recording with a simulated event camera; see :mod:`lfp_snn.cli.declared_data`."""
    if dest.exists():
        raise DataError(f"{dest} exists already; name another file")
    form = to or _by_name(dest)
    camera = Camera(threshold, mismatch, noise_hz, seed)
    events, duration = simulate_file(source, camera, size=size, fps=fps, rest_ms=refractory_ms)
    write_recording(events, dest, form)
    rows = [
        ("events", f"{len(events):,}"),
        ("sensor", f"{events.sensor[2]} x {events.sensor[1]}"),
        ("duration", f"{duration:.6g} s"),
        ("rate", f"{len(events) / duration:,.0f} events/s"),
        ("ON", f"{events.p.mean():.1%}"),
    ]
    Console().print(two_columns(rows))
    typer.echo(f"written: {shown(dest)}")


def import_folder(
    folder: Path,
    table: Path | None,
    targets: str | None,
    out: Path,
    test: float,
    validation: float,
    validate_by: ValidateBy,
    seed: int,
    skip_bad: bool,
    column_order: str | None,
    time_unit: str | None,
    dry: bool,
) -> None:
    """Write an index of your own recordings; see :mod:`lfp_snn.cli.declared_data`."""
    console, layout = Console(), Layout.of(column_order, time_unit)
    names = [] if targets is None else [name.strip() for name in targets.split(",")]
    if names and table is None:
        raise DataError("--targets names columns of a table; give one with --table")
    found = (
        parts.of_folders(entries.find(folder))
        if table is None
        else entries.read_table(table, folder, names)
    )
    seen = index.look(
        folder,
        found,
        lambda all: track(
            all, "reading", console=console, transient=True, disable=not console.is_terminal
        ),
        layout,
    )
    _list(console, "bad", list(seen.bad.values()))
    by_time = validate_by is ValidateBy.time
    if by_time and validation >= 1:
        raise DataError("--validation 1 leaves no time to train on; give a share below 1")
    parted = parts.draw_parts(seen.entries, 0 if by_time else validation, test, seed)
    block = validation if by_time else 0.0
    _list(console, "warning", [*seen.notices, *index.notices_of_parts(folder, parted, block)])
    console.print(two_columns(index.summary(seen, parted, block).items()))
    if seen.bad and not skip_bad:
        first, *more = seen.bad
        others = f" and {len(more)} more" if more else ""
        raise DataError(
            f"{folder / first}{others} cannot be read, for the reason above: mend or remove what "
            f"is bad, or leave it out of the index with --skip-bad"
        )
    if not dry:
        index.write_index(out, folder, seen, parted, names, block, layout)
        typer.echo(f"index: {shown(out)}; train with data.name=recordings data.index={out}")
    if few := index.caution(parted):
        _list(console, "caution", [few])


def _list(console: Console, kind: str, lines: Sequence[str]) -> None:
    for line in lines:
        console.print(f"{kind}: {line}", highlight=False, soft_wrap=True, markup=False)


def _by_name(path: Path) -> str:
    fitting = [name for name, each in FORMATS.items() if path.suffix.lower() in each.suffixes]
    if len(fitting) == 1:
        return fitting[0]
    known = ", ".join(fitting or FORMATS)
    raise DataError(f"say with --to which format {path} shall have: {known}")
