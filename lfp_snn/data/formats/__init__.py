"""Recordings in the formats of event cameras and of laboratories, read and written.

Each format has a module; what they share is in `base`. A format is told by a file's content first,
and by its name only where the content says nothing.
"""

from lfp_snn.data.formats.base import Format
from lfp_snn.data.formats.files import (
    FORMATS,
    detect,
    read_mixed,
    read_recording,
    write_recording,
)
from lfp_snn.data.formats.layout import AS_IT_IS, Layout

__all__ = [
    "AS_IT_IS",
    "FORMATS",
    "Format",
    "Layout",
    "detect",
    "read_mixed",
    "read_recording",
    "write_recording",
]
