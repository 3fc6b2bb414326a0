"""What a forward that loops over time makes of the record of its output: how it reads it.

TemporalLFP gives the output at every step. A forward may return that record, in any layout, its sum
or its mean over the steps, or its last step; anything else would be another network. Which of them
it is shows when the calls behind the loop are made once more, with numbers of which no two are
equal in the place of the output of each step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any, Literal

import torch
from torch import Tensor

from lfp_snn.engine.calls import Call, Value, leaves, replaced
from lfp_snn.engine.derived import Derived
from lfp_snn.engine.supported import SAME
from lfp_snn.errors import NetworkError

__all__ = [
    "READING",
    "Gathering",
    "Reading",
    "LayerRecord",
    "beneath_log_softmax",
    "membranes_alone",
    "reading_of",
    "gathered",
    "replays",
    "same",
    "unwrapped",
    "without_axis",
]

#: What is read of the output of all steps: the record, its sum or its mean; the last step; the
#: highest value over the steps.
Reading = Literal["mean", "last", "max"]
#: What is made of the output of all steps: a record with time as that axis, their mean or sum, the
#: last.
Gathering = int | Literal["mean", "sum", "last"]

#: What a forward may return of the record, as advice.
READING = (
    "return the record of all steps in their order, its sum, its mean or its last step; call what "
    "else there is at every step, or leave it to who reads the output"
)

#: What may add the value of the first step to zero.
_ADDING = {"add", "add_", "iadd", "radd"}
#: What may put in an axis of one entry, along which a record is put together.
_PUTTING = {"unsqueeze", "getitem", "view", "reshape"}

#: What a record may lose in a narrow type on its way.
TOLERANCE = 1e-2
#: How many numbers stand for what steps gave.
SPAN = 254


@dataclass(frozen=True)
class LayerRecord:
    """What a layer behind the loop gives.

    Args:
        values: what it would give at each step, in the order of the record.
        how: what it gives of these.
    """

    values: Sequence[Value]
    how: Gathering


def gathered(entries: Tensor, how: Gathering) -> Tensor:
    """Gather the output of all steps ``[T, ...]`` into one tensor."""
    if isinstance(how, int):
        return entries.movedim(0, how)
    return {"mean": entries.mean(0), "sum": entries.sum(0), "last": entries[-1]}[how]


#: Numbers ``[T, ...]`` in the place of the output of each step, and all values that follow from
#: them; None for one that follows from something else as well.
Replay = tuple[Tensor, dict[Value, Tensor | None]]


def replays(
    calls: Sequence[Call], outputs: Sequence[Value], records: Mapping[Value, LayerRecord]
) -> tuple[Replay, Replay]:
    """Make the calls that take the output of steps once more, with numbers in its place, twice.

    What leaves a few numbers as they are, or is two things of them, is not so with others of
    opposite signs, which are no whole ones unless they stand for spikes.

    Args:
        calls: the calls of forward in order.
        outputs: the output of each step.
        records: what a layer behind the loop gave for all steps.
    """
    source = outputs[0].call
    spikes = source is not None and source.is_neuron and not outputs[0].part
    unit = -1.0 if spikes else -1 / 30
    return _replay(calls, outputs, records, 1.0), _replay(calls, outputs, records, unit)


def _replay(
    calls: Sequence[Call],
    outputs: Sequence[Value],
    records: Mapping[Value, LayerRecord],
    unit: float,
) -> Replay:
    shape = (len(outputs), *outputs[0].shape)
    size = torch.Size(shape).numel()
    # As many above zero as below it, and no more than the narrowest type holds.
    mixed = torch.randperm(max(size, SPAN), generator=torch.Generator().manual_seed(int(unit > 0)))
    numbers = unit * (mixed[:size] % SPAN - SPAN // 2).double().view(shape)
    known: dict[Value, Tensor | None] = {
        value: each.clone() for value, each in zip(outputs, numbers, strict=True)
    }
    for value, record in records.items():
        if set(record.values) <= known.keys():
            order = [outputs.index(each) for each in record.values]
            known[value] = gathered(numbers[order], record.how)
    held: dict[int, Tensor] = {}
    for call in calls:
        taken = [known[each] for each in call.operands if each in known]
        if not taken or all(value in known for value in call.parts.values()):
            continue
        whole = len(taken) == len(call.operands) and not call.is_module
        found = _made(call, known, held) if whole and all(t is not None for t in taken) else None
        for part, value in call.parts.items():
            known.setdefault(value, None if found is None else found[part])
    return numbers, known


def _made(call: Call, known: Mapping[Value, Any], held: dict[int, Tensor]) -> list[Tensor]:
    """What a function gives; it changes in place what it did, and nothing of the network."""

    def put(leaf: Any) -> Any:
        if isinstance(leaf, Value):
            return known[leaf]
        if isinstance(leaf, Derived):
            return leaf.compute(put)
        if not isinstance(leaf, Tensor):
            return leaf
        if id(leaf) not in held:
            floats = leaf.is_floating_point()
            held[id(leaf)] = leaf.detach().clone().to(torch.double if floats else leaf.dtype)
        return held[id(leaf)]

    args, kwargs = replaced(call.args, put), replaced(call.kwargs, put)
    result = call.target(*args, **kwargs)
    changed = args[0] if call.target is Tensor.__setitem__ else result
    return [each for each in leaves(changed) if isinstance(each, Tensor)]


def unwrapped(value: Value) -> Value:
    """The value before calls that change nothing, such as ``detach``."""
    while value.call is not None and value.call.name in SAME:
        value = value.call.operands[0]
    return value


def without_axis(value: Value) -> Value:
    """The value of a step before it got an axis of one entry, along which a record is made.

    A sum over the steps begins with zero, to which the value of the first step is added. Whether
    all entries are where they were shows when the calls are made once more.
    """
    value = unwrapped(value)
    call = value.call
    if call is None or len(call.operands) != 1:
        return value
    if call.name in _ADDING and _adds_zero(call):
        return without_axis(call.operands[0])
    if call.name not in _PUTTING:
        return value
    shape, before = tuple(value.shape), tuple(call.operands[0].shape)
    places = (k for k, size in enumerate(shape) if size == 1)
    put = any(shape[:k] + shape[k + 1 :] == before for k in places)
    return without_axis(call.operands[0]) if put else value


def _adds_zero(call: Call) -> bool:
    """Whether a call adds nothing but zeros to the value that it takes."""
    others = [each for each in leaves((call.args, call.kwargs)) if not isinstance(each, Value)]
    return all(
        not each.any() and type(each) is Tensor
        if isinstance(each, Tensor)
        else type(each) in (int, float) and each == 0
        for each in others
    )


def beneath_log_softmax(value: Value) -> Value:
    """The value of which a log-softmax over the classes is taken, or the value itself."""
    call = value.call
    if call is None or call.name != "log_softmax":
        return value
    axis = call.kwargs.get("dim", call.args[1] if len(call.args) > 1 else None)
    classes = len(value.shape) - 1
    return unwrapped(call.operands[0]) if axis in (classes, -1) else value


def reading_of(
    returned: Sequence[Any],
    calls: Sequence[Call],
    outputs: Sequence[Value],
    records: Mapping[Value, LayerRecord],
    *,
    membranes: bool,
) -> Reading:
    """What a forward makes of its output over all steps.

    Args:
        returned: what forward returns.
        calls: the calls of forward in order.
        outputs: the output of each step.
        records: what a layer behind the loop gave for all steps.
        membranes: whether the output is membranes.

    Raises:
        NetworkError: it is something else than a reading of it.
    """
    one, other = replays(calls, outputs, records)
    single = [leaf for leaf in returned if leaf in outputs]
    listed = single if single == list(outputs) else []  # the record, as a list of its steps
    found: list[Reading] = []
    for leaf in (each for each in returned if each not in listed):
        if leaf not in one[1]:
            continue  # made of membranes, or of what another layer gave
        first, second = (
            _readings(known[leaf], numbers, membranes=membranes) for numbers, known in (one, other)
        )
        both = [reading for reading in first if reading in second]
        if not both:
            raise no_reading(leaf, outputs[0])
        found.append(both[0])
    return found[0] if found else "mean"


def _readings(value: Tensor | None, numbers: Tensor, *, membranes: bool) -> list[Reading]:
    """What of the output of all steps a value is; of few numbers it may be several things.

    Args:
        value: the value, in any layout.
        numbers: the output of each step ``[T, ...]``.
        membranes: whether the output is membranes, of which the highest over the steps may be
            read too, and the log-softmax over the classes of any reading.
    """
    if value is None:
        return []
    last = numbers[-1]
    readings: list[tuple[Reading, Tensor]] = [
        ("mean", numbers), ("mean", numbers.sum(0)), ("mean", numbers.mean(0)), ("last", last),
    ]  # fmt: skip
    if membranes:
        readings.append(("max", numbers.amax(0)))
    if membranes and numbers.shape[-1] > 1:
        normalised = numbers.log_softmax(-1)
        readings += [(how, each.log_softmax(-1)) for how, each in readings]
        readings += [("mean", normalised.sum(0)), ("mean", normalised.mean(0))]
    return [how for how, each in readings if _equal(value, each)]


def same(value: Tensor | None, reading: Tensor) -> bool:
    """Whether a value is a reading in the same layout, but for rounding."""
    return (
        value is not None
        and value.shape == reading.shape
        and torch.allclose(value.double(), reading, rtol=TOLERANCE, atol=TOLERANCE)
    )


def no_reading(value: Value, output: Value) -> NetworkError:
    """The error for what a forward makes of its record that is another network.

    Args:
        value: what it returns.
        output: the output of a step.
    """
    assert value.call is not None and output.call is not None
    name = value.call.name
    outside = "" if value.call.is_module else f", so {name}() outside of forward"
    return NetworkError(
        f"{name}() comes behind the loop over time and changes what '{output.call.name}' gives "
        f"there, for which there is no rule: {READING}{outside}."
    )


def membranes_alone(net: str, neuron: str) -> NetworkError:
    """The error for a network that returns the membranes of a neuron and not its spikes."""
    return NetworkError(
        f"The forward of {net} returns the membranes of neuron '{neuron}' and not its spikes, "
        "which change them: return both (spk, mem); if membranes shall be the output, let it be a "
        "readout (threshold=float('inf'), reset_mechanism='none') and take a reward that looks at "
        "them, such as membrane_coded."
    )


def _equal(value: Tensor, reading: Tensor) -> bool:
    if value.numel() != reading.numel():
        return False
    flat = value.flatten().double()
    return any(
        torch.allclose(flat, reading.permute(order).flatten(), rtol=TOLERANCE, atol=TOLERANCE)
        for order in permutations(range(reading.dim()))
    )
