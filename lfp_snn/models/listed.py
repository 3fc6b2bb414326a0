"""A network written down in a config, layer by layer."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field
from typing_extensions import override

from lfp_snn.errors import ShapeError
from lfp_snn.models import attention, kinds, neurons, norms, units  # noqa: F401 - makes them known
from lfp_snn.models.layer import AnyLayer, Assembly, as_text
from lfp_snn.models.options import ModelOptions

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Layers"]


class Layers(ModelOptions):
    """A network of one's own: a list of layers, such as ``[{linear: classes}, lif]``.

    Layers run in order and their shapes are inferred. The last one is the output, one neuron or
    value per class: ``lif``, another kind of neurons, ``readout``, or a synapse such as
    ``{linear: classes}`` where a reward looks at values. The other options are those of every
    neuron that does not say otherwise.

    Attributes:
        layers: the layers, each a kind with its options; see :mod:`lfp_snn.models.kinds`,
            :mod:`lfp_snn.models.norms`, :mod:`lfp_snn.models.neurons`,
            :mod:`lfp_snn.models.units`, :mod:`lfp_snn.models.branches` and
            :mod:`lfp_snn.models.attention`.
        learn_beta: whether the decay of the neurons learns.
        learn_threshold: whether their threshold learns.
    """

    name: Literal["layers"] = "layers"
    layers: list[AnyLayer] = Field(min_length=1)
    learn_beta: bool = False
    learn_threshold: bool = False

    @override
    def neuron_options(self) -> dict[str, Any]:
        learnt = {"learn_beta": self.learn_beta, "learn_threshold": self.learn_threshold}
        return {**super().neuron_options(), **learnt}

    @override
    def _stages(self, input_shape: tuple[int, ...], classes: int) -> list[nn.Module]:
        assembly = Assembly(self, classes)
        end = assembly.flow(self.layers, input_shape, "layers")[-1]
        if end != (classes,):
            raise ShapeError(
                f"layers[{len(self.layers) - 1}], the output, has the shape {as_text(end)} "
                f"({prod(end)} neurons), but there are {classes} classes: put "
                f"{'flatten and ' if len(end) > 1 else ''}{{linear: classes}} before it."
            )
        return assembly.modules(self.layers, input_shape, "layers")
