"""The named architectures: plain snntorch modules that know nothing of training.

``build("mlp", (2, 34, 34), 10, hidden=[256])`` returns an ``nn.Sequential`` whose forward is one
time step. Every neuron is a ``snntorch.Leaky`` with a step function, and the last one returns
``(spikes, membrane)``.

**Initial scale.** Weights and biases are PyTorch's default times ``scale``. A neuron that never
spikes passes no credit on, and PyTorch's default leaves most spiking neurons silent; a scale of 2
wakes two or three layers. Deeper networks want the calibrated start of
:func:`lfp_snn.training.calibrate`, which finds a scale for each layer and makes this one matter
little. Biases start nonzero on purpose: feedback is proportional to the size of the parameter, so
that one which is exactly zero never learns.

============== ===========================================================================
module         what it holds
============== ===========================================================================
options        what a config says of a network, and what every architecture shares
basic          ``mlp`` and ``csnn``
maps           what architectures on maps share
widths         the base of the convolutional ones
published      ``lifcnn``, ``deepersnn``, ``lif_resnet`` and ``lif_vgg``
deep           ``sew_resnet``, ``ms_resnet``, ``vgg11`` and ``dvs_gesture_net``
spikformer     ``spikformer``: a transformer of spikes
listed         ``layers``: a network written down as a list, layer by layer
own            ``own``: a network that a function of the user makes
layer          what a listed layer is, how a config writes one, and modules from a list of them
kinds          the kinds of layers with one module: synapses, pools, shapes
norms          the kinds of layers that normalise
neurons        the kinds of layers that are neurons
units          the kinds of layers that are activations
branches       the kinds of layers that hold branches of layers
merge          the module that merges branches
attention      the kind of layer that is spiking self-attention
self_attention the module of that attention
nir            a network from a file of the Neuromorphic Intermediate Representation
nir_graph      the shape of a NIR graph: nodes in order, loops of neurons
nir_neurons    neurons of NIR as snntorch has them: those that spike, and readouts
nir_synapses   synapses of NIR as torch has them
nir_time       how long a step of a NIR file is, where the file says it and where not
bounded        networks that a file describes, no larger than the weights that come with it
============== ===========================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from lfp_snn.errors import ConfigError, ShapeError
from lfp_snn.later import nn
from lfp_snn.models.basic import CSNN, MLP
from lfp_snn.models.deep import VGG11, DVSGestureNet, MSResNet, SEWResNet
from lfp_snn.models.listed import Layers
from lfp_snn.models.options import Model, ModelOptions
from lfp_snn.models.own import Own
from lfp_snn.models.published import DeeperSNN, LifCNN, LifResNet, LifVGG
from lfp_snn.models.spikformer import Spikformer
from lfp_snn.options import dotted, nearest

__all__ = [
    "CSNN",
    "MLP",
    "MODELS",
    "VGG11",
    "DVSGestureNet",
    "DeeperSNN",
    "Layers",
    "LifCNN",
    "LifResNet",
    "LifVGG",
    "MSResNet",
    "Model",
    "ModelOptions",
    "Own",
    "SEWResNet",
    "Spikformer",
    "build",
]

#: Architectures by the name that a config uses.
MODELS: dict[str, type[Model]] = {
    "mlp": MLP,
    "csnn": CSNN,
    "lifcnn": LifCNN,
    "deepersnn": DeeperSNN,
    "lif_resnet": LifResNet,
    "lif_vgg": LifVGG,
    "sew_resnet": SEWResNet,
    "ms_resnet": MSResNet,
    "vgg11": VGG11,
    "dvs_gesture_net": DVSGestureNet,
    "spikformer": Spikformer,
    "layers": Layers,
    "own": Own,
}


def build(name: str, input_shape: Sequence[int], classes: int, **options: Any) -> nn.Sequential:
    """Build a named architecture.

    Args:
        name: the name of the architecture, a key of :data:`MODELS`.
        input_shape: the shape of one input without time and batch: ``(2312,)`` or ``(2, 34, 34)``.
        classes: the number of output neurons.
        options: the options of the architecture's class and of :class:`ModelOptions`, by name.

    Raises:
        ConfigError: there is no such architecture, or an option is unknown or out of range.
        ShapeError: the input does not suit the architecture.
    """
    if isinstance(input_shape, int):
        raise ShapeError(f"input_shape is {input_shape}; expected a shape, ({input_shape},).")
    named = [key for key, kind in MODELS.items() if kind.describes]
    if name not in named:
        guess = nearest(name, named)
        hint = f"; did you mean {guess!r}?" if guess else "."
        raise ConfigError(f"There is no model {name!r}, expected one of {', '.join(named)}{hint}")
    try:
        chosen = MODELS[name](name=name, **options)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "unknown_key":
            context = first["ctx"]
            guess = nearest(context["unknown"][0], context["known"])
            hint = f", did you mean {guess!r}?" if guess else "."
            raise ConfigError(
                f"The model {name!r} has no option {context['unknown'][0]!r}{hint}"
            ) from error
        key = dotted(first["loc"])
        raise ConfigError(
            f"The option {key!r} of the model {name!r} is {first['input']!r}: {first['msg']}."
        ) from error
    net = chosen.build(input_shape, classes)
    assert isinstance(net, nn.Sequential)
    return net
