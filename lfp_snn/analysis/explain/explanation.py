"""The explanation of one sample: the relevance of its entries, and of the events behind them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lfp_snn.analysis.explain.attribute import Attribution, Explainer
from lfp_snn.analysis.explain.outputs import said
from lfp_snn.analysis.explain.target import Target
from lfp_snn.data import SampleSet
from lfp_snn.data.event_set import EventSet
from lfp_snn.errors import ConfigError
from lfp_snn.rewards.base import Output
from lfp_snn.spikes import Spikes

__all__ = ["EventTable", "Explanation", "check_indices", "explain", "frame_of"]

FLOAT = npt.NDArray[np.float64]
INT = npt.NDArray[np.int64]


@dataclass(frozen=True)
class EventTable:
    """Events with their relevance, in columns.

    The events that share an entry (a pixel, polarity and time step) share its relevance equally.
    Those that binning left over at the end of a recording have none.

    Attributes:
        t: the time, int64 ``[E]``, in microseconds from the first event; for inputs that are no
            recordings, the time step.
        x, y, p: the column, row and polarity (the channel of images), int64 ``[E]``.
        relevance: the relevance of each event, float64 ``[E]``.
        step: the time step that each event went to, int64 ``[E]``; -1 if none.
        unit: the unit of ``t``, ``us`` or ``step``.
    """

    t: INT
    x: INT
    y: INT
    p: INT
    relevance: FLOAT
    step: INT
    unit: str

    def __len__(self) -> int:
        return len(self.t)


@dataclass(frozen=True)
class Explanation:
    """The explanation of one sample: the relevance of its entries and events.

    Attributes:
        name: the name of the sample.
        classes: the names of all classes.
        label: the number of the true class, -1 if unknown.
        prediction: the number of the class that was read.
        scores: what each class was read from, float64 ``[C]``: the number of its spikes, or
            its value.
        shares: the share of each class in what the outputs say, float64 ``[C]``.
        emits: what the network ends in.
        question: what is explained, in words.
        method: how it was explained, in words.
        entered: the sum of the initial relevance.
        relevance: the relevance of each time step, polarity and pixel, float64 ``[T, P, H, W]``; T
            is 1 for an input that is constant over time.
        inputs: what went into the network, in the shape of the relevance.
        table: the active entries or, for recordings, the events.
        neurons: the relevance that arrived at the neurons of each layer, summed over time.
        constant: whether the input was constant over time.
    """

    name: str
    classes: tuple[str, ...]
    label: int
    prediction: int
    scores: FLOAT
    shares: FLOAT
    emits: Output
    question: str
    method: str
    entered: float
    relevance: FLOAT
    inputs: FLOAT
    table: EventTable
    neurons: Mapping[str, FLOAT]
    constant: bool

    @property
    def verdict(self) -> str:
        """A phrase about what the sample is and what it was read as."""
        score = said(self.scores[self.prediction], self.emits)
        read = f"read as {self.classes[self.prediction]} ({score})"
        if self.label < 0:
            return read
        return f"class {self.classes[self.label]}, {read}"


def check_indices(indices: Sequence[int], samples: SampleSet, part: str) -> None:
    """Refuse samples that are not there.

    Raises:
        ConfigError: a sample is not there; the message names the first one.
    """
    for index in indices:
        if not 0 <= index < len(samples):
            raise ConfigError(
                f"--sample is {index}, but the {part} set has the samples 0 to {len(samples) - 1}."
            )


def frame_of(feature: Sequence[int]) -> tuple[int, int, int]:
    """The polarities, height and width of a frame of any shape; what is missing is 1.

    Raises:
        ConfigError: the frame has more than three axes.
    """
    if len(feature) > 3:
        raise ConfigError(f"Inputs of the shape {tuple(feature)} cannot be drawn as pictures.")
    polarities, height, width = (1,) * (3 - len(feature)) + tuple(feature)
    return polarities, height, width


def explain(
    explainer: Explainer,
    samples: SampleSet,
    indices: Sequence[int],
    target: Target,
    size: int = 50,
) -> Iterator[Explanation]:
    """Explain samples of a set, in batches.

    Args:
        explainer: the explainer with network and rule.
        samples: the set; in an :class:`~lfp_snn.data.event_set.EventSet` each event is found.
        indices: the positions of the samples in the set.
        target: what is to be explained.
        size: the number of samples of a batch.

    Raises:
        ConfigError: the explainer or the target is none, or the target names a class that is none.
    """
    for what, given, kind, cure in (
        ("explainer", explainer, Explainer, "Explainer(run.learner, Norm())"),
        ("target", target, Target, "OfClass()"),
    ):
        if not isinstance(given, kind):
            name = given.__name__ if isinstance(given, type) else f"a {type(given).__name__}"
            raise ConfigError(f"The {what} is {name}; expected one such as {cure}.")
    device = explainer.engine.device
    for start in range(0, len(indices), size):
        some = list(indices[start : start + size])
        batch = samples.batch(some).to(device)
        found = explainer.attribute(batch, target)
        for place, index in enumerate(some):
            yield _one(samples, index, place, batch.x, batch.ids[place], found, target)


def _one(
    samples: SampleSet,
    index: int,
    place: int,
    x: Spikes | torch.Tensor,
    name: str,
    found: Attribution,
    target: Target,
) -> Explanation:
    frame = frame_of(samples.feature_shape)
    if isinstance(x, Spikes):
        own = slice(int(x.indptr[place * x.steps]), int(x.indptr[(place + 1) * x.steps]))
        relevance = found.relevance[own].double().cpu().numpy()
        step = (x.rows()[own] % x.steps).cpu().numpy()
        unit = x.indices[own].long().cpu().numpy()
        values = np.ones(len(unit)) if x.values is None else x.values[own].double().cpu().numpy()
        shape = (x.steps, *frame)
        dense, inputs = np.zeros((2, *shape))
        dense.reshape(x.steps, -1)[step, unit] = relevance
        inputs.reshape(x.steps, -1)[step, unit] = values
        if isinstance(samples, EventSet):
            table = _events(samples, index, relevance, step)
        else:
            table = _entries(step, unit, relevance, frame)
    else:
        dense = found.relevance[place].double().cpu().numpy().reshape(1, *frame)
        inputs = x[place].double().cpu().numpy().reshape(1, *frame)
        unit = np.flatnonzero(inputs)
        table = _entries(np.zeros_like(unit), unit, dense.reshape(-1)[unit], frame)
    chosen = int(found.chosen[place])
    against = None if found.against is None else int(found.against[place])
    return Explanation(
        name=name,
        classes=samples.classes,
        label=int(samples.labels[index]),
        prediction=int(found.outputs.prediction.classes[place]),
        scores=found.outputs.scores[place].double().cpu().numpy(),
        shares=found.outputs.shares[place].double().cpu().numpy(),
        emits=found.outputs.emits,
        question=target.text(samples.classes, chosen, against),
        method=found.method,
        entered=float(found.entered[place]),
        relevance=dense,
        inputs=inputs,
        table=table,
        neurons={key: r[place].double().cpu().numpy() for key, r in found.neurons.items()},
        constant=not isinstance(x, Spikes),
    )


def _events(samples: EventSet, index: int, relevance: FLOAT, step: INT) -> EventTable:
    """The events behind the entries; those that share an entry get equal shares."""
    events, entry = samples.recording(index)
    binned = entry >= 0
    share = relevance / np.maximum(np.bincount(entry[binned], minlength=len(relevance)), 1)
    own, when = np.zeros(len(entry)), np.full(len(entry), -1, np.int64)
    own[binned] = share[entry[binned]]
    when[binned] = step[entry[binned]]
    columns: tuple[Any, ...] = (events.x, events.y, events.p)
    x, y, p = (column.astype(np.int64) for column in columns)
    return EventTable(events.t - events.t.min(), x, y, p, own, when, "us")


def _entries(step: INT, unit: INT, relevance: FLOAT, frame: tuple[int, int, int]) -> EventTable:
    """A table of the entries themselves, where there are no events behind them."""
    p, y, x = np.unravel_index(unit, frame)
    step = step.astype(np.int64)
    return EventTable(step, x, y, p, relevance, step, "step")
