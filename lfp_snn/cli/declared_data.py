"""Declarations of the commands of ``lfp-snn data``; see :mod:`lfp_snn.cli.declared`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lfp_snn.cli.arguments import Command, Style, runs

__all__ = ["COMMANDS", "ValidateBy"]

Recording = Annotated[Path, typer.Argument(metavar="FILE", help="A recording.")]


Camera = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Which camera, of a file that holds several; named if not."),
]

ColumnOrder = Annotated[
    str | None,
    typer.Option(
        metavar="NAMES",
        help="What the columns of text and arrays are, as x,y,p,t or t,channel; - for one that is "
        "passed over. For files without titles, and by default told by the numbers.",
    ),
]

TimeUnit = Annotated[
    str | None,
    typer.Option(
        metavar="UNIT",
        help="Of times in text, arrays, MATLAB and HDF5: s, ms, us or ns. By default told by the "
        "titles, or by the numbers.",
    ),
]

Name = Annotated[str, typer.Argument(metavar="NAME", help="A dataset; `data ls` lists them.")]


class ValidateBy(StrEnum):
    """The things of the training part that can be held out to validate."""

    groups = "groups"
    time = "time"


@runs("lfp_snn.cli.data:list_datasets")
def list_datasets() -> None:
    """The datasets by name: sensor, classes, recordings, licence, and what is here."""


@runs("lfp_snn.cli.data:info")
def info(
    source: Annotated[
        str, typer.Argument(metavar="FILE|NAME", help="A recording, or the name of a dataset.")
    ],
    camera: Camera = None,
    column_order: ColumnOrder = None,
    time_unit: TimeUnit = None,
) -> None:
    """What a recording is: format, sensor, duration, rates. Or what a dataset is."""


@runs("lfp_snn.cli.data:fetch_dataset")
def fetch_dataset(
    name: Name,
    to: Annotated[Path | None, typer.Option(help="The folder; by default that of `info`.")] = None,
) -> None:
    """Fetch a published dataset. What is there already is left as it is; a download goes on."""


@runs("lfp_snn.cli.data:show")
def show(
    file: Recording,
    out: Annotated[
        Path | None, typer.Option(help="A PNG, SVG or PDF; by default <name>.png here.")
    ] = None,
    gif: Annotated[Path | None, typer.Option(help="Also an animated GIF.")] = None,
    camera: Camera = None,
    column_order: ColumnOrder = None,
    time_unit: TimeUnit = None,
    style: Style = None,
) -> None:
    """Draw a recording: event image, slices of time, rate, pauses."""


@runs("lfp_snn.cli.data:check")
def check(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Recordings, at any depth.")],
    column_order: ColumnOrder = None,
    time_unit: TimeUnit = None,
) -> None:
    """Read every recording in a folder; list all that are damaged, and what is odd about others."""


@runs("lfp_snn.cli.data:convert")
def convert(
    file: Recording,
    dest: Annotated[Path, typer.Argument(metavar="DEST", help="The file to make.")],
    to: Annotated[
        str | None, typer.Option(help="A format; by default what the name of DEST says.")
    ] = None,
    camera: Camera = None,
    column_order: ColumnOrder = None,
    time_unit: TimeUnit = None,
    from_zero: Annotated[
        bool,
        typer.Option(
            "--from-zero", help="Count times from the first event on, not from 1970 or a start."
        ),
    ] = False,
) -> None:
    """Write a recording in another format."""


@runs("lfp_snn.cli.data:simulate")
def simulate(
    source: Annotated[
        Path,
        typer.Argument(metavar="SRC", help="An image, an animated GIF, or a folder of frames."),
    ],
    dest: Annotated[Path, typer.Argument(metavar="DEST", help="The recording to make.")],
    to: Annotated[
        str | None, typer.Option(help="A format; by default what the name of DEST says.")
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            min=8,
            max=4096,
            help="Longer side of the sensor; by default 34 for an image, else that of the frames.",
        ),
    ] = None,
    fps: Annotated[
        float | None, typer.Option(min=1e-3, help="Frames a second; by default as a GIF says.")
    ] = None,
    threshold: Annotated[
        float, typer.Option(min=1e-3, help="Contrast threshold, in log intensity.")
    ] = 0.35,
    mismatch: Annotated[
        float, typer.Option(min=0, max=1, help="Relative spread of the thresholds of the pixels.")
    ] = 0.1,
    noise_hz: Annotated[
        float, typer.Option(min=0, help="Events without a cause, per pixel and second.")
    ] = 0.3,
    refractory_ms: Annotated[
        float, typer.Option(min=0, help="A pixel and polarity that sent an event rests so long.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="Draws the thresholds and the noise.")] = 0,
) -> None:
    """Make a recording of an image or a film with a simulated event camera.

    An image is looked at with the three saccades of N-MNIST, 300 ms in all; a film lasts from its
    first frame to its last.
    """


@runs("lfp_snn.cli.data:import_folder")
def import_folder(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", help="<class>/<file>, or train, val and test of them; at any depth."
        ),
    ],
    table: Annotated[
        Path | None,
        typer.Option(help="A CSV of file, label and perhaps group and part, instead."),
    ] = None,
    targets: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Columns of the table to learn as numbers, as x,y."),
    ] = None,
    out: Annotated[Path, typer.Option(help="The index to write.")] = Path("recordings.json"),
    test: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the groups to test, if none are given.")
    ] = 0.2,
    validation: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the others to validate; 0: none.")
    ] = 0.125,
    validate_by: Annotated[
        ValidateBy,
        typer.Option(help="time: the share is the last stretch of each training recording."),
    ] = ValidateBy.groups,
    seed: Annotated[int, typer.Option(min=0, help="Draws the parts.")] = 0,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out files that cannot be read.")
    ] = False,
    column_order: ColumnOrder = None,
    time_unit: TimeUnit = None,
    dry: Annotated[bool, typer.Option("--dry", help="Show what is there; write nothing.")] = False,
) -> None:
    """Look at your own recordings and write an index, to train on with data.name=recordings.

    All windows of a recording, and all recordings of a group (a subject, a session), end up in one
    part. A part that the table or the folders give stays. The order of columns and the unit of time
    are kept in the index.
    """


#: By the name that one types, in the order of the help.
COMMANDS: dict[str, Command] = {
    "ls": list_datasets,
    "info": info,
    "fetch": fetch_dataset,
    "show": show,
    "check": check,
    "convert": convert,
    "simulate": simulate,
    "import": import_folder,
}
