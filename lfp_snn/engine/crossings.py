"""What is told of a forward whose steps do more than hand on the states of neurons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from lfp_snn.engine.calls import Call, Value
from lfp_snn.engine.one_step import StepCalls
from lfp_snn.errors import NetworkError

__all__ = ["ONE_STEP", "behind_the_loop", "crossing", "differing", "refuse_shared"]

ONE_STEP = (
    "TemporalLFP takes a forward(x) that is one time step, whose neurons keep their own state "
    "(snn.Leaky(..., init_hidden=True)) or are handed it (spk, mem = lif(cur, mem)), or one that "
    "loops over time, with the same calls at every step"
)


def refuse_shared(calls: Sequence[Call]) -> None:
    """Refuse a neuron that stands in several places of a step.

    Args:
        calls: the calls of one forward.

    Raises:
        NetworkError: there is such a neuron; the message names it and what stands before it.
    """
    places: dict[str, Counter[tuple[str, ...]]] = {}
    for call in calls:
        if call.is_neuron:
            before = {each.name: None for each in _modules_before(call)}
            places.setdefault(call.name, Counter())[tuple(before)] += 1
    often = Counter(call.name for call in calls if call.is_module)
    for name, found in places.items():
        if any(count >= often[name] for each, count in often.items() if each != name):
            continue  # it is called once per step, as others are
        several = [each for each in found if each]
        apart = len(set().union(*several)) == sum(map(len, several))
        if len(several) > 1 and apart and len({found[each] for each in several}) == 1:
            shown = " and ".join(f"behind '{each[0]}'" for each in several)
            raise NetworkError(
                f"Neuron '{name}' is called in several places of one step ({shown}); a neuron has "
                "one membrane and runs once per step: build one neuron for each place."
            )


def crossing(
    value: Value, step: int, made_in: Mapping[Value, Collection[int]], ends: Sequence[Call]
) -> NetworkError:
    """The error for a step that takes what another step made.

    Args:
        value: a value of the step, made from what another step gave.
        step: the number of the step.
        made_in: the steps from which each value was made.
        ends: the neurons of the step.
    """
    while step in made_in[value]:  # to what comes from other steps alone
        assert value.call is not None
        value = next(each for each in value.call.operands if set(made_in[each]) - {step})
    assert value.call is not None
    heard = next((each for each in _cone(value) if each.call and each.call.is_neuron), None)
    if heard is None or heard.call is None:
        return NetworkError(
            f"Step {step} takes what '{value.call.name}' made of another step; only the states of "
            f"neurons may go from step to step. {ONE_STEP}."
        )
    neuron = heard.call
    through = "" if neuron is value.call else f", through '{value.call.name}'"
    own = any(call.name == neuron.name and value in _values(call) for call in ends)
    advice = (
        "there is no rule for membranes that feed another stage"
        if heard.part
        else f"let '{neuron.name}' be snn.RLeaky or snn.RSynaptic, which hear their own spikes of "
        "the step before through a layer of their own"
        if own
        else "neurons hear their own spikes of the step before as snn.RLeaky and snn.RSynaptic; "
        "there is no rule for those of another layer"
    )
    what = "a state" if heard.part else "the spikes"
    return NetworkError(
        f"Step {step} takes {what} of neuron '{neuron.name}' of another step{through}; only the "
        f"states of neurons may go from step to step, to the same neuron: {advice}."
    )


def differing(net: str, one: tuple[int, StepCalls], last: tuple[int, StepCalls]) -> NetworkError:
    """The error for two steps that are not the same.

    Args:
        net: the name of the network.
        one: the number of a step, and its calls.
        last: the number of the last step, and its calls.
    """
    names = [call.name for call in one[1].calls], [call.name for call in last[1].calls]
    pairs = zip(one[1].signature, last[1].signature, strict=False)
    k = next((k for k, (a, b) in enumerate(pairs) if a != b), 0)
    at = (names[0] + names[1])[min(k, len(names[0]) - 1)] if names[0] else names[1][0]
    return NetworkError(
        f"Step {one[0]} of {net} is not the same as step {last[0]}: they differ at "
        f"'{at}'. {ONE_STEP}."
    )


def behind_the_loop(call: Call) -> NetworkError:
    """The error for a layer behind the loop that takes what several steps gave."""
    return NetworkError(
        f"'{call.name}' ({type(call.target).__name__}) comes behind the loop over time and takes "
        "what several steps gave, for which there is no rule: call it at every step, and sum what "
        "it gives. Behind the loop may stand what acts on each step of the record alike, and a "
        "linear layer on the mean of the record over time."
    )


def _modules_before(call: Call) -> list[Call]:
    """The modules whose values reach a call without passing another module."""
    found: list[Call] = []
    pending = list(call.operands)
    while pending:
        before = pending.pop().call
        if before is not None and before.is_module:
            found.append(before)
        elif before is not None:
            pending.extend(before.operands)
    return found


def _cone(value: Value) -> list[Value]:
    """The values from which a value was made, up to those of neurons, the nearest first."""
    pending, found = [value], dict[Value, None]()
    while pending:
        each = pending.pop(0)
        if each not in found:
            found[each] = None
            if each.call is not None and not each.call.is_neuron:
                pending.extend(each.call.operands)
    return list(found)


def _values(neuron: Call) -> set[Value]:
    """The values from which the input of a neuron was made, up to those of other neurons."""
    return {value for each in neuron.operands for value in _cone(each)}
