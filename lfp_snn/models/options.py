"""What a config says of a network, and the options that all architectures share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from lfp_snn.later import nn, snn, torch
from lfp_snn.options import Choice

__all__ = ["Model", "ModelOptions", "PositiveInt", "Reset"]

PositiveInt = Annotated[int, Field(ge=1)]
#: What a spike does to the membrane.
Reset = Literal["subtract", "zero", "none"]


class Model(Choice):
    """The section of a config that says what the network is."""

    #: Whether its options are all that the network is made of, so that a file may describe it.
    describes: ClassVar[bool] = True

    @abstractmethod
    def build(self, input_shape: Sequence[int], classes: int) -> nn.Module:
        """Build the network for inputs of ``input_shape`` (without time and batch).

        Raises:
            ShapeError: the input does not suit the network.
        """

    def maker(self) -> Callable[[], nn.Module] | None:
        """The function of the user that makes the network; None where the options describe it.

        Raises:
            ConfigError: there is no such function.
        """
        return None


class ModelOptions(Model):
    """The options that every architecture shares: its neurons and its initial scale.

    Attributes:
        beta: the decay of the membrane per step, in [0, 1].
        threshold: the membrane above which a neuron spikes, > 0.
        reset: what a spike does to the membrane: ``subtract`` the threshold, ``zero`` it, ``none``.
        reset_delay: whether the reset acts one step after the spike, as snntorch's default does.
        scale: the size of initial weights and biases relative to PyTorch's default, > 0.
    """

    beta: float = Field(default=0.9, ge=0, le=1)
    threshold: float = Field(default=1.0, gt=0)
    reset: Reset = "subtract"
    reset_delay: bool = True
    scale: float = Field(default=2.0, gt=0)

    @override
    def build(self, input_shape: Sequence[int], classes: int) -> nn.Sequential:
        stages = self._stages(tuple(input_shape), classes)
        output = stages[-1]
        if isinstance(output, snn.SpikingNeuron):
            output.output = True
        net = nn.Sequential(*stages)
        neurons = {
            p for m in net.modules() if isinstance(m, snn.SpikingNeuron) for p in m.parameters()
        }
        with torch.no_grad():
            for parameter in net.parameters():
                if parameter not in neurons:
                    parameter.mul_(self.scale)
        return net

    @abstractmethod
    def _stages(self, input_shape: tuple[int, ...], classes: int) -> list[nn.Module]:
        """The stages of the network in order; the last one is the output."""

    def neuron_options(self) -> dict[str, Any]:
        """The options of the network's neurons, as arguments of :meth:`neurons`."""
        return {
            "beta": self.beta,
            "threshold": self.threshold,
            "reset": self.reset,
            "reset_delay": self.reset_delay,
        }

    def leaky(self, **own: Any) -> snn.Leaky:
        """Neurons of this network, with options of their own where they are given."""
        made: snn.Leaky = self.neurons(snn.Leaky, **own)
        return made

    def neurons(self, kind: Any, without: Collection[str] = (), **own: Any) -> Any:
        """Neurons of a given class of snntorch, with the options of this network.

        Args:
            kind: the class of the neurons.
            without: the options of the network that this class does not take.
            own: the options of these neurons alone.
        """
        shared = self.neuron_options().items()
        options = {key: value for key, value in shared if key not in without} | own
        reset = options.pop("reset")
        return kind(init_hidden=True, reset_mechanism=reset, **options)
