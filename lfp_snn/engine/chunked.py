r"""Passes over long sequences, chunk by chunk, with memory that hardly grows with T.

Forwards, each chunk of time continues from the membranes at its border. What happened inside a
chunk is kept for the last chunk only. Backwards, the chunks are taken from the last to the first:
each is run once more from its border, then credit flows through it, from the ``M`` that the chunk
behind it handed to every neuron to the ``M`` that it hands on itself. The credit scan is a
recurrence in ``M`` alone, so that this is exact: only the order of the sums over time differs from
a pass in one piece.

With ``m`` bytes that a step keeps and ``c`` bytes of membranes at a border, chunks of L steps take

.. math:: m L + c\, T / L

bytes beside input and output, and :func:`chunk_length` picks the longest L for which that stays
within a budget. What is repeated is one forward pass, but for the last chunk.

Source: checkpointing as in Chen et al., Training Deep Nets with Sublinear Memory Cost (2016).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lfp_snn.engine.execute import run_backward, run_forward
from lfp_snn.engine.graph import Program
from lfp_snn.engine.stage import Feedback, Rules, Tape, Value
from lfp_snn.errors import NetworkError
from lfp_snn.spikes import Spikes

__all__ = [
    "FLOATS_PER_NEURON",
    "Chunks",
    "chunk_length",
]

#: Floats that a pass keeps or makes for each neuron and step, at its peak: current, spike,
#: membrane, relevance, credit of spike and current, on the reference kernels; membrane and credit
#: on lists.
FLOATS_PER_NEURON = {"torch": 6, "events": 2, "triton": 6}


def chunk_length(steps: int, step_bytes: int, border_bytes: int, budget: int) -> int:
    """The longest chunk for which ``m L + c T / L`` stays within a budget.

    If no length stays within the budget, it is the length at which the sum is smallest,
    ``sqrt(c T / m)``.

    Args:
        steps: T, the number of time steps.
        step_bytes: m, the bytes that one step of a chunk takes.
        border_bytes: c, the bytes that the membranes at one border take.
        budget: the bytes that all of this may take.
    """
    root = budget * budget - 4 * step_bytes * border_bytes * steps
    if root >= 0:
        length = (budget + math.sqrt(root)) / (2 * step_bytes)
    else:
        length = math.sqrt(border_bytes * steps / step_bytes)
    return min(steps, max(1, int(length)))


@dataclass
class _Chunk:
    """A chunk of time: steps ``start`` to ``stop``, and the membranes before the first of them."""

    start: int
    stop: int
    state: dict[str, Tensor]


class Chunks:
    """A pass that is run chunk by chunk, over a sequence of any length.

    Args:
        program: the stages of the network.
        run: the pass as a whole; its final states and what it measured are filled in.
        value: the input ``[T, B, ...]``, in the dtype in which it is stored.

    Raises:
        NetworkError: a normalisation takes its statistics from the batch, over all T steps, or
            step by step from one that several processes share.
    """

    def __init__(self, program: Program, run: Tape, value: Value) -> None:
        for node in program.nodes:
            measured, name = node.stage.measured, node.stage.measured_by
            if measured == "step" and run.exchange is not None:
                raise NetworkError(
                    f"Stage '{name}' normalises every step with the statistics of a "
                    "batch that several processes share, which chunks of time do not exchange: use "
                    "memory='full' there."
                )
            if measured == "sequence":
                raise NetworkError(
                    f"Stage '{name}' normalises with the statistics of the batch over "
                    "all T steps, which chunks of time do not know: put that module into "
                    "evaluation mode, or use memory='full'."
                )
        self.program = program
        self.run = run
        self.value = value
        self.chunks: list[_Chunk] = []
        self._live: Tape | None = None  # the last chunk, as it was recorded

    # ------------------------------------------------------------------ forwards

    def length(self, budget: int, backend: str, known: dict[torch.Size, int]) -> int:
        """Steps of a chunk, by the budget and by the bytes that the states of these samples take.

        Args:
            budget: the bytes for one chunk and the membranes at all borders.
            backend: the name of the backend that runs the chunks.
            known: the bytes of the states by the shape of an input frame; a new shape is added.
        """
        frame = torch.Size(self.value.shape[1:])
        if frame not in known:
            known[frame] = self._border_bytes()
        border = known[frame]
        if not border:  # without neurons nothing goes from step to step
            return self.run.steps
        step = FLOATS_PER_NEURON[backend] * border
        return chunk_length(self.run.steps, step, border, budget)

    def _border_bytes(self) -> int:
        """The bytes that the states of all neurons take, from a pass over the first step."""
        probe = self._pass(_Chunk(0, 1, self.run.state), record=False, again=True)
        run_forward(self.program, probe, self._input(_Chunk(0, 1, {}))[0])
        return sum(state.nbytes for state in probe.final_state.values())

    def forward(self, length: int) -> Tensor:
        """Run all chunks; returns the output spikes ``[T, B, C]``.

        Args:
            length: the steps of a chunk. The first chunk takes the remainder, since the last one
                need not be repeated and should be long.
        """
        run, spikes = self.run, torch.empty(0)
        start, stop = 0, (run.steps - 1) % length + 1
        state = run.state
        while start < run.steps:
            chunk = _Chunk(start, stop, state)
            last = stop == run.steps
            part = self._pass(chunk, record=run.record and last)
            out = run_forward(self.program, part, self._input(chunk)[0])
            assert isinstance(out, Tensor)
            assert part.membranes is not None
            if start == 0:
                spikes = out.new_empty(run.steps, *out.shape[1:])
                run.membranes = torch.empty_like(spikes)
                run.forms = [torch.Size((run.steps, *_frame(form))) for form in part.forms]
            spikes[start:stop] = out
            assert run.membranes is not None
            run.membranes[start:stop] = part.membranes
            run.add_counts(part)
            if run.record:
                self.chunks.append(chunk)
            state, self._live = part.final_state, part if part.record else None
            start, stop = stop, stop + length
        run.final_state = state
        return spikes

    def _pass(self, chunk: _Chunk, *, record: bool, again: bool = False) -> Tape:
        run, steps = self.run, chunk.stop - chunk.start
        lengths = None if run.lengths is None else (run.lengths - chunk.start).clamp(0, steps)
        return Tape(
            steps,
            run.batch,
            lengths,
            chunk.state,
            record=record,
            dtype=run.dtype,
            drawn=run.drawn,
            stopwatch=run.stopwatch,
            start=chunk.start,
            again=again,
            narrow=run.narrow,
            rules=run.rules,
        )

    def _input(self, chunk: _Chunk) -> tuple[Value, Tensor | None]:
        """The input of a chunk, and the positions of its entries in the list of the whole input."""
        if isinstance(self.value, Spikes):
            return self.value.window(chunk.start, chunk.stop)
        constant = self.value.shape[0] == 1
        part = self.value if constant else self.value[chunk.start : chunk.stop]
        spikes = part.dtype == torch.bool
        return part.to(self.run.spike_dtype if spikes else self.run.dtype), None

    # ------------------------------------------------------------------ backwards

    def backward(
        self,
        reward: Tensor,
        feedback: Feedback,
        rules: Rules,
        of_input: bool,
        as_credit: bool = False,
    ) -> tuple[Tensor | None, Tensor | None]:
        """Send a reward ``[T, B, C]`` back; arguments and result are as of :func:`run_backward`."""
        carried: dict[str, Tensor] = {}
        credit: Tensor | None = None
        beside: Tensor | None = None
        self.run.arrived.clear()
        for chunk, part, entries in self._repeated():
            part.carried = carried
            feedback.held = chunk.start > 0
            of_entries, of_places = run_backward(
                self.program,
                part,
                reward[chunk.start : chunk.stop],
                feedback,
                rules,
                of_input,
                as_credit,
            )
            carried = part.carried
            for name, total in part.arrived.items():
                known = self.run.arrived.get(name)
                self.run.arrived[name] = total if known is None else known + total
            where = slice(chunk.start, chunk.stop) if entries is None else entries
            size = (self.value.nnz,) if isinstance(self.value, Spikes) else self.value.shape
            credit = _put(credit, of_entries, size, where)
            beside = _put(beside, of_places, self.value.shape, slice(chunk.start, chunk.stop))
        return credit, beside

    def spikes(self) -> dict[str, Tensor]:
        """Spikes or values ``[T, B, ...]`` of every population."""
        neurons = self.program.spiking()
        parts = [
            {neuron.name: part.every_step(neuron.spikes(part)) for neuron in neurons}
            for _, part, _ in self._repeated()
        ]
        return {
            neuron.name: torch.cat([part[neuron.name] for part in reversed(parts)])
            for neuron in neurons
        }

    def _repeated(self) -> Iterator[tuple[_Chunk, Tape, Tensor | None]]:
        """The chunks from the last to the first, each recorded once more."""
        for chunk in reversed(self.chunks):
            value, entries = self._input(chunk)
            part, self._live = self._live, None
            if part is None:
                part = self._pass(chunk, record=True, again=True)
                run_forward(self.program, part, value)
            yield chunk, part, entries
            part.kept.clear()


def _put(
    whole: Tensor | None, part: Tensor | None, shape: Sequence[int], where: slice | Tensor
) -> Tensor | None:
    """Put a part in its place in the whole of that shape, or add it if the value is constant."""
    if part is None:
        return whole
    if whole is None:
        whole = part.new_zeros(tuple(shape))
    if shape[0] == 1:
        return whole + part
    whole[where] = part
    return whole


def _frame(form: torch.Size | Spikes) -> Sequence[int]:
    """The shape of a value without its time axis."""
    return (form.shape if isinstance(form, Spikes) else form)[1:]
