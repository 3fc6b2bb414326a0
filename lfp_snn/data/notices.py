"""Notices about recordings that can be read but are odd, and may not be what they should be."""

import numpy as np

from lfp_snn.data.events import Events

_FELL = 0.9  # of the range of all times: what a clock falls by that begins again
_FAR = 10  # times as long as the rest lasts
_FEW = 200  # one in so many events may lie far from the rest
_ENOUGH = 10  # events, to tell any of them from the rest


def notices(events: Events) -> list[str]:
    """Notices about the times of one recording, as sentences for the user.

    They tell of a duration of zero, of a clock that began again (it wrapped, or recordings were
    laid end to end), of other times that run backwards, and of single events far from all others:
    up to one in 200, with a gap of ten times as long as all the rest lasts.

    Args:
        events: the events in the order of their file.
    """
    t = events.t
    span = int(t.max()) - int(t.min())
    if not span:
        return [f"it has zero duration: all {len(t):,} events are at {int(t[0]):,} microseconds"]
    found = []
    steps = np.diff(t)
    began_again = int((steps <= -_FELL * span).sum() - (steps >= _FELL * span).sum())
    backwards = int((steps < 0).sum())
    if began_again > 0:
        found.append(
            f"its clock wrapped, or several recordings were laid end to end: times fall back to "
            f"the beginning {_times(began_again)}"
        )
        backwards -= began_again
    if backwards:
        found.append(f"its times run backwards {_times(backwards)}; they are sorted when binned")
    return found + _outliers(np.sort(t))


def _outliers(t: np.ndarray) -> list[str]:
    """The events far from the rest, in ascending times."""
    few = max(1, len(t) // _FEW)
    if len(t) < _ENOUGH:
        return []
    far = _FAR * max(1, int(t[-1 - few]) - int(t[few]))
    gaps = np.diff(t)
    early = np.flatnonzero(gaps[:few] > far)
    late = np.flatnonzero(gaps[-few:][::-1] > far)
    count = (early.max() + 1 if len(early) else 0) + (late.max() + 1 if len(late) else 0)
    if not count:
        return []
    some = f"{count} event{'s lie' if count > 1 else ' lies'}"
    return [
        f"{some} far from all others in time (from {int(t[0]):,} to {int(t[-1]):,} microseconds, "
        "the others much closer): cut it with the step of preprocessing time_window"
    ]


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"
