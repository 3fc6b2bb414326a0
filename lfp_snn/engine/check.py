"""A check that the engine equals the module: both run a few samples, and are compared.

Both run in float64, from rest, on the same samples over all their steps, so that rounding plays no
part. What differs on purpose is left out: dropout (one mask for all steps in training, a new one at
each step in the module) and the noise of step units are off, and batch normalisations (statistics
over all steps in training, over each step in the module) take their running statistics, which stay
as they are. A spectral norm takes no power iteration (one a pass in training, one a step in the
module).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import snntorch as snn
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from typing_extensions import override

from lfp_snn.activations import Step
from lfp_snn.engine.calls import leaves
from lfp_snn.engine.fixed import FixedPointLeaky
from lfp_snn.engine.graph import Program
from lfp_snn.engine.identity import is_plain
from lfp_snn.engine.made import iterates
from lfp_snn.engine.neurons import Population
from lfp_snn.engine.shapes import Dropout
from lfp_snn.engine.stage import Stage, Tape
from lfp_snn.engine.structure import Structure
from lfp_snn.engine.supported import DROPOUTS
from lfp_snn.engine.undisturbed import put_to_rest, undisturbed
from lfp_snn.errors import NetworkError
from lfp_snn.norms import batch_norms

__all__ = ["check_equal"]

#: Steps that are compared at a time, which bounds the memory.
CHUNK = 16
#: Steps that are compared where all are computed alike.
FEW = 8
FLOAT32 = torch.float32
#: Difference of values, as a share of the largest, that rounding may make in float64.
TOLERANCE = 1e-9
#: Modules whose training differs on purpose.
ON_PURPOSE = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.BatchNorm1d, nn.BatchNorm2d, Step)


def check_equal(
    net: nn.Module, x: Tensor, steps: int | None, find: Callable[[Tensor], Structure]
) -> None:
    """Step a module beside the engine on a few samples, and compare what both compute.

    Where no code of a user runs, every step is computed as every other one, and a few are compared,
    those with an input first.

    Args:
        net: the network, which is not changed.
        x: a few samples, in the layout that it takes; of a forward of one step ``[T, B, ...]``, or
            ``[B, ...]`` with steps.
        steps: T of a constant input.
        find: a function that gives the structure of the network on those samples.

    Raises:
        NetworkError: the two differ; the message names the first stage that does.
    """
    if any(norm.running_mean is None for norm in batch_norms(net).values()):
        return  # in training, which is all that has a rule, they differ on purpose
    fixed = any(isinstance(module, FixedPointLeaky) for module in net.modules())
    dtype = x.dtype if fixed else torch.float64
    mode = _InOneType(dtype)
    with undisturbed(net), torch.no_grad(), mode:
        for module in net.modules():
            _convert(module, dtype)
            if isinstance(module, ON_PURPOSE) or iterates(module):
                module.training = False
            if isinstance(module, snn.SpikingNeuron):
                module.spike_grad = _step  # which it is; a surrogate takes time for its gradient
        put_to_rest(net)
        x = x.to(dtype).contiguous()  # a few samples of many may lie apart, which view() refuses
        structure = find(x)
        lists = any(type(node.stage.module) is nn.ModuleList for node in structure.program.nodes)
        if lists and not structure.step.loops:
            return  # a list of normalisations, which only the engine can call
        comparison = _Comparison(net, structure, mode)
        with comparison.listening(), _made_anew(structure.program):
            comparison.run(x, steps)


@contextmanager
def _made_anew(program: Program) -> Iterator[None]:
    """Compute weights that layers compute, for a ``with`` block; they are then what they were."""
    before = [(made, made.data, made.requires_grad) for made in program.made()]
    program.compute_weights()
    try:
        yield
    finally:
        for made, data, learns in before:
            made.data = data
            made.requires_grad_(learns)


def _steps_are_alike(net: nn.Module) -> bool:
    """Whether modules of torch and snntorch alone make the steps, none of which counts them."""
    known = all(type(m).__module__.startswith(("torch.nn.", "snntorch.")) for m in net.modules())
    return known and is_plain(net)


def _active_first(frames: Tensor) -> Tensor:
    """The frames ``[T, B, ...]`` that hold something, and behind them the others."""
    active = frames.flatten(1).any(1)
    return torch.cat([frames[active], frames[~active]])


def _step(distance: Tensor) -> Tensor:
    return (distance > 0).to(distance.dtype)


def _convert(module: nn.Module, dtype: torch.dtype) -> None:
    """Give a module tensors of another floating type, in the place of the ones that it holds."""
    holders: tuple[dict[str, Any], ...] = (module._parameters, module._buffers, vars(module))
    for held in holders:
        for name, tensor in list(held.items()):
            if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
                continue
            new = tensor.detach().to(dtype)
            learns = isinstance(tensor, nn.Parameter)
            held[name] = nn.Parameter(new, requires_grad=False) if learns else new


class _InOneType(TorchFunctionMode):
    """One floating type of all new tensors in this thread; torch's own default is the process's.

    What is made of nothing that floats, such as ``torch.zeros(3)``, gets that type. While the
    module is called, it also gets it where it asks for float32, and keeps all units in dropout.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.of_module = False
        self._usual = torch.get_default_dtype()

    @override
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self.of_module:
            name = getattr(func, "__name__", "")
            if name in DROPOUTS:
                return args[0] if args else kwargs["input"]
            if name == "float":
                return args[0].to(self.dtype)
            for each in args:
                if each is FLOAT32:
                    args = tuple(map(self._fitting, args))
            if kwargs:
                kwargs = {key: self._fitting(each) for key, each in kwargs.items()}
        result = func(*args, **kwargs)
        if type(result) is not Tensor or result.dtype != self._usual:
            return result
        taken = (each for each in leaves((args, kwargs)) if isinstance(each, Tensor))
        return result if any(map(Tensor.is_floating_point, taken)) else result.to(self.dtype)

    def _fitting(self, value: Any) -> Any:
        return self.dtype if value is FLOAT32 else value


class _Comparison:
    """A module and a program, side by side."""

    def __init__(self, net: nn.Module, structure: Structure, mode: _InOneType) -> None:
        self.net = net
        self.structure = structure
        self.program: Program = structure.program
        self.mode = mode
        self.dtype = mode.dtype
        #: What each module gave in the steps that are compared next; of neurons also membranes.
        self.gave: dict[nn.Module, list[Tensor]] = {}
        self.membranes: dict[nn.Module, list[Tensor]] = {}

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Note what the modules of stages give, for the time of a ``with`` block.

        A forward that loops gives all its steps at once; only what tells a difference is noted
        then.
        """
        stages = [node.stage for node in self.program.nodes]
        if self.structure.step.loops:
            stages = [s for s in stages if isinstance(s, Population) or s is stages[-2:][0]]
        own = set(self.net.modules())
        heard = {s.module for s in stages if s.module is not None and s.module in own}
        handles = [module.register_forward_hook(self._note) for module in heard]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _note(self, module: nn.Module, _inputs: object, output: Any) -> None:
        found = output[0] if isinstance(output, tuple) else output
        with torch._C.DisableTorchFunction():
            own = found.clone()  # others may change it in place
        self.gave.setdefault(module, []).append(own)
        membrane = module._buffers.get("mem")
        if membrane is not None:
            self.membranes.setdefault(module, []).append(membrane)

    def run(self, x: Tensor, steps: int | None) -> None:
        """Compare all steps of the module with those of the program.

        Raises:
            NetworkError: the two differ; the message names the first difference.
        """
        frames, steps = self.structure.frames(x, steps)
        assert isinstance(frames, Tensor)
        constant = steps is not None
        total = len(frames) if steps is None else steps
        if _steps_are_alike(self.net):
            total = min(total, FEW)
            frames = frames if constant else _active_first(frames)
        arguments = self.structure.arguments
        loops, others = self.structure.step.loops, arguments.first()
        state: dict[str, Tensor] = {}
        if loops:
            self._call(x, others)
        for start in range(0, total, CHUNK):
            length = min(CHUNK, total - start)
            if not loops:
                self.gave.clear()
                self.membranes.clear()
                for t in range(start, start + length):
                    returned = self._call(frames if constant else frames[t], others)
                    others = arguments.following(returned)
            value = frames[None] if constant else frames[start : start + length]
            run = Tape(length, value.shape[1], None, state, False, self.dtype, start=start)
            window = slice(start, start + length) if loops else slice(0, length)
            if not self._compare(self._stages(run, value), window, total if loops else length):
                return
            state = run.final_state

    def _call(self, x: Tensor, others: dict[str, Any]) -> Any:
        self.mode.of_module = True
        try:
            return self.net(x, **others)
        except (RuntimeError, ValueError, IndexError) as problem:
            raise NetworkError(
                f"The forward of {type(self.net).__name__} fails on an input of shape "
                f"{tuple(x.shape)}, which TemporalLFP could run: {problem}"
            ) from problem
        finally:
            self.mode.of_module = False

    def _stages(self, run: Tape, value: Tensor) -> list[Any]:
        """The values of all stages of the program."""
        values: list[Any] = [value]
        for node in self.program.nodes:
            inputs = [values[i] for i in node.inputs]
            kept = isinstance(node.stage, Dropout)
            given: Any = inputs[0] if kept else node.stage.forward(run, *inputs)
            values.append(run.membranes if self._is_readout(node.stage) else given)
        return values[1:]

    def _is_readout(self, stage: Stage) -> bool:
        """Whether a stage is the output by its membranes, which are compared then."""
        last = stage is self.program.output
        return last and isinstance(stage, Population) and stage.is_readout

    def _compare(self, values: list[Any], window: slice, expected: int) -> bool:
        """Compare a chunk of steps; False if a membrane at its threshold leaves the answer open."""
        differences: list[tuple[int, int, Stage, Tensor]] = []
        for k, (node, ours) in enumerate(zip(self.program.nodes, values, strict=True)):
            heard = self.membranes if self._is_readout(node.stage) else self.gave
            gave = heard.get(node.stage.module) if node.stage.module is not None else None
            if gave is None or len(gave) != expected:
                continue  # called once for all steps, or more often than a stage is
            theirs = torch.stack(gave[window])
            if self.structure.step.loops and expected == 1 and theirs.numel() == ours.numel():
                theirs = theirs.view(ours.shape)  # of a layer that takes the record of one step
            other = self._differ(node.stage, ours, theirs)
            if bool(other.any()):
                first = int(other.flatten(1).any(1).nonzero()[0])
                differences.append((first, k, node.stage, other))
        if not differences:
            return True
        first, _, stage, other = min(differences, key=lambda each: each[:2])
        if self._at_threshold(stage, other[first], window.start + first):
            return False
        share = float(other[first].double().mean())
        raise NetworkError(
            f"What TemporalLFP runs is not what {type(self.net).__name__} computes: stage "
            f"'{stage.name}' ({stage.describe()}) gives something else first, in {share:.1%} of "
            "its units, when both are stepped side by side: its forward does what differs from "
            "step to step or is kept outside of the states of neurons, for which there is no rule."
        )

    def _differ(self, stage: Stage, ours: Tensor, theirs: Tensor) -> Tensor:
        if ours.shape[1:] != theirs.shape[1:]:
            return torch.ones_like(theirs, dtype=torch.bool)
        if isinstance(stage, Population) and not self._is_readout(stage):
            return ours != theirs
        scale = float(theirs.abs().max()) + 1
        loose = TOLERANCE if self.dtype == torch.float64 else 1e-4
        return (ours - theirs).abs() > loose * scale

    def _at_threshold(self, stage: Stage, other: Tensor, t: int) -> bool:
        """Whether the membranes that differ lie so near their threshold that rounding decides."""
        if not isinstance(stage, Population) or stage.module not in self.membranes:
            return False
        if self._is_readout(stage):
            return False  # it has none, and what differs is the membrane itself
        membrane = self.membranes[stage.module][t]
        distance = (membrane - stage.module.threshold).abs()
        return bool((distance[other] < TOLERANCE * (1 + membrane.abs().max())).all())
