"""The search for one time step in what a forward was seen to call.

A forward that is one step is called again and again, and one that loops over time calls its neurons
again and again. Both are unrolled steps, which must be the same but for the states of neurons, that
are zero before the first. What is done with the spikes of all steps behind the loop (stack, sum,
mean) is the network's reading of its output, and no part of a step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor

from lfp_snn.engine.alike import at_step, how_taken, lists_as_one
from lfp_snn.engine.behind import at_every_step
from lfp_snn.engine.calls import Call, Recording, Value, leaves
from lfp_snn.engine.crossings import (
    ONE_STEP,
    behind_the_loop,
    crossing,
    differing,
    refuse_shared,
)
from lfp_snn.engine.neurons import can_spike
from lfp_snn.engine.one_step import OneStep, StepCalls, is_membrane
from lfp_snn.engine.readings import (
    READING,
    Gathering,
    LayerRecord,
    Reading,
    beneath_log_softmax,
    membranes_alone,
    reading_of,
    replays,
    unwrapped,
    without_axis,
)
from lfp_snn.engine.signature import described
from lfp_snn.engine.slices import SequenceError, time_slices
from lfp_snn.engine.undisturbed import part_of
from lfp_snn.errors import NetworkError

__all__ = ["find_step"]


def find_step(found: Recording, *, guessed: bool = False) -> OneStep:
    """Recognise one time step in a recording.

    Args:
        found: the recording.
        guessed: whether the shape of the input was guessed, so that what forward returns has
            another form than it will have.

    Raises:
        NetworkError: the steps differ, something other than a state goes from one to the next, or
            what forward gives is no output of its neurons.
    """
    return _Unrolled(found, guessed).step()


def _counts(found: Recording, forward: int) -> Counter[str]:
    return Counter(c.name for c in found.calls if c.is_neuron and c.forward == forward)


def _starts_anew(found: Recording) -> bool:
    """Whether neurons begin at rest in the second call of forward too."""
    first: dict[str, bool] = {}
    for call in found.calls:
        if call.is_neuron and call.forward:
            first.setdefault(call.name, not any(call.states.values()))
    anew = [name for name, rests in first.items() if rests]
    if anew and len(anew) < len(first):
        raise NetworkError(
            f"Neuron '{anew[0]}' starts anew at each call of forward and others go on: treat all "
            f"alike. {ONE_STEP}."
        )
    return bool(anew)


class _Unrolled:
    """The calls of a recording by the step to which they belong."""

    def __init__(self, found: Recording, guessed: bool) -> None:
        self.found = found
        self.guessed = guessed
        counts = _counts(found, 0)
        self.loops = any(n > 1 for n in counts.values()) or _starts_anew(found)
        self.steps = max(counts.values()) if self.loops else len(found.inputs)
        self.calls = [c for c in found.calls if not self.loops or not c.forward]
        if self.loops:
            lists_as_one(found.root, self.calls, self.steps)
        refuse_shared([call for call in self.calls if not call.forward])
        self.slices = time_slices(self.calls, found.inputs[0], self.steps) if self.loops else {}
        #: Which steps a value was made from, those behind the states of neurons left out.
        self.made_in: dict[Value, frozenset[int]] = {}
        #: What each layer behind the loop gives.
        self.records: dict[Value, LayerRecord] = {}
        #: The call of each neuron at each step.
        self.neurons: dict[tuple[str, int], Call] = {}
        #: What the last layer takes of the record, if it comes behind the loop.
        self.behind: Gathering | None = None
        self._place()

    # ------------------------------------------------------------------ steps

    def _place(self) -> None:
        """Find the steps from which each value was made."""
        for x in self.found.inputs:
            self.made_in[x] = frozenset() if self.loops else frozenset({x.forward})
        self.made_in |= {frame: frozenset({cut.index}) for frame, cut in self.slices.items()}
        again: Counter[str] = Counter()
        for call in self.calls:
            of = frozenset[int]().union(*(self.made_in[v] for v in call.operands))
            if call.is_neuron:
                step = again[call.name] if self.loops else call.forward
                of = frozenset({step})
                self.neurons.setdefault((call.name, step), call)
                again[call.name] += 1
            elif not self.loops:
                of |= {call.forward}
            for value in call.parts.values():
                if value.call is not call:
                    continue  # what a layer before the loop gives of this step
                cut = self.slices.get(value)
                self.made_in[value] = of if cut is None else frozenset({cut.index})

    # ------------------------------------------------------------------ output

    def _returned(self) -> list[tuple[Value, ...]]:
        """What each thing that forward returned was made of, by step."""
        last = 0 if self.loops else 1
        kept = [v for v in self.found.returned[last] if isinstance(v, Value | Tensor)]
        values = [unwrapped(v) for v in kept if isinstance(v, Value)]
        if not values or len(values) < len(kept):
            raise self._no_output()
        if not self.loops:
            return [(self._read(value),) for value in values]
        return [tuple(self._taken_from_steps(value)) for value in values]

    def _taken_from_steps(self, value: Value) -> Iterator[Value]:
        """The values of single steps from which a value of several steps was made."""
        call = value.call
        many = len(self.made_in[value]) > 1
        peels = self.steps == 1 and call is not None and not call.is_module
        single = self.steps == 1 and call is not None and call.is_module and not call.is_neuron
        if single and call is not None and self._record(call) is not None:
            yield from self._behind_the_loop(call)
            return
        if not many and not peels:
            yield self._read(without_axis(value))
            return
        assert call is not None
        if call.is_module:
            yield from self._behind_the_loop(call)
            return
        for each in call.operands:
            if self.made_in[each] or each.call is not None:
                yield from self._taken_from_steps(each)

    def _read(self, value: Value) -> Value:
        """The membrane of which a value is the log-softmax, or the value itself."""
        below = beneath_log_softmax(value)
        return below if below.call is not None and below.call.is_neuron else value

    def _of_one_forward(self) -> list[Call]:
        return [call for call in self.found.calls if not call.forward]

    def _behind_the_loop(self, call: Call) -> Iterator[Value]:
        """What a layer that takes the record of all steps, or its mean, would give at each step."""
        record = self._record(call)
        if record is None:
            raise behind_the_loop(call)
        yield from record.values

    def _record(self, call: Call) -> LayerRecord | None:
        """The record of a layer behind the loop; None if it cannot be called at each step."""
        if call.parts[0] in self.records:
            return self.records[call.parts[0]]
        below = list(
            dict.fromkeys(v for each in call.operands for v in self._taken_from_steps(each))
        )
        steps = sorted(min(self.made_in[value], default=-1) for value in below)
        if steps != list(range(self.steps)) or len({value.shape for value in below}) > 1:
            return None
        how = how_taken(call, replays(self._of_one_forward(), below, self.records))
        if how is None:
            return None
        own = [self._own(call, how if isinstance(how, int) else None, each) for each in below]
        self.records[call.parts[0]] = LayerRecord(own, how)
        return self.records[call.parts[0]]

    def _own(self, call: Call, axis: int | None, value: Value) -> Value:
        """What a layer behind the loop gives for what one step gave."""
        _, own = at_step(call, axis, frame=value)
        self.made_in[own.parts[0]] = self.made_in[value]
        self.calls.append(own)
        return own.parts[0]

    def _outputs(self) -> list[Value]:
        """The output of each step."""
        taken = [each for values in self._returned() for each in values]
        last = self.steps - 1
        final = [v for v in taken if not self.loops or self.made_in[v] <= {last}]
        behind = self._before(final)
        ends = {v.call for v in final if v.call not in behind}
        if not final:
            raise NetworkError(
                f"The forward of {type(self.found.root).__name__} returns what some of its steps "
                f"gave, and the last step is none of them, for which there is no rule: {READING}."
            )
        if None in ends:
            raise NetworkError(
                "The network returns its own input, for which there is no rule as the last stage: "
                "end with a synapse such as nn.Linear, or with a neuron such as "
                "snn.Leaky(beta=0.9, init_hidden=True, output=True)."
            )
        values = [v for v in final if v.call in ends]
        (call, *more) = ends
        assert call is not None
        if more:
            raise self._no_output()
        if call.is_neuron:
            part = 0 if any(v.part == 0 for v in values) else self._membrane(call, values)
            return [self.neurons[call.name, step].parts[part] for step in range(self.steps)]
        found = [[v for v in taken if self.made_in[v] == {step}] for step in range(self.steps)]
        if not self.loops:  # only the second call was looked at
            found[0] = [unwrapped(v) for v in leaves(self.found.returned[0]) if _is_value(v)]
        position = found[last].index(values[0])
        if self.loops and not any(found[:last]):
            known = self.calls, self.made_in, self.neurons
            outputs = at_every_step(values[0], self.steps, *known)
            if outputs is not None:
                self.behind = "last"
                return outputs
        if any(len(each) != len(found[last]) for each in found):
            raise NetworkError(
                f"'{call.name}' gives the output at the last step and not at the others: "
                f"{ONE_STEP}."
            )
        return [each[position] for each in found]

    def _membrane(self, call: Call, values: Sequence[Value]) -> int:
        """The part that is the membrane of the last neuron, of which forward gives no spikes.

        The membrane is what a readout gives. Neurons that nothing resets have the same, whatever
        their threshold is.
        """
        neuron, part = call.target, part_of(call.target, "mem")
        if all(value.part != part for value in values):
            raise self._no_output()
        hears = "spk" in call.states
        if can_spike(neuron) and (neuron.reset_mechanism != "none" or hears):
            raise membranes_alone(type(self.found.root).__name__, call.name)
        return part

    def _before(self, values: Sequence[Value]) -> set[Call | None]:
        """The calls of the last step from which other values of that step were made."""
        pending = [o for v in values if v.call is not None for o in v.call.operands]
        seen: set[Call | None] = set()
        while pending:
            call = pending.pop().call
            if call is not None and call not in seen:
                seen.add(call)
                pending.extend(call.operands)
        return seen

    def _no_output(self) -> NetworkError:
        # A loop over steps of another shape may leave out all of them.
        kind = SequenceError if self.loops else NetworkError
        return kind(
            f"The forward of {type(self.found.root).__name__} must return the spikes of its last "
            "neuron, its membrane, or both, or the value of its last stage, and nothing else."
        )

    # ------------------------------------------------------------------ one step

    def _refuse_to_rest(self) -> None:
        """Refuse a forward of one step whose neurons begin at rest in every call."""
        gave = [unwrapped(v).call for v in leaves(self.found.returned[0]) if _is_value(v)]
        at_rest = [call for call in gave if call is not None and call.is_neuron]
        if self.loops and self.steps == 1 and not self.slices and at_rest:
            raise NetworkError(
                f"Neuron '{at_rest[0].name}' begins at rest in every call of the forward of "
                f"{type(self.found.root).__name__} (init_leaky() or reset_mem() stands in it), "
                "which is one time step, so that it remembers nothing: let forward take the states "
                "and return them, keep them on self, let the neurons keep them (init_hidden=True), "
                "or loop over time in forward."
            )

    def step(self) -> OneStep:
        self._refuse_to_rest()
        outputs = self._outputs()
        for record in self.records.values():
            self.behind = record.how if outputs[-1] in record.values else self.behind
        reading: Reading = "mean"
        if self.loops and not self.guessed:
            made = self._of_one_forward(), outputs, self.records
            membranes = is_membrane(outputs[0])
            reading = reading_of(self.found.returned[0], *made, membranes=membranes)
        found = [self._at(step, output) for step, output in enumerate(outputs)]
        last = found[-1]
        for step, each in enumerate(found):
            if each.signature != last.signature:
                net = type(self.found.root).__name__
                raise differing(net, (step, each), (len(found) - 1, last))
        sliced = [self.slices[v] for v in last.inputs if v in self.slices]
        if self.slices and last.inputs - self.slices.keys():
            raise NetworkError(
                f"The loop over time takes steps of its input and its input as a whole. {ONE_STEP}."
            )
        source = sliced[0].source if sliced else self.found.inputs[0]
        return OneStep(
            calls=tuple(last.calls),
            inputs=frozenset(last.inputs),
            output=outputs[-1],
            signature=last.signature,
            loops=self.loops,
            steps=self.steps if self.loops else None,
            axis=sliced[0].axis if sliced else None,
            rearranged=tuple(_chain(source)),
            before=self.found.inputs[0],
            reading=reading,
            behind=self.behind,
        )

    def _at(self, step: int, output: Value) -> StepCalls:
        """The calls that lead from the input of a step to its output."""
        found = StepCalls()
        needed = set[int]()
        pending = [output]
        positions = {id(call): k for k, call in enumerate(self.calls)}
        while pending:
            value = pending.pop()
            call = value.call
            if call is None or value in self.slices:
                found.inputs.add(value)
                continue
            if self.made_in[value] - {step}:
                ends = [call for (_, at), call in self.neurons.items() if at == step]
                raise crossing(value, step, self.made_in, ends)
            if positions[id(call)] not in needed:
                needed.add(positions[id(call)])
                pending.extend(call.operands)
                self._check_states(call, step)
        found.calls = [self.calls[k] for k in sorted(needed)]
        numbers: dict[Value, tuple[int, int]] = dict.fromkeys(found.inputs, (0, 0))
        signature = []
        for k, call in enumerate(found.calls, 1):
            signature.append(described(call, numbers))
            numbers |= {value: (k, part) for part, value in call.parts.items()}
        found.signature = (*signature, numbers[output])
        return found

    def _check_states(self, call: Call, step: int) -> None:
        """Check that each neuron starts at rest and goes on from its own state before."""
        before = self.neurons.get((call.name, step - 1))
        if call.is_neuron and self.neurons[call.name, step] is not call:
            raise NetworkError(
                f"Neuron '{call.name}' is called more than once in one forward; a neuron has one "
                f"membrane and runs once per step. {ONE_STEP}."
            )
        for key, state in call.states.items():
            goes_on = state is not None and before is not None and state.call is before
            if not (goes_on or (step == 0 and state is None)):
                what = "starts anew" if state is None else "goes on from another step than the last"
                raise NetworkError(
                    f"Neuron '{call.name}' {what} at step {step} (its '{key}'), for which there is "
                    f"no rule. {ONE_STEP}."
                )


def _is_value(value: Any) -> bool:
    return isinstance(value, Value)


def _chain(value: Value) -> list[Call]:
    """The calls from the input to a rearrangement of it."""
    found: list[Call] = []
    while value.call is not None:
        found.append(value.call)
        value = value.call.operands[0]
    return found[::-1]
