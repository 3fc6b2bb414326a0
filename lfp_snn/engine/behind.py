"""Layers behind a loop over time that take what its last step gave.

They give the output of the last step, and would give that of every other step if they were called
there: so they are, and the network is read at its last step.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from lfp_snn.engine.calls import Call, Value, replaced

__all__ = ["at_every_step"]

#: What takes statistics of a batch, which those of one step are not.
_OF_A_BATCH = (nn.BatchNorm1d, nn.BatchNorm2d, nn.ModuleList)


def at_every_step(
    output: Value,
    steps: int,
    calls: list[Call],
    made_in: dict[Value, frozenset[int]],
    neurons: Mapping[tuple[str, int], Call],
) -> list[Value] | None:
    """What the layers that made the output of the last step would give at each step.

    Args:
        output: the output of the last step.
        steps: the number of steps.
        calls: the calls of all steps, in order; those at the other steps are added.
        made_in: the steps from which each value was made; that of added values is too.
        neurons: the call of each neuron at each step.

    Returns:
        The outputs, or None where they are not made of what neurons gave alone, or by what may not
        be called at the other steps.
    """
    pending, needed = [output], set[Call]()
    while pending:
        call = pending.pop().call
        if call is None or (isinstance(call.target, _OF_A_BATCH) and _once(call, calls)):
            return None
        if not call.is_neuron and call not in needed:
            needed.add(call)
            pending.extend(call.operands)
    tail = [call for call in calls if call in needed]
    found = []
    for step in range(steps - 1):
        known: dict[Value, Value] = {}
        for call in tail:
            calls.append(_called_at(call, step, known, neurons))
        made_in |= dict.fromkeys(known.values(), frozenset({step}))
        found.append(known[output])
    return [*found, output]


def _called_at(
    call: Call, step: int, known: dict[Value, Value], neurons: Mapping[tuple[str, int], Call]
) -> Call:
    """A call of the last step as it would be at another one."""

    def put(leaf: object) -> object:
        if not isinstance(leaf, Value):
            return leaf
        if leaf.call is not None and leaf.call.is_neuron:
            return neurons[leaf.call.name, step].parts[leaf.part]
        return known[leaf]

    args, kwargs = replaced(call.args, put), replaced(call.kwargs, put)
    own = Call(call.name, call.target, args, kwargs, call.forward)
    own.parts = {part: Value(own, part, value.shape) for part, value in call.parts.items()}
    known |= {value: own.parts[part] for part, value in call.parts.items()}
    return own


def _once(call: Call, calls: list[Call]) -> bool:
    return sum(each.target is call.target for each in calls) == 1
