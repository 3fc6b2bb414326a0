"""Events, which are what an event camera reports, in columns."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lfp_snn.compiled import compiled


@dataclass(frozen=True, eq=False)
class Events:
    """The events of one recording, or of several laid end to end.

    Args:
        x: the column of the pixel, int16 [E], 0 is left.
        y: the row of the pixel, int16 [E], 0 is the top.
        t: the time in microseconds, int64 [E].
        p: the polarity, uint8 [E], 1 = brighter (ON), 0 = darker (OFF).
        sensor: the shape of one frame, (polarities, height, width).
        offsets: the borders of the recordings, int64 [N+1]; recording n owns the events offsets[n]
            to offsets[n+1]. By default all events belong to one recording.
        size_from_events: whether the file does not tell the sensor's size, so that it is at least
            as large as the events need.
    """

    x: npt.NDArray[np.int16]
    y: npt.NDArray[np.int16]
    t: npt.NDArray[np.int64]
    p: npt.NDArray[np.uint8]
    sensor: tuple[int, int, int]
    offsets: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    size_from_events: bool = False

    def __post_init__(self) -> None:
        if not self.offsets.size:
            object.__setattr__(self, "offsets", np.array([0, len(self.t)], dtype=np.int64))

    def __len__(self) -> int:
        return len(self.t)

    @property
    def recordings(self) -> int:
        """The number of recordings."""
        return len(self.offsets) - 1

    @classmethod
    def joined(cls, parts: "Sequence[Events]") -> "Events":
        """Lay single recordings of one sensor end to end."""
        ends = np.cumsum([len(part) for part in parts])
        return cls(
            np.concatenate([part.x for part in parts]),
            np.concatenate([part.y for part in parts]),
            np.concatenate([part.t for part in parts]),
            np.concatenate([part.p for part in parts]),
            parts[0].sensor,
            np.concatenate([[0], ends]).astype(np.int64),
        )

    def recording(self, number: int) -> "Events":
        """The events of one of the recordings."""
        own = slice(int(self.offsets[number]), int(self.offsets[number + 1]))
        return Events(self.x[own], self.y[own], self.t[own], self.p[own], self.sensor)

    def only(self, chosen: npt.NDArray[Any]) -> "Events":
        """The events of one recording that a mask keeps, or that positions name, in their order."""
        return Events(self.x[chosen], self.y[chosen], self.t[chosen], self.p[chosen], self.sensor)

    def in_order(self) -> "Events":
        """The events of one recording in order of time; events of equal time keep their order."""
        if bool((self.t[1:] >= self.t[:-1]).all()):
            return self
        return self.only(np.argsort(self.t, kind="stable"))

    def from_zero(self) -> "Events":
        """The events of one recording with times from its earliest one on."""
        return replace(self, t=self.t - self.t.min())

    def units(self) -> npt.NDArray[np.int32]:
        """The flat position of each event in its frame: (p * height + y) * width + x, int32 [E]."""
        _, height, width = self.sensor
        flat: npt.NDArray[np.int32] = _flat(self.p, self.y, self.x, height, width)
        return flat


def sensor_text(sensor: tuple[int, int, int]) -> str:
    """A sensor (polarities, height, width) in words; a single row of pixels is called channels."""
    polarities, height, width = sensor
    size = f"{width} channels" if height == 1 and width > 1 else f"{width} x {height}"
    return f"{size}, {polarities} polarit{'y' if polarities == 1 else 'ies'}"


@compiled
def _flat(p, y, x, height, width):  # type: ignore[no-untyped-def]
    flat = np.empty(len(p), np.int32)  # one pass; numpy would take five
    for e in range(len(p)):
        flat[e] = (p[e] * height + y[e]) * width + x[e]
    return flat
