r"""The layers of a trained network: stages of one step with shapes, normalisation folded in.

The formats that networks are exchanged in know neither dropout nor batch normalisation. In
evaluation mode dropout does nothing, and a normalisation with its running statistics is a linear
stage that belongs to the synapse before it,

.. math:: W' = a W, \quad b' = a b + d, \quad a = \gamma / \sqrt{\mathrm{var} + \epsilon},
          \quad d = \beta_{bn} - a\,\mathrm{mean}.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lfp_snn.engine import TemporalLFP, batch_norms, neurons, norms, shapes, synapses
from lfp_snn.engine.as_step import trace_frames
from lfp_snn.engine.execute import run_forward
from lfp_snn.engine.graph import Program
from lfp_snn.engine.stage import Stage, Tape
from lfp_snn.errors import NetworkError
from lfp_snn.spikes import Spikes

__all__ = ["FoldedLayer", "layers_of", "refuse_neurons"]


@dataclass(frozen=True)
class FoldedLayer:
    """One stage of a network in evaluation mode.

    Attributes:
        name: a word of letters, digits and underscores, unlike that of any other layer.
        stage: the stage of the engine.
        inputs: the positions of the layers it takes, -1 for the input of the network.
        in_shapes: the shape of each input, without time and batch.
        shape: the shape of its value, without time and batch.
        weight: the weight of a synapse, normalisation folded in, else ``None``.
        bias: the bias of a synapse, normalisation folded in, ``None`` if it has none.
    """

    name: str
    stage: Stage
    inputs: tuple[int, ...]
    in_shapes: tuple[tuple[int, ...], ...]
    shape: tuple[int, ...]
    weight: npt.NDArray[np.floating] | None = None
    bias: npt.NDArray[np.floating] | None = None


def layers_of(net: nn.Module, input_shape: Sequence[int]) -> list[FoldedLayer]:
    """The stages of a network in evaluation mode, the output neuron last.

    Args:
        net: a module whose forward is one time step; it is not changed.
        input_shape: the shape of one input, without time and batch.

    Raises:
        NetworkError: the network cannot be traced, or normalises what no synapse computed.
        ShapeError: the input does not fit.
    """
    training = net.training
    net.eval()
    try:
        engine = TemporalLFP(net)
        trace_frames(engine, input_shape)
        program = engine.reference
        found = _unfolded(program, _shapes(program, net, tuple(input_shape)))
    finally:
        net.train(training)
    return _named(found)


def refuse_neurons(layers: Sequence[FoldedLayer], form: str, *, readout: bool) -> None:
    """Refuse neurons whose spikes an exchange format cannot express.

    Args:
        layers: the layers of the network.
        form: the name of the format, for the error.
        readout: whether the format can express a readout, which never spikes.

    Raises:
        NetworkError: there is such a neuron; the message names it and the reason.
    """
    for layer in layers:
        stage = layer.stage
        if not isinstance(stage, neurons.Leaky):
            continue
        reason = "has graded spikes" if stage.graded else None
        if not readout and stage.is_readout:
            reason = "never spikes (it is a readout)"
        if reason is not None:
            raise NetworkError(
                f"{form} cannot express neuron '{stage.name}', which {reason}: export a network "
                "whose neurons send spikes of 1."
            )


def _shapes(
    program: Program, net: nn.Module, input_shape: tuple[int, ...]
) -> list[tuple[int, ...]]:
    """The shape of every value of a program, found by running one silent sample."""
    first = next(iter(net.parameters()), torch.empty(0))
    run = Tape(1, 1, None, {}, record=False, dtype=first.dtype)
    with torch.no_grad():
        run_forward(program, run, torch.zeros(1, 1, *input_shape).to(first))
    # The reference program passes tensors on, never lists of spikes.
    return [tuple(form)[2:] for form in run.forms if not isinstance(form, Spikes)]


def _unfolded(program: Program, forms: list[tuple[int, ...]]) -> list[FoldedLayer]:
    """The layers without those that do nothing, and with each normalisation inside its synapse."""
    layers: list[FoldedLayer] = []
    place = {0: -1}  # of each value of the program among the layers
    uses = [i for node in program.nodes for i in node.inputs]
    for k, node in enumerate(program.nodes):
        inputs = tuple(place[i] for i in node.inputs)
        stage = node.stage
        if isinstance(stage, shapes.Dropout | shapes.Identity):
            place[k + 1] = inputs[0]
            continue
        if type(stage) is batch_norms.BatchNorm:
            before = layers[inputs[0]] if inputs[0] >= 0 else None
            if before is None or before.weight is None or uses.count(node.inputs[0]) != 1:
                raise NetworkError(
                    f"Stage '{stage.name}' ({stage.describe()}) normalises what is not the "
                    "current of one synapse alone, so it cannot be folded into its weights: "
                    "normalise directly after a Linear or Conv layer."
                )
            layers[inputs[0]] = _folded(before, stage.module)
            place[k + 1] = inputs[0]
            continue
        if isinstance(stage, norms.Normalisation):
            raise NetworkError(
                f"Stage '{stage.name}' ({stage.describe()}) normalises anew at every step, so it "
                "cannot be folded into the weights before it: take nn.BatchNorm1d or BatchNorm2d."
            )
        weight = bias = None
        if isinstance(stage, synapses.Synapse):
            weight = _numpy(stage.weight)
            bias = None if stage.bias is None else _numpy(stage.bias)
        shapes_in = tuple(forms[i] for i in node.inputs)
        layers.append(FoldedLayer(stage.name, stage, inputs, shapes_in, forms[k + 1], weight, bias))
        place[k + 1] = len(layers) - 1
    return layers


def _folded(synapse: FoldedLayer, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> FoldedLayer:
    """A synapse whose weights contain the normalisation that follows it, folded in float64."""
    if norm.running_mean is None or norm.running_var is None:
        raise NetworkError(
            f"The normalisation after '{synapse.name}' keeps no running statistics, so each batch "
            "has its own: build it with track_running_stats=True."
        )
    assert synapse.weight is not None
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    scale = scale if norm.weight is None else scale * norm.weight.detach().double()
    shift = -scale * norm.running_mean.double()
    shift = shift if norm.bias is None else shift + norm.bias.detach().double()
    a, d = scale.cpu().numpy(), shift.cpu().numpy()
    wide = a.reshape(-1, *(1,) * (synapse.weight.ndim - 1))
    bias = d if synapse.bias is None else a * synapse.bias + d
    dtype = synapse.weight.dtype
    return replace(synapse, weight=(wide * synapse.weight).astype(dtype), bias=bias.astype(dtype))


def _named(layers: list[FoldedLayer]) -> list[FoldedLayer]:
    """The layers under names that any format and any Python class takes."""
    taken = {"input", "output"}
    named = []
    for layer in layers:
        name = base = re.sub(r"\W", "_", layer.name) or "layer"
        count = 1
        while name in taken:
            count += 1
            name = f"{base}_{count}"
        taken.add(name)
        named.append(replace(layer, name=name))
    return named


def _numpy(tensor: Tensor) -> npt.NDArray[np.floating]:
    values: npt.NDArray[np.floating] = tensor.detach().cpu().numpy().copy()
    return values
