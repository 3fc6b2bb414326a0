"""The kinds of layers that are neurons; options that are not given are as the model says.

A kind that recurs hears its own spikes of the step before: ``all`` to all (of maps through a
convolution with a ``kernel``), or ``one`` to one.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from lfp_snn.errors import ShapeError
from lfp_snn.later import snn
from lfp_snn.models.layer import Assembly, LayerSpec, Shape
from lfp_snn.models.options import PositiveInt, Reset

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "AlphaSpec",
    "LapicqueSpec",
    "LifSpec",
    "NeuronsSpec",
    "RLifSpec",
    "RSynapticSpec",
    "ReadoutSpec",
    "SynapticSpec",
]


class NeuronsSpec(LayerSpec):
    """The base of layers that are neurons of any kind."""

    #: A class of neurons, or the name of one of snntorch, which is looked up when they are made.
    neuron: ClassVar[Any]
    #: Options of the model that it does not take.
    without: ClassVar[tuple[str, ...]] = ()
    #: Options of the layer that :meth:`arguments` puts into other words.
    put_otherwise: ClassVar[set[str]] = set()

    @override
    def module(self, shape: Shape, assembly: Assembly) -> nn.Module:
        """The neurons as a module of snntorch."""
        own = self.model_dump(exclude_none=True, exclude=self.put_otherwise)
        arguments = {**own, **self.arguments(shape)}
        kind = getattr(snn, self.neuron) if isinstance(self.neuron, str) else self.neuron
        made: nn.Module = assembly.options.neurons(kind, self.without, **arguments)
        return made

    def arguments(self, shape: Shape) -> dict[str, Any]:
        """The arguments of the module that are no options of the layer by the same name.

        Raises:
            ShapeError: the layer cannot take inputs of that shape, or its options do not fit each
                other.
        """
        return {}

    @override
    def out(self, shape: Shape, assembly: Assembly) -> Shape:
        """The shape of the output, which is the shape of the input."""
        self.arguments(shape)
        if "reset_delay" in self.without and not assembly.options.reset_delay:
            raise ShapeError(
                f"snntorch's {self.neuron} resets one step after the spike and never at "
                "once, as model.reset_delay: false asks"
            )
        return shape


class _SpikingSpec(NeuronsSpec):
    """The base of layers of neurons that spike."""

    threshold: float | None = Field(default=None, gt=0)
    reset: Reset | None = None
    learn_threshold: bool | None = None


class LifSpec(_SpikingSpec):
    """Leaky integrate-and-fire neurons.

    Attributes:
        beta: the decay of the membrane per step, in [0, 1].
        threshold: the membrane above which a neuron spikes, > 0.
        reset: what a spike does: ``subtract`` the threshold, ``zero`` the membrane, or ``none``.
        reset_delay: whether the reset acts one step after the spike.
        learn_beta: whether the decay learns.
        learn_threshold: whether the threshold learns.
    """

    kind: ClassVar[str] = "lif"
    neuron = "Leaky"
    beta: float | None = Field(default=None, ge=0, le=1)
    reset_delay: bool | None = None
    learn_beta: bool | None = None


class _RecurrentSpec(NeuronsSpec):
    """The base of layers of neurons that hear their own spikes."""

    put_otherwise: ClassVar[set[str]] = {"recurrent", "kernel"}
    recurrent: Literal["all", "one"] = "all"
    kernel: PositiveInt | None = None

    @override
    def arguments(self, shape: Shape) -> dict[str, Any]:
        if self.recurrent == "one" or len(shape) == 1:
            if self.kernel is not None:
                raise ShapeError("a kernel is for maps that recur all to all")
            dense = {"linear_features": shape[0]} if self.recurrent == "all" else {}
            return {"all_to_all": self.recurrent == "all", **dense}
        if len(shape) != 3 or self.kernel is None or self.kernel % 2 == 0:
            raise ShapeError(
                "recurring all to all, it takes flat inputs, or maps (channels, height, width) "
                "with an odd kernel such as kernel: 3; or let it recur one to one (recurrent: one)"
            )
        return {"conv2d_channels": shape[0], "kernel_size": self.kernel}


class RLifSpec(_RecurrentSpec, LifSpec):
    """Leaky integrate-and-fire neurons with a recurrent synapse; attributes as of :class:`LifSpec`.

    Attributes:
        recurrent: the connections, ``all`` to all, or ``one`` to one.
        kernel: the size of the convolution through which maps recur.
    """

    kind: ClassVar[str] = "rlif"
    neuron = "RLeaky"


class SynapticSpec(LifSpec):
    """Neurons with a synaptic current of their own; attributes as of :class:`LifSpec`.

    Attributes:
        alpha: the decay of the current per step, in [0, 1].
        learn_alpha: whether the decay of the current learns.
    """

    kind: ClassVar[str] = "synaptic"
    neuron = "Synaptic"
    alpha: float = Field(default=0.8, ge=0, le=1)
    learn_alpha: bool = False


class RSynapticSpec(_RecurrentSpec, _SpikingSpec):
    """Neurons with a synaptic current and a recurrent synapse.

    Attributes are as of :class:`SynapticSpec` and :class:`RLifSpec`. The reset always acts one step
    after the spike: snntorch's neuron fails with a reset at once.
    """

    kind: ClassVar[str] = "rsynaptic"
    neuron = "RSynaptic"
    without = ("reset_delay",)
    alpha: float = Field(default=0.8, ge=0, le=1)
    learn_alpha: bool = False
    beta: float | None = Field(default=None, ge=0, le=1)
    learn_beta: bool | None = None


class AlphaSpec(_SpikingSpec):
    """Neurons whose membrane is the difference of two currents, so that it rises and falls.

    Attributes:
        alpha: the decay of the excitatory current per step, in (0, 1].
        beta: the decay of the inhibitory current per step, which is faster, in (0, alpha).
        threshold: the membrane above which a neuron spikes, > 0.
        reset: what a spike does, as for :class:`LifSpec`; snntorch's own choice here is ``zero``.
        learn_beta: whether the faster decay learns.
        learn_threshold: whether the threshold learns.
    """

    kind: ClassVar[str] = "alpha_lif"
    neuron = "Alpha"
    without = ("reset_delay",)
    alpha: float = Field(default=0.9, gt=0, le=1)
    beta: float = Field(default=0.8, gt=0, lt=1)
    learn_beta: bool | None = None

    @override
    def arguments(self, shape: Shape) -> dict[str, Any]:
        if self.alpha <= self.beta:
            raise ShapeError(
                f"alpha is {self.alpha} and beta {self.beta}, but the excitatory current lasts "
                "longer: give an alpha above beta"
            )
        return {}


class LapicqueSpec(_SpikingSpec):
    """Leaky integrate-and-fire neurons with the gain and the leak of an RC circuit.

    Attributes:
        R: the resistance, > 0.
        C: the capacitance, > 0; a step keeps ``1 - time_step / (R C)`` and adds ``time_step / C``.
        time_step: the length of a time step, > 0.
        threshold: the membrane above which a neuron spikes, > 0.
        reset: what a spike does, as for :class:`LifSpec`.
        learn_threshold: whether the threshold learns.
    """

    kind: ClassVar[str] = "lapicque"
    neuron = "Lapicque"
    without = ("reset_delay", "beta", "learn_beta")
    R: float = Field(default=5.0, gt=0)
    C: float = Field(default=2.0, gt=0)
    time_step: float = Field(default=1.0, gt=0)


class ReadoutSpec(NeuronsSpec):
    """Leaky integrators that never spike, as the last layer: their membranes are the output.

    The class is read by the mean membrane; such a layer takes a reward or loss of membranes, such
    as ``membrane_coded``.

    Attributes:
        beta: the decay of the membrane per step, in [0, 1].
        learn_beta: whether the decay learns.
    """

    kind: ClassVar[str] = "readout"
    neuron = "Leaky"
    beta: float | None = Field(default=None, ge=0, le=1)
    learn_beta: bool | None = None

    @override
    def arguments(self, shape: Shape) -> dict[str, Any]:
        return {"threshold": inf, "reset": "none", "learn_threshold": False}
