"""The table of kernels of each backend, by its name."""

from __future__ import annotations

from lfp_snn.engine.kernels import Table

__all__ = ["table_of"]


def table_of(backend: str) -> Table:
    """The table of kernels of a backend; the table of torch is empty, since it runs the reference.

    Kernels are imported here, since they take a second to load and some networks need none.
    """
    if backend == "events":
        from lfp_snn.engine.events import table as events

        return events.TABLE
    if backend == "triton":
        from lfp_snn.engine import triton

        return triton.TABLE
    return ()
