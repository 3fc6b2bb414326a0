"""The structure of a network: its program, and the layout of what its forward takes.

It is found anew whenever the network has another state (mode, options, submodules), its input
another shape, or a tensor of which forward reads a value another one; and kept for when the same
state and shape come again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from lfp_snn.engine.calls import Arguments
from lfp_snn.engine.computed import refuse_computed_weights, refuse_hooks, refuse_step_statistics
from lfp_snn.engine.execute import run_forward
from lfp_snn.engine.graph import Program
from lfp_snn.engine.guesses import fewest, frames, guesses, sequence
from lfp_snn.engine.identity import contents, is_plain, state_of
from lfp_snn.engine.kernels import Plan
from lfp_snn.engine.one_step import OneStep
from lfp_snn.engine.options import Statistics
from lfp_snn.engine.recording import ForwardFailedError, record
from lfp_snn.engine.slices import MixedSamplesError, SequenceError
from lfp_snn.engine.stage import Tape
from lfp_snn.engine.tracing import build_program
from lfp_snn.engine.undisturbed import undisturbed
from lfp_snn.engine.unrolled import find_step
from lfp_snn.errors import LfpSnnError, NetworkError, ShapeError
from lfp_snn.spikes import Spikes

__all__ = ["Structure", "Structures", "shape_needed"]

#: Structures that are kept in mind, by state and shape; a sequence of every length is one.
MOST_KNOWN = 200


@dataclass(eq=False)
class Structure:
    """A network as a program, and how its forward goes over time.

    Args:
        step: one time step of the network, and how forward goes over time.
        arguments: the arguments with which forward is called step after step.
        program: the stages of that step.
        plans: the program on the kernels of each backend, made when it is first needed.
    """

    step: OneStep
    arguments: Arguments
    program: Program
    plans: dict[str, Plan] = field(default_factory=dict)

    def frames(self, x: Tensor | Spikes, steps: int | None) -> tuple[Tensor | Spikes, int | None]:
        """The input ``[T, B, ...]``, or ``[B, ...]`` and T if it is constant over time.

        Args:
            x: the input in the layout that forward takes; for a forward of a single step, the
                inputs of all steps.
            steps: T of a constant input, which a forward that loops over time says itself.

        Raises:
            ShapeError: the network runs for another number of steps.
        """
        step = self.step
        if not step.loops:
            return x, steps
        if steps is not None and steps != step.steps:
            raise ShapeError(
                f"steps is {steps}, but the forward of the network loops over {step.steps} steps "
                "itself: leave steps out."
            )
        if step.axis is None:
            return x, step.steps
        if isinstance(x, Spikes):
            return x, None
        return self._rearranged(x).movedim(step.axis, 0), None

    def few(self, x: Tensor | Spikes, steps: int | None, dtype: torch.dtype) -> Tensor:
        """One or two samples of an input, dense and in its layout."""
        step = self.step
        if isinstance(x, Spikes):
            return self.laid_out(x[slice(0, 2)], dtype)
        if step.rearranged:
            return x  # where its samples are is not known
        constant = steps is not None or (step.loops and step.axis is None)
        return x[:2] if constant or step.axis else x[:, :2]

    def laid_out(self, x: Tensor | Spikes, dtype: torch.dtype) -> Tensor:
        """An input, dense and in the layout that forward takes, in which tensors are given."""
        if isinstance(x, Tensor):
            return x.to(dtype)
        return self.as_taken(x.dense(dtype))

    def as_taken(self, frames: Tensor) -> Tensor:
        """Frames ``[T, B, ...]`` in the layout that forward takes.

        Raises:
            ShapeError: forward rearranges the axes of a frame before it loops over time.
        """
        step = self.step
        sequence = frames.movedim(0, step.axis) if step.axis else frames
        if not step.rearranged:
            return sequence
        sizes = torch.empty(*range(2, 2 + len(step.before.shape)), device="meta")
        order = [size - 2 for size in self._rearranged(sizes).shape]
        features = [axis for k, axis in enumerate(order) if k != step.axis][1:]
        if features != sorted(features):
            raise ShapeError(
                "The forward of the network rearranges the axes of a frame before it loops over "
                "time, where a list of spikes has its axes as they are: give it x.dense()."
            )
        return sequence.permute([order.index(axis) for axis in range(len(order))])

    def unframed(self, relevance: Tensor) -> Tensor:
        """The relevance of the frames in the layout of the input that forward takes."""
        step = self.step
        if step.axis is None or relevance.dim() == 1:
            return relevance
        if not step.rearranged:
            return relevance.movedim(0, step.axis)
        with torch.inference_mode(False), torch.enable_grad():
            x = relevance.new_zeros(step.before.shape).requires_grad_()
            moved = self._rearranged(x).movedim(step.axis, 0)
            (found,) = torch.autograd.grad(moved, x, relevance.clone())
        return found

    def _rearranged(self, x: Tensor) -> Tensor:
        for call in self.step.rearranged:
            given = tuple(x if each is call.operands[0] else each for each in call.args)
            x = call.target(*given, **call.kwargs)
        return x


class Structures:
    """The structures of a network, by the network's state and the shape of its input.

    Args:
        net: the network.
        statistics: how credit goes through normalisations.
    """

    def __init__(self, net: nn.Module, statistics: Statistics | None = None) -> None:
        if not isinstance(net, nn.Module):
            inner = ": give it lfp.net" if isinstance(getattr(net, "net", None), nn.Module) else ""
            raise NetworkError(
                f"TemporalLFP takes a torch.nn.Module, not {type(net).__name__}{inner}."
            )
        if any(map(is_lazy, net.parameters())):
            raise NetworkError(
                f"{type(net).__name__} has lazy modules, whose sizes are not known yet: call it "
                "once on an input of one step, net(x), before."
            )
        if isinstance(net, nn.DataParallel | nn.parallel.DistributedDataParallel):
            raise NetworkError(
                f"TemporalLFP cannot look into {type(net).__name__}: give it net.module, and start "
                "several processes with torchrun to train on several devices."
            )
        if hasattr(net, "_orig_mod"):
            raise NetworkError(
                "TemporalLFP cannot look into a module that torch.compile made: give it the "
                "module itself, which is not run when it is trained."
            )
        self.net = net
        self.statistics = statistics
        #: With each structure what its key names by identity, so that nothing else becomes that.
        self._known: dict[Any, tuple[Structure, object]] = {}
        self.state: object = None
        self._distinct: list[Structure] = []
        #: The tensors of which forward reads a value, and what they held in the structures known.
        self._read: dict[int, Tensor] = {}
        self._content: object = ()

    def guess(self, like: Tensor) -> Structure | None:
        """The structure of the network before there is an input, on an input of a guessed shape.

        Returns:
            The structure, or None if no guess will do.

        Raises:
            NetworkError: the network has no rule, whatever the shape.
        """
        self.refuse()
        mixed: list[MixedSamplesError] = []
        for shape in guesses(self.net):
            try:
                return self._find(shape, like, guessed=True)
            except MixedSamplesError as error:
                mixed.append(error)
            except (ForwardFailedError, SequenceError):
                continue
        for shape in self._loops(like):
            with suppress(LfpSnnError):  # which is told when there is an input
                return self._find(shape, like, guessed=True)
        if mixed:
            raise mixed[0]
        return None

    def _loops(self, like: Tensor) -> Iterator[tuple[int, ...]]:
        """The shapes of sequences with which a forward runs that loops over so many steps."""
        for frame, axis in product(dict.fromkeys(frames(self.net)), (0, 1)):
            steps = fewest(partial(self._runs, like, frame, axis))
            if steps is not None:
                yield sequence(frame, axis, steps)

    def _runs(self, like: Tensor, frame: tuple[int, ...], axis: int, steps: int) -> bool:
        try:
            record(self.net, sequence(frame, axis, steps), like, tolerant=True)
        except LfpSnnError:
            return False
        return True

    def of(
        self, x: Tensor | Spikes, steps: int | None, like: Tensor, before: Structure | None
    ) -> Structure:
        """The structure of the network for an input.

        Args:
            x: the input of a pass.
            steps: T of an input that is constant over time.
            like: a tensor with the type and device in which the network computes.
            before: the structure of the last pass, or the guessed one.

        Raises:
            NetworkError: the network cannot be traced on the input.
        """
        self.refuse()
        # Where no code of a user runs, none can tell the mode or the number of samples.
        plain = is_plain(self.net)
        self.state, held = state_of(self.net, modes=not plain)
        self._forget_what_was_read()
        one_step = before is not None and not before.step.loops
        shape = tuple(x.shape)[(one_step and steps is None) + (one_step and plain) :]
        key = (self.state, shape, steps is None, like.dtype, like.device)
        if key not in self._known:
            if len(self._known) == MOST_KNOWN:
                self._known.clear()
            self._known[key] = (self._for(x, steps, like, before), held)
        return self._known[key][0]

    def _forget_what_was_read(self) -> None:
        """Forget all structures if a tensor of which forward reads a value has another one now."""
        content = contents(self._read.values())
        if content != self._content:
            self._known.clear()
            self._distinct.clear()
        self._content = content

    def on(self, x: Tensor, steps: int | None, before: Structure | None) -> Structure:
        """The structure of the network for an input, which is found anew and not kept."""
        known = len(self._distinct)
        found = self._for(x, steps, x, before)
        del self._distinct[known:]
        return found

    def refuse(self) -> None:
        """Refuse what keeps weights or changes values where the engine does not see it.

        Raises:
            NetworkError: a module does so; the message names it.
        """
        refuse_computed_weights(self.net)
        refuse_hooks(self.net)
        refuse_step_statistics(self.net)

    def _for(
        self, x: Tensor | Spikes, steps: int | None, like: Tensor, before: Structure | None
    ) -> Structure:
        whole = tuple(x.shape)
        if before is not None and before.step.loops:
            if isinstance(x, Spikes):
                whole = tuple(before.as_taken(torch.empty(whole, device="meta")).shape)
            return self._find(whole, like)
        shape = whole if steps is not None else whole[1:]
        try:
            found = self._find(shape, like)
            if before is not None or not found.step.loops:
                return found
            return self._find(whole, like)
        except SequenceError as error:
            if before is not None:
                raise
            try:
                return self._find(whole, like)
            except ForwardFailedError:
                raise error from None
        except ForwardFailedError:
            if before is not None:
                self._let_stages_tell(before.program, shape, like)
                raise
            with suppress(ForwardFailedError):
                return self._find(whole, like)
            raise

    def _let_stages_tell(self, program: Program, shape: Sequence[int], like: Tensor) -> None:
        """Run the stages on an input at whose shape forward fails: their error names the stage."""
        run = Tape(1, shape[0], None, {}, record=False, dtype=like.dtype)
        with undisturbed(self.net):
            run_forward(program, run, like.new_zeros(1, *shape))

    def _find(self, shape: Sequence[int], like: Tensor, *, guessed: bool = False) -> Structure:
        found = record(self.net, shape, like, tolerant=guessed)
        self._read |= found.read
        self._content = contents(self._read.values())
        step = find_step(found, guessed=guessed)
        for each in self._distinct:
            if each.step.signature == step.signature:
                return Structure(step, found.arguments, each.program, each.plans)
        program = build_program(step, found.root, self.statistics)
        new = Structure(step, found.arguments, program)
        self._distinct.append(new)
        return new


def shape_needed(net: nn.Module) -> NetworkError:
    """The error for a network whose forward does not run on a guessed shape: what to give it."""
    return NetworkError(
        f"The forward of {type(net).__name__} cannot be traced before the shape of its input is "
        "known: call forward(x) once, or build TemporalLFP(net, example=x)."
    )
