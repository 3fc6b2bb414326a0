"""Networks that loop over time, or are handed the states of neurons, run under autograd.

They are called as their own forward wants it; what their outputs give at each step is listened to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lfp_snn.errors import NetworkError
from lfp_snn.later import later, torch
from lfp_snn.learners.base import TrainingBatch
from lfp_snn.learners.unrolled import Unrolled, frames, hooked, unrolled

if TYPE_CHECKING:
    from torch import Tensor, nn

    from lfp_snn.engine import TemporalLFP, undisturbed, units
    from lfp_snn.engine.readings import Gathering
else:
    undisturbed, units = later("lfp_snn.engine.undisturbed"), later("lfp_snn.engine.units")

__all__ = ["unroll_as_called"]


def unroll_as_called(engine: TemporalLFP, batch: TrainingBatch) -> Unrolled:
    """Run a batch through a network in the way in which its own forward goes over time.

    Batch normalisations within a loop take the statistics that the module takes, those of each
    step.

    Args:
        engine: the network, traced on an input of this kind.
        batch: the inputs, in the layout that forward takes, and lengths.

    Raises:
        NetworkError: the outputs are not those of one module, called once at each step.
    """
    last = _last(engine)
    spikes: list[Tensor] = []
    membranes: list[Tensor] = []

    def listen(module: Any, _inputs: object, out: Any) -> None:
        several = isinstance(out, tuple)
        spikes.append(out[0] if several else out)
        membranes.append(out[-1] if several else getattr(module, "mem", out))

    with (
        hooked([last.register_forward_hook(listen)]),
        undisturbed.attributes_given_back(engine.net),
    ):
        steps = _call(engine, batch)
    behind = engine.structure.step.behind
    if behind is not None and len(spikes) == 1:
        return _of_the_record(spikes[0], behind, steps, batch.lengths)
    if len(spikes) != steps:
        raise NetworkError(
            f"The surrogate listens to the outputs at every step, but in {steps} steps "
            f"{type(last).__name__} was called {len(spikes)} times: let the loop over time call "
            "the last layer, once at each step."
        )
    return unrolled(torch.stack(spikes), torch.stack(membranes), batch.lengths)


def _of_the_record(out: Tensor, how: Gathering, steps: int, lengths: Tensor | None) -> Unrolled:
    """The values ``[T, B, C]`` of a layer behind the loop, of which it gave all at once or a mean.

    Args:
        out: what the layer gave.
        how: what it took of the record of all steps.
        steps: T.
        lengths: the number of steps of each sample.

    Raises:
        NetworkError: the samples have steps of their own, which what it took does not tell apart.
    """
    if isinstance(how, int):
        values = out.movedim(how, 0)
    elif lengths is not None:
        raise NetworkError(
            f"The layer behind the loop over time takes the {how} of the record over all steps, "
            "but the samples of this batch have steps of their own: call it at every step."
        )
    else:
        values = (out / steps if how == "sum" else out).expand(steps, *out.shape)
    return unrolled(values, values, lengths)


def _call(engine: TemporalLFP, batch: TrainingBatch) -> int:
    """Call a network on a batch, at every step if it does not loop itself; gives T."""
    structure = engine.structure
    if structure.step.loops:
        engine.net(structure.laid_out(batch.x, engine.dtype))
        rows, steps = structure.frames(batch.x, batch.steps)
        return rows.shape[0] if steps is None else steps
    arguments, called = structure.arguments, 0
    others = {name: each.to(engine.device) for name, each in arguments.first().items()}
    for frame in frames(batch, engine.dtype):
        others = arguments.following(engine.net(frame, **others))
        called += 1
    return called


def _last(engine: TemporalLFP) -> nn.Module:
    """The module whose outputs are those of the network."""
    program = engine.reference
    stage = program.nodes[-1].stage
    if isinstance(stage, units.Readout):
        (value,) = program.nodes[-1].inputs
        stage = program.nodes[value - 1].stage if value else stage
    module = stage.module
    if module is None or module not in set(engine.net.modules()):
        raise NetworkError(
            f"The surrogate listens to the module that gives the outputs, but the last stage of "
            f"{type(engine.net).__name__}, '{stage.name}' ({stage.describe()}), is none: end in "
            "neurons or in a linear layer, or let forward be one time step, with neurons that keep "
            "their own state (init_hidden=True)."
        )
    return module
