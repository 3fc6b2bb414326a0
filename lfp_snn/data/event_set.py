"""Sets whose recordings are read, changed and encoded when a batch asks for them.

They serve sets that are larger than memory and disk, of which nothing is kept
(`storage: streamed`), and augmentation, which acts on events before they are binned.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from typing_extensions import override

from lfp_snn.data import cache
from lfp_snn.data.augment import augment, needs_partners
from lfp_snn.data.binning import Binned, bin_events
from lfp_snn.data.events import Events
from lfp_snn.data.options import SpikeOptions
from lfp_snn.data.sets import Draw, Encoded, IntArray, SampleSet, SpikeSet, gather

#: Reads the recordings at these rows of a store, laid end to end; may be called by any thread.
Read = Callable[[IntArray], Events]

_CHUNK = 200  # recordings read and encoded at once for the cache


class EventSet(SampleSet):
    """A set of recordings that are read when asked for: preprocessed, augmented, binned.

    Augmentation takes part only in a batch that has a draw, which is to say in training. What is
    drawn for a recording follows from the draw and the recording's row alone.

    Args:
        read: the function that reads recordings of the store.
        options: the options of preprocessing, augmentation and binning.
        sensor: the sensor (polarities, height, width) of the store.
        labels, ids, classes, rows: the arguments of `SampleSet`.
    """

    def __init__(
        self,
        read: Read,
        options: SpikeOptions,
        sensor: tuple[int, int, int],
        labels: IntArray,
        ids: Sequence[str],
        *,
        classes: tuple[str, ...],
        rows: IntArray | None = None,
    ) -> None:
        super().__init__(
            labels,
            ids,
            classes=classes,
            feature_shape=options.sensor(sensor),
            steps=options.steps,
            rows=rows,
        )
        self._read = read
        self._options = options
        self._sensor = sensor
        self._augmentation = options.steps_of_augmentation()

    @override
    def _encode(self, rows: IntArray, draw: Draw | None) -> Encoded:
        events = self._options.prepare(self._read(rows))
        labels = None
        if draw is not None and self._augmentation:
            events, labels = self._augmented(events, rows, draw)
        trains = self._options.bin(events)
        return gather(trains, np.arange(len(rows)), self.steps, self.feature_shape)._replace(
            labels=labels
        )

    def recording(self, index: int) -> tuple[Events, IntArray]:
        """The events of a sample after preprocessing, and where each went.

        Args:
            index: the position in this set.

        Returns:
            The events, and int64 ``[E]``, the entry of the sample's spike trains, as :meth:`batch`
            makes them, that each event is part of; -1 if of none.
        """
        rows = self._rows[[index]]
        events = self._options.prepare(self._read(rows))
        binned = bin_events(events, self._options.binning_options(), entries=True)
        assert binned.entries is not None
        return events, binned.entries

    def _augmented(self, events: Events, rows: IntArray, draw: Draw) -> tuple[Events, IntArray]:
        """The events and labels of a training batch."""
        keys = draw.keys(rows)
        others, partners = rows, None
        if needs_partners(self._augmentation):
            drawn = [np.random.default_rng(key).integers(len(self._rows)) for key in keys]
            others = self._rows[drawn]
            partners = self._options.prepare(self._read(others))
        events, from_partner = augment(events, self._augmentation, keys, partners)
        chosen = np.where(from_partner, others, rows)
        return events, self._all_labels[chosen]

    @override
    def _select(self, rows: IntArray) -> "EventSet":
        return EventSet(
            self._read,
            self._options,
            self._sensor,
            self._all_labels,
            self._all_ids,
            classes=self.classes,
            rows=rows,
        )


def set_of_one(
    path: Path,
    events: Events,
    options: SpikeOptions,
    sensor: tuple[int, int, int],
    classes: tuple[str, ...],
) -> SampleSet:
    """Make the set of one recording, encoded as those of a dataset; its label is unknown (-1).

    With augmentation in the options, a batch that has a draw is of a copy of it that was changed.

    Args:
        path: the file of the recording, which names the sample.
        events: the events of the recording.
        options: the options of preprocessing, augmentation and binning.
        sensor: the sensor (polarities, height, width) of the dataset.
        classes: the name of each class.
    """
    labels, ids = np.array([-1]), [str(path)]
    if options.augment and options.on_demand:
        return EventSet(lambda _rows: events, options, sensor, labels, ids, classes=classes)
    return SpikeSet(
        options.encode(events),
        labels,
        ids,
        classes=classes,
        feature_shape=options.sensor(sensor),
        steps=options.steps,
        augment=options.steps_on_spikes(),
    )


def row_set(
    name: str,
    read: Read,
    options: SpikeOptions,
    *,
    labels: IntArray,
    ids: Sequence[str],
    sensor: tuple[int, int, int],
    classes: tuple[str, ...],
    files: Sequence[Path] = (),
    key: Mapping[str, Any] | None = None,
) -> SampleSet:
    """Make the set of all recordings that `read` gives: encoded once and cached, or when asked for.

    Args:
        name: the name of the dataset.
        read: the function that reads recordings.
        options: the options that say which of the two, and how to encode.
        labels: the class of each recording, int64 [N].
        ids: the name of each recording.
        sensor: the sensor (polarities, height, width) of the recordings.
        classes: the name of each class.
        files: the files that `read` reads.
        key: what the recordings depend on beside the files.
    """
    if options.on_demand:
        return EventSet(read, options, sensor, labels, ids, classes=classes)

    def build() -> Iterator[Binned]:
        for start in range(0, len(labels), _CHUNK):
            yield options.encode(read(np.arange(start, min(start + _CHUNK, len(labels)))))

    content = {"encoding": options.encoding(), **(key or {})}
    return SpikeSet(
        cache.fetch(name, files, content, build),
        labels,
        ids,
        classes=classes,
        feature_shape=options.sensor(sensor),
        steps=options.steps,
        augment=options.steps_on_spikes(),
    )
