"""The report of a run, written when a training has ended."""

from __future__ import annotations

import logging
from importlib import import_module
from pathlib import Path

from lfp_snn.errors import LfpSnnError

__all__ = ["report_on"]

_LOG = logging.getLogger("lfp_snn")
#: What draws stands above the training: it is found by its name, and imported for a report alone.
_DRAWS = "lfp_snn.analysis.report"


def report_on(run: Path) -> None:
    """Write ``report.html`` and its figures into a run; one that cannot be written is a warning."""
    try:
        import_module(_DRAWS).write_report(run)
    except (LfpSnnError, OSError) as error:
        _LOG.warning(f"The report of {run} is not written: {error}")
