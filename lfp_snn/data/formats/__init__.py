"""Recordings in the formats of event cameras and of laboratories, read and written.

Each format has a module; what they share is in `base`. A format is told by a file's content first,
and by its name only where the content says nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lfp_snn.later import lazily

if TYPE_CHECKING:
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

__getattr__, __dir__ = lazily(
    __name__,
    {
        "AS_IT_IS": "lfp_snn.data.formats.layout",
        "FORMATS": "lfp_snn.data.formats.files",
        "Format": "lfp_snn.data.formats.base",
        "Layout": "lfp_snn.data.formats.layout",
        "detect": "lfp_snn.data.formats.files",
        "read_mixed": "lfp_snn.data.formats.files",
        "read_recording": "lfp_snn.data.formats.files",
        "write_recording": "lfp_snn.data.formats.files",
    },
)
