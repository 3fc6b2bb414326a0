"""Handling of Ctrl-C and SIGTERM, which are noted and obeyed when a step is complete."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from lfp_snn.errors import Interrupted

__all__ = ["Interrupted", "Pending", "deferred_signals"]


class Pending:
    """The signal that came, if one did."""

    signum: int | None = None


@contextmanager
def deferred_signals(told: Callable[[int], None] = lambda signum: None) -> Iterator[Pending]:
    """Only note the first SIGINT or SIGTERM in a ``with`` block; a second one acts at once.

    That is so where the program ignores them too, as what runs behind ``&`` does: a training can
    always be stopped and saved. A handler that is not Python's, which could not be given back, is
    left alone.

    Outside the main thread, where Python takes no signals, this does nothing.

    Args:
        told: a function that is called with the signal as it comes.
    """
    pending = Pending()
    if threading.current_thread() is not threading.main_thread():
        yield pending
        return
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    signals = [each for each, how in before.items() if how is not None]

    def restore() -> None:
        for each in signals:
            signal.signal(each, before[each])

    def note(signum: int, frame: FrameType | None) -> None:
        pending.signum = signum
        restore()
        told(signum)

    for each in signals:
        signal.signal(each, note)
    try:
        yield pending
    finally:
        restore()
