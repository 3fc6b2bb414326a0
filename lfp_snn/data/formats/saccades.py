"""The `.bin` files of N-MNIST and N-Caltech101: 40 bits an event, no header.

x and y a byte each, then polarity (1 bit) and microseconds (23 bits), big-endian. Row 240 marks an
overflow of the clock. N-MNIST's own reader, which knows its sensor, is `lfp_snn.data.nmnist`.

Source: Orchard et al., Frontiers in Neuroscience 2015.
"""

from pathlib import Path

import numpy as np

from lfp_snn.data.events import Events
from lfp_snn.data.formats.base import Format, check_times, content, events_of, put, records
from lfp_snn.errors import DataError

_EVENT = np.dtype((np.uint8, 5))
_OVERFLOW_ROW, _OVERFLOW_US = 240, 1 << 13
_LATEST = 1 << 23


def read(path: Path) -> Events:
    """Read all events; overflow marks are read as in `lfp_snn.data.nmnist.read_events`."""
    raw = records(path, content(path), 0, _EVENT).astype(np.int64)
    marks = raw[:, 1] == _OVERFLOW_ROW
    t = (raw[:, 2] & 127) << 16 | raw[:, 3] << 8 | raw[:, 4]
    t += _OVERFLOW_US * np.cumsum(marks)
    kept = ~marks
    return events_of(path, raw[kept, 0], raw[kept, 1], t[kept], raw[kept, 2] >> 7)


def write(events: Events, path: Path) -> None:
    """Write a file of a sensor up to 256 x 240 with times below 2**23 microseconds."""
    _, height, width = events.sensor
    check_times(path, events, _LATEST)
    if width > 256 or height > _OVERFLOW_ROW:
        raise DataError(
            f"{path}: .bin holds 256 x 240 pixels, but these events need {width} x {height}"
        )
    raw = np.empty((len(events), 5), np.uint8)
    raw[:, 0], raw[:, 1] = events.x, events.y
    raw[:, 2] = events.p.astype(np.int64) << 7 | events.t >> 16
    raw[:, 3], raw[:, 4] = events.t >> 8 & 255, events.t & 255
    put(path, raw.tobytes())


FORMAT = Format("bin", "N-MNIST .bin", (".bin",), None, read, write)
