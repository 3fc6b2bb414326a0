"""The formats by name: the format of a file is told, and its events are read or written."""

import stat
from pathlib import Path

from lfp_snn.data.events import Events
from lfp_snn.data.formats import (
    aedat,
    aedat4,
    arrays,
    event_stream,
    hdf5,
    matlab,
    prophesee,
    saccades,
    table,
)
from lfp_snn.data.formats.base import HEAD, Format, one_camera
from lfp_snn.data.formats.layout import AS_IT_IS, Layout
from lfp_snn.errors import DataError
from lfp_snn.options import nearest

#: By name. Asked in this order: the first that recognises a file's content reads it.
FORMATS: dict[str, Format] = {
    each.name: each
    for each in (
        aedat4.FORMAT,
        aedat.FORMAT_3,
        aedat.FORMAT_2,
        event_stream.FORMAT,
        hdf5.FORMAT,
        arrays.NPY,
        arrays.NPZ,
        matlab.FORMAT,
        table.FORMAT,  # before .raw: both may begin with comments after %
        prophesee.RAW_3,
        prophesee.RAW_21,
        prophesee.RAW_2,
        prophesee.DAT,
        saccades.FORMAT,
    )
}


def detect(path: Path) -> Format:
    """Tell the format of a file, by its content, else by its name.

    Raises:
        DataError: the file cannot be read, is empty, or has no format that is known.
    """
    try:
        if stat.S_ISFIFO(path.stat().st_mode):  # it would be waited for, and is gone once read
            raise DataError(f"{path} is a pipe; a recording is read more than once: name a file")
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from error
    if not head:
        raise DataError(f"{path} is empty; delete it or fetch it again")
    for each in FORMATS.values():
        if each.recognises is not None and each.recognises(head):
            return each
    named = [each for each in FORMATS.values() if path.suffix.lower() in each.suffixes]
    if named and named[0].recognises is None:
        return named[0]
    hint = f"; by its name it should be {named[0].title}, but its content is not" if named else ""
    raise DataError(
        f"{path} is of no format that is known{hint}. Known: "
        f"{', '.join(each.title for each in FORMATS.values())}"
    )


def read_recording(
    path: Path | str,
    format: str | None = None,
    camera: str | None = None,
    layout: Layout = AS_IT_IS,
) -> Events:
    """Read all events of a file.

    Args:
        path: the file.
        format: a name of `FORMATS`, if it is not to be told by the content.
        camera: the name of the camera in a file that holds the events of several; the message of
            the error without it names them.
        layout: the meaning of the columns and the unit of the times, for a file that does not say
            them.

    Raises:
        DataError: the file cannot be read, is damaged, has no format that is known, the camera is
            not in it, or its columns, unit or polarity are not clear.
    """
    path = Path(path)
    form = detect(path) if format is None else _named(format)
    if layout and form.columns is None:
        raise DataError(
            f"{path} is {form.title}, which tells its columns and times itself; leave their order "
            "and unit out"
        )
    if camera is not None:
        if form.cameras is None:
            raise DataError(
                f"{path} is {form.title}, of which a file holds one camera; leave it out"
            )
        return one_camera(path, form.cameras(path), camera)
    return form.columns(path, layout) if layout and form.columns else form.read(path)


def read_mixed(path: Path, layout: Layout) -> Events:
    """Read all events of a file among others; the layout is meant for files that need one.

    Raises:
        DataError: the file cannot be read, as in `read_recording`.
    """
    form = detect(path)
    return form.read(path) if form.columns is None else form.columns(path, layout)


def write_recording(events: Events, path: Path | str, format: str) -> None:
    """Write one recording to a file.

    Args:
        events: the events of one recording.
        path: the file.
        format: a name of `FORMATS`.

    Raises:
        DataError: the format cannot hold these events, or the file cannot be written.
    """
    if events.recordings != 1:
        raise DataError(f"{path}: a file holds one recording, but there are {events.recordings}")
    _named(format).write(events, Path(path))


def _named(name: str) -> Format:
    if name not in FORMATS:
        guess = nearest(name, FORMATS)
        hint = f"; did you mean {guess!r}?" if guess else ";"
        raise DataError(f"there is no format {name!r}{hint} Known: {', '.join(FORMATS)}")
    return FORMATS[name]
