"""A snntorch network unrolled one module after the other, each over all its steps, under autograd.

This is how the engine runs a network, and SpikingJelly in its multi-step mode. Modules without a
memory see the T steps of B samples as T * B samples, in one call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from lfp_snn.errors import NetworkError
from lfp_snn.later import later, snn, torch
from lfp_snn.learners.unrolled import Unrolled, rest, unroll, unrolled
from lfp_snn.lif import running
from lfp_snn.wording import setting

if TYPE_CHECKING:
    from torch import Tensor, nn

    from lfp_snn import norms
    from lfp_snn.engine import undisturbed
else:
    norms, undisturbed = later("lfp_snn.norms"), later("lfp_snn.engine.undisturbed")

__all__ = ["check_by_layer", "unroll_by_layer"]

#: Membranes that are this near to each other are equal, and the share that may be apart.
_NEAR, _SELDOM = 1e-3, 0.05


def unroll_by_layer(
    net: nn.Module,
    inputs: Iterable[Tensor],
    lengths: Tensor | None = None,
    *,
    last: nn.Module | None = None,
) -> Unrolled:
    """Run a network through its inputs, from the state that its neurons have, layer by layer.

    Spikes, membranes and gradients are those of :func:`lfp_snn.learners.unrolled.unroll`, up to
    rounding, but for batch normalisations in training: they take their statistics over all steps
    that run, and their running statistics move once, as in the engine and in SpikingJelly's
    multi-step mode. Unrolled step by step they would train with the statistics of each step and be
    evaluated with one for all.

    Args:
        net: the network, whose forward is one step, and gives spikes, or spikes and membranes.
        inputs: the input ``[B, *feature]`` of each step.
        lengths: the number of steps of each sample, ``[B]``; beyond them its outputs are silent.
        last: the neurons that are the output; None: the output values stand for membranes too,
            where the network gives no membranes itself.

    Raises:
        NetworkError: the network fails on the steps of all samples in one call, as one with a
            number of samples written into its forward does.
    """
    x = torch.stack(list(inputs))
    steps, samples = x.shape[:2]
    seen: list[Tensor] = []
    with ExitStack() as stack:
        for module in _with_memory(net):
            forward = _over_time(module, steps, samples, seen if module is last else None)
            stack.enter_context(_replaced(module, forward))
        if lengths is not None:
            alive = running(lengths.to(x.device), steps, 2)
            for norm, frames in _normalised(net, alive):
                stack.enter_context(_replaced(norm, _of_running(norm, frames)))
        out = _called(net, x)
    if isinstance(out, tuple):
        spikes, membranes = (each.unflatten(0, (steps, -1)) for each in (out[0], out[-1]))
    else:
        spikes = out.unflatten(0, (steps, -1))
        membranes = torch.stack(seen) if last is not None else spikes
    return unrolled(spikes, membranes, lengths)


def check_by_layer(net: nn.Module, inputs: Sequence[Tensor], *, last: nn.Module | None) -> None:
    """Hold a network by layer against the same step by step, in evaluation on two samples.

    Args:
        net: the network, which is not changed.
        inputs: the input ``[B, *feature]`` of each step.
        last: the neurons that are the output, as for :func:`unroll_by_layer`.

    Raises:
        NetworkError: the two differ, as they do where forward asks how many samples there are.
    """
    few = [frame[:2] for frame in inputs]
    with undisturbed.undisturbed(net), torch.no_grad():
        net.eval()
        found = []
        for way in (unroll_by_layer, unroll):
            rest(net)
            found.append(way(net, few, last=last).membranes)
    ours, theirs = found
    apart = (ours - theirs).abs() > _NEAR * (1 + theirs.abs())
    # Rounding may move a spike over its threshold, and what follows from it, but seldom.
    if float(apart.float().mean()) > _SELDOM:
        raise NetworkError(
            f"{type(net).__name__} computes something else of {len(few)} steps in one call than "
            "step by step: its forward asks for the number of samples. Let it do without, or let "
            f"the learner surrogate call it at every step, {setting('learner.unroll', 'steps')}."
        )


def _called(net: nn.Module, x: Tensor) -> Any:
    """What a network gives for all steps ``[T, B, ...]`` as samples."""
    steps, samples = x.shape[:2]
    try:
        out = net(x.flatten(0, 1))
        _require_all(out[0] if isinstance(out, tuple) else out, steps, samples)
        return out
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise NetworkError(
            f"{type(net).__name__} fails on {steps} steps of {samples} samples as "
            f"{steps * samples} samples in one call ({str(error).splitlines()[0]}): let its "
            "forward take any number of samples, or let the learner surrogate call it at every "
            f"step, {setting('learner.unroll', 'steps')}."
        ) from error


def _require_all(x: Tensor, steps: int, samples: int) -> None:
    """Refuse values that are not those of all steps ``[T * B, ...]``."""
    if len(x) != steps * samples:
        raise RuntimeError(f"it gives {len(x)} samples")


def _with_memory(net: nn.Module) -> Iterator[nn.Module]:
    """The modules whose output depends on the steps before."""
    yield from (
        each for each in net.modules() if isinstance(each, snn.SpikingNeuron | norms.PerStep)
    )


def _normalised(net: nn.Module, alive: Tensor) -> Iterator[tuple[nn.Module, Tensor]]:
    """The batch normalisations, each with which of the frames that it sees run.

    Args:
        net: the network.
        alive: whether a sample runs at a step, bool ``[T, B]``.
    """
    of_a_step = {
        norm: frame
        for module in net.modules()
        if isinstance(module, norms.PerStep)
        for norm, frame in zip(list(module.norms)[module.step :], alive, strict=False)
    }
    for norm in norms.batch_norms(net).values():
        yield norm, of_a_step.get(norm, alive.flatten())


def _over_time(
    module: Any, steps: int, samples: int, membranes: list[Tensor] | None
) -> Callable[[Tensor], Tensor | tuple[Tensor, ...]]:
    """The forward of a module with a memory, of all steps ``[T * B, ...]``.

    Args:
        module: the module; its own forward is one step.
        steps: the number of steps T.
        samples: the number of samples B.
        membranes: the list to which its membrane ``[B, ...]`` at each step is added.
    """
    step = module.forward

    def forward(x: Tensor) -> Tensor | tuple[Tensor, ...]:
        _require_all(x, steps, samples)
        outs = []
        for frame in x.chunk(steps):
            outs.append(step(frame))
            if membranes is not None:
                membranes.append(module.mem)
        if isinstance(outs[0], tuple):
            return tuple(torch.cat(each) for each in zip(*outs, strict=True))
        return torch.cat(outs)

    return forward


def _of_running(norm: Any, alive: Tensor) -> Callable[[Tensor], Tensor]:
    """The forward of a normalisation that sees only the frames that run, bool of all it sees."""
    of_all = norm.forward

    def forward(x: Tensor) -> Tensor:
        y, seen = torch.zeros_like(x), x[alive]
        if not len(seen):
            return y
        # Torch refuses statistics over one value; over two equal ones they are the engine's.
        single = seen.numel() == seen.shape[1]
        return y.index_put((alive,), of_all(seen.repeat(2, 1))[:1] if single else of_all(seen))

    return forward


@contextmanager
def _replaced(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """Give a module another forward for the time of a ``with`` block; hooks stay as they are."""
    held = module.__dict__.get("forward")
    module.__dict__["forward"] = forward
    try:
        yield
    finally:
        if held is None:
            del module.__dict__["forward"]
        else:
            module.__dict__["forward"] = held
