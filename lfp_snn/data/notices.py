"""Notices about recordings that can be read but are odd, and may not be what they should be."""

import dataclasses
import hashlib
import math
from collections.abc import Sequence

import numpy as np

from lfp_snn.data.events import Events

_FELL = 0.9  # of the range of all times: what a clock falls by that begins again
_FAR = 10  # times as long as the rest lasts
_FEW = 200  # one in so many events may lie far from the rest
_ENOUGH = 10  # events, to tell any of them from the rest
_APART = 2.0  # powers of ten between durations of two kinds, with none in between
_NEAR = 0.5  # powers of ten that a factor may differ from 10^3 or 10^6
_STEPS = 25  # of equal duration, as by default
_PIXELS = 256  # that a camera has at least; few channels may well all be active
_FULL = 0.5  # of all pixels and polarities of a step
_HOT = 0.25  # of all events, from pixels that are always on
_SOME = 0.05  # of all pixels: more than these are no defect of single ones
_NAMED = 3  # files that a sentence names


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


@dataclasses.dataclass(frozen=True)
class RecordingFigures:
    """The figures of one recording, to compare it with the others of its folder.

    Args:
        file: the name of the file.
        seconds: the duration from the first event to the last.
        full: the share of pixels and polarities that have an event in a step, mean over 25 steps;
            0 of channels that are no camera.
        hot: the share of the events that come from few pixels with events in each of the steps.
        digest: a digest of the events, which copies of a recording have in common.
    """

    file: str
    seconds: float
    full: float
    hot: float
    digest: bytes


def figures_of(file: str, events: Events) -> RecordingFigures:
    """The figures of a recording, to compare it with the others of its folder."""
    start = int(events.t.min())
    span = int(events.t.max()) - start
    width = events.sensor[2]
    place = events.y.astype(np.int64) * width + events.x
    step = (events.t - start) * _STEPS // (span + 1)
    seen = np.zeros((_STEPS, *events.sensor), bool)
    seen[step, events.p, events.y, events.x] = True
    always = seen.any(1).all(0).ravel()
    digest = hashlib.sha256()
    for column in (events.t, events.x, events.y, events.p):
        digest.update(np.ascontiguousarray(column).tobytes())
    if len(always) < _PIXELS:
        return RecordingFigures(file, span / 1e6, 0.0, 0.0, digest.digest())
    few = 0 < always.sum() <= _SOME * len(always)
    hot = float(always[place].mean()) if few else 0.0
    return RecordingFigures(file, span / 1e6, float(seen.mean()), hot, digest.digest())


def notices_of_folder(found: Sequence[RecordingFigures]) -> list[str]:
    """Notices about recordings beside each other, as sentences that name some of the files.

    They tell of durations that differ by about 10^3 or 10^6 with none in between, as those of files
    in other units of time do, of copies of a recording, of recordings whose steps are full of
    events, and of pixels that are always on.
    """
    told = [*_units(found), *_copies(found)]
    full = [each.file for each in found if each.full > _FULL]
    if full:
        told.append(
            f"more than half of all pixels have an event in every one of {_STEPS} steps of "
            f"{_some(full, len(found))}, which tells little: cut them into more steps "
            f"(data.steps=100), count the events (data.values=counts), or take noise out first "
            f"(data.preprocess='[{{name: denoise}}]')"
        )
    hot = [each.file for each in found if each.hot > _HOT]
    if hot:
        told.append(
            f"a few pixels are always on and send more than a quarter of the events of "
            f"{_some(hot, len(found))}: leave them out, if nothing flickered there, with "
            f"data.preprocess='[{{name: hot_pixels, max_hz: 100}}]'"
        )
    return told


def _units(found: Sequence[RecordingFigures]) -> list[str]:
    """Notices about files that may be in another unit of time than most are."""
    lasting = sorted((e for e in found if e.seconds > 0), key=lambda each: each.seconds)
    groups: list[list[RecordingFigures]] = []
    for each in lasting:
        if groups and math.log10(each.seconds / groups[-1][-1].seconds) < _APART:
            groups[-1].append(each)
        else:
            groups.append([each])
    usual = max(groups, key=len, default=[])
    told = []
    for group in groups:
        ours, theirs = (each[len(each) // 2].seconds for each in (group, usual))
        power = round(math.log10(ours / theirs) / 3) * 3
        if power and abs(math.log10(ours / theirs) - power) <= _NEAR:
            told.append(
                f"{_some([each.file for each in group], len(found))} last about 10^{power} times "
                f"as long as the others ({ours:.3g} and {theirs:.3g} s): are their times in "
                f"another unit? Write them anew: lfp-snn data convert FILE DEST --time-unit UNIT"
            )
    return told


def _copies(found: Sequence[RecordingFigures]) -> list[str]:
    """A notice about recordings of the same events, which may lie in several parts or classes."""
    first = {each.digest: each.file for each in reversed(found)}
    copies = [each for each in found if first[each.digest] != each.file]
    if not copies:
        return []
    return [
        f"{_some([each.file for each in copies], len(found))} hold the same events as another "
        f"({copies[0].file} those of {first[copies[0].digest]}): remove the copies, or what is "
        "tested may have been trained on"
    ]


def _some(files: Sequence[str], count: int) -> str:
    """The number of the files, and the names of the first, as a phrase."""
    more = ", ..." if len(files) > _NAMED else ""
    return f"{len(files)} of {count} recordings ({', '.join(files[:_NAMED])}{more})"


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
