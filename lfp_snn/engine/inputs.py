"""Checks of what a user hands to a pass, and the relevance of the input in the form that it had."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from lfp_snn.engine.graph import Program
from lfp_snn.engine.tape import Tape, Value
from lfp_snn.engine.undisturbed import version_of
from lfp_snn.errors import NetworkError, NotFiniteError, ShapeError
from lfp_snn.norms import running_statistics
from lfp_snn.spikes import Spikes

__all__ = [
    "check_device",
    "check_finite",
    "check_input",
    "check_kind",
    "finite",
    "note_taken",
    "prepare_input",
    "prepare_lengths",
    "prepare_reward",
    "prepare_state",
    "refuse_changed",
    "relevance_of_input",
]


def check_kind(x: object) -> None:
    """Refuse an input that is no tensor and no spikes.

    Raises:
        ShapeError: it is something else; the message says what to give.
    """
    if isinstance(x, Tensor) and (x.is_complex() or x.layout != torch.strided):
        what = "complex numbers" if x.is_complex() else "a sparse tensor"
        cure = "x.real or x.abs()" if x.is_complex() else "x.to_dense(), or Spikes"
        raise ShapeError(f"The input is {what}; expected a dense tensor of real numbers: {cure}.")
    if isinstance(x, Tensor | Spikes):
        return
    cure = "take a batch of a DataLoader, x, labels = next(iter(loader))"
    if isinstance(x, list | tuple):
        cure = "take the input of a batch of a DataLoader, x, labels = batch"
    elif hasattr(x, "__array__"):
        cure = "make a tensor of it, torch.as_tensor(x)"
    raise ShapeError(f"The input is a {type(x).__name__}; expected a tensor or Spikes: {cure}.")


def check_device(x: Tensor | Spikes, device: torch.device) -> None:
    """Refuse an input on another device than the network.

    Raises:
        ShapeError: it lies on another one.
    """
    if x.device != device:
        raise ShapeError(
            f"The input lies on {x.device} and the network on {device}: move one of them, for "
            f"instance with x.to('{device}')."
        )


def check_input(x: Tensor | Spikes, steps: int | None) -> None:
    """Refuse an input that no network of one step can take.

    Raises:
        ShapeError: the input has the wrong shape.
    """
    if steps is not None and (not isinstance(steps, int) or steps < 1):
        raise ShapeError(f"steps is {steps!r}; expected at least one time step, as a whole number.")
    if isinstance(x, Spikes) and steps not in (None, x.steps):
        raise ShapeError(
            f"steps is {steps}, but the spikes have T={x.steps}: leave steps out, it is for "
            "inputs that are constant over time."
        )
    constant = steps is not None and not isinstance(x, Spikes)
    shape = (steps, *x.shape) if constant else x.shape
    if len(shape) < 3 or 0 in shape:
        raise ShapeError(
            f"The input has the shape {tuple(x.shape)}; expected "
            f"{'[B, ...]' if constant else '[T, B, ...]'} with at least one time step, one sample "
            "and one unit."
        )


def prepare_input(x: Tensor | Spikes, steps: int | None, dtype: torch.dtype | None) -> Value:
    """A checked input as a value: spikes, ``[T, B, ...]``, or ``[1, B, ...]`` if it is constant.

    A tensor takes the given dtype; if the dtype is None, it keeps its own.

    Raises:
        NotFiniteError: the tensor holds NaN or infinity (checked on the CPU).
    """
    on_cpu = x.device.type == "cpu"
    if isinstance(x, Spikes):
        if on_cpu:
            x.validate()
        return x
    value = x.detach().to(dtype or x.dtype)
    if steps is not None:
        value = value[None]
    if on_cpu and not finite(value):
        raise NotFiniteError(
            "The input holds NaN or infinite values: clean the data before it goes into the "
            "network."
        )
    return value


def finite(value: Tensor) -> bool:
    """Whether every element is finite. One that is not shows in the sum, the quicker look."""
    return bool(torch.isfinite(value.sum())) or bool(torch.isfinite(value).all())


def prepare_lengths(
    lengths: Tensor | None, steps: int, batch: int, device: torch.device
) -> Tensor | None:
    """The number of steps of each sample, checked, int64 ``[B]``.

    Raises:
        ShapeError: there is not one integer per sample, or (checked on the CPU) one is not between
            0 and T.
    """
    if lengths is None:
        return None
    try:
        lengths = torch.as_tensor(lengths, device=device)
    except (TypeError, ValueError, RuntimeError):
        raise ShapeError(
            f"lengths are {str(lengths)[:80]}; expected {batch} integers, one per sample."
        ) from None
    if lengths.shape != (batch,) or lengths.is_floating_point():
        raise ShapeError(
            f"lengths have the shape {tuple(lengths.shape)} and type {lengths.dtype}; expected "
            f"{batch} integers, one per sample."
        )
    if device.type == "cpu" and not bool(((lengths >= 0) & (lengths <= steps)).all()):
        raise ShapeError(
            f"lengths run from {int(lengths.min())} to {int(lengths.max())}; expected 0 to "
            f"T={steps}."
        )
    return lengths


def prepare_state(state: Mapping[str, Tensor] | None, program: Program) -> dict[str, Tensor]:
    """The membranes before the first step, by neuron, checked.

    Raises:
        ShapeError: the state names a neuron that the network does not have.
        NetworkError: a normalisation has statistics of its own for each step, and a state does
            not tell at which one it stands.
    """
    if not state:
        return {}
    neurons = [neuron.name for neuron in program.neurons()]
    unknown = sorted(set(state) - set(neurons))
    if unknown:
        raise ShapeError(
            f"The state holds '{unknown[0]}', which is no neuron of the network; expected "
            f"{', '.join(neurons)}, as in lfp.state."
        )
    for stage in (node.stage for node in program.nodes):
        if stage.measured == "step":
            raise NetworkError(
                f"Stage '{stage.measured_by}' ({stage.describe()}) has a normalisation of its own "
                "for each step, and a state does not tell at which one it stands: give the whole "
                "sequence in one call."
            )
    return dict(state)


def check_finite(run: Tape, output: Value | None, net: nn.Module) -> None:
    """Refuse membranes, values, parameters and statistics that are not finite; on the CPU only.

    NaN stays in a membrane, so that only the membranes after the last step are looked at, which
    costs a T-th of looking at all. A weight whose input was silent, or an infinite one before a
    reset to zero, leaves no trace in them and would make the feedback NaN: parameters are looked at
    too, and so are running statistics, which a batch may have made infinite that is normalised.

    Raises:
        NotFiniteError: something is not finite; the message names the layer or the tensor.
    """
    for name, membrane in run.final_state.items():
        if membrane.device.type == "cpu" and not finite(membrane):
            raise NotFiniteError(f"The membranes of layer '{name}' are not finite")
    if isinstance(output, Tensor) and output.device.type == "cpu" and not finite(output):
        raise NotFiniteError("The output of the network is not finite")
    for name, parameter in net.named_parameters():
        if parameter.device.type == "cpu" and not finite(parameter.detach()):
            raise NotFiniteError(f"The parameter '{name}' is not finite")
    for name, statistic in running_statistics(net):
        if statistic.device.type == "cpu" and not finite(statistic):
            raise NotFiniteError(f"The running statistic '{name}' is not finite")


def note_taken(run: Tape, net: nn.Module, x: Tensor | Spikes, output: Tensor | Spikes) -> None:
    """Note what a pass took and gave; it is refused to go back if that is changed meanwhile."""
    taken: dict[str, Tensor] = {f"parameter '{name}'": p for name, p in net.named_parameters()}
    taken |= {"input": x} if isinstance(x, Tensor) else {}
    taken |= {"output": output} if isinstance(output, Tensor) else {}
    run.taken = {name: (each, version_of(each)) for name, each in taken.items()}


def refuse_changed(run: Tape) -> None:
    """Refuse a way back with other parameters, or another input, than those of the pass.

    Raises:
        NetworkError: names what was changed in place.
    """
    for name, (tensor, version) in run.taken.items():
        if version_of(tensor) != version:
            raise NetworkError(
                f"The {name} was changed in place between forward and backward, whose feedback "
                "would be of neither: call backward first, change a copy, or call forward again."
            )


def prepare_reward(reward: Tensor, run: Tape, device: torch.device) -> Tensor:
    """The checked reward of a recorded pass, on the network's device, zero behind a sample's end.

    Raises:
        ShapeError: the reward has another shape than the output.
        NotFiniteError: the tensor holds NaN or infinity (checked on the CPU).
    """
    form = run.forms[-1]
    expected = form.shape if isinstance(form, Spikes) else tuple(form)
    if not isinstance(reward, Tensor) or reward.shape != expected:
        raise _no_reward(reward, expected)
    reward = reward.to_dense().to(device, run.dtype)
    if device.type == "cpu" and not finite(reward):
        raise NotFiniteError(
            "The reward holds NaN or infinite values: nothing can be learnt from it."
        )
    alive = run.running(reward.dim())
    return reward if alive is None else reward * alive


def _no_reward(given: object, expected: tuple[int, ...]) -> ShapeError:
    """The error for what stands in the place of a reward: what it is, and how one is made."""
    needed = f"the output spikes have {expected}, and each of them needs one value"
    made = "lfp.backward(reward(spikes, labels)) with reward = lfp_snn.rewards.RateCoded()"
    if not isinstance(given, Tensor):
        return ShapeError(f"The reward is a {type(given).__name__}; {needed}: {made}.")
    if given.dim() == 0:
        return ShapeError(
            f"The reward is one number, as a loss is; {needed}: give the loss as a function, "
            "lfp.backward(loss=loss_fn, labels=labels)."
        )
    advice = ""
    if given.shape == expected[1:2] and not given.is_floating_point():
        advice = f", which labels are not: {made}"
    elif given.transpose(0, 1 if given.dim() > 1 else 0).shape == expected:
        advice = ", steps first: reward.transpose(0, 1)"
    return ShapeError(f"The reward has the shape {tuple(given.shape)}; {needed}{advice}.")


def relevance_of_input(
    x: Tensor | Spikes, credit: Tensor | None, beside: Tensor | None
) -> Tensor | None:
    """The relevance ``R = x * c + r`` in the form of the input, or None where there is neither.

    Args:
        x: the input as it was given: dense, constant over time, or spikes.
        credit: the credit ``c`` of each entry of the input.
        beside: the dense relevance ``r`` that silent inputs get too.
    """
    relevance = None
    if credit is not None and isinstance(x, Spikes):
        relevance = credit.clone() if x.values is None else credit * x.values.to(credit.dtype)
    elif credit is not None and isinstance(x, Tensor):
        relevance = (credit * x.to(credit.dtype)).view(x.shape)
    if beside is None:
        return relevance
    beside = beside.view(x.shape)
    if relevance is not None and isinstance(x, Spikes):
        relevance = Spikes(x.indptr, x.indices, x.shape, relevance).dense(beside.dtype)
    return beside if relevance is None else relevance + beside
