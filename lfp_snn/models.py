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
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import Annotated, Any, Literal

import snntorch as snn
import torch
from pydantic import Field, ValidationError
from torch import nn

from lfp_snn.errors import ConfigError, ShapeError
from lfp_snn.options import Choice, nearest

__all__ = ["CSNN", "MLP", "MODELS", "ModelOptions", "build"]

PositiveInt = Annotated[int, Field(ge=1)]


class ModelOptions(Choice):
    """What every architecture shares: its neurons and its initial scale.

    Attributes:
        beta: decay of the membrane per step, in [0, 1].
        threshold: membrane above which a neuron spikes, > 0.
        reset: what a spike does to the membrane: ``subtract`` the threshold, ``zero`` it, ``none``.
        reset_delay: whether the reset acts one step after the spike, as snntorch's default does.
        scale: initial weights and biases relative to PyTorch's default, > 0.
    """

    beta: float = Field(default=0.9, ge=0, le=1)
    threshold: float = Field(default=1.0, gt=0)
    reset: Literal["subtract", "zero", "none"] = "subtract"
    reset_delay: bool = True
    scale: float = Field(default=2.0, gt=0)

    def build(self, input_shape: Sequence[int], classes: int) -> nn.Sequential:
        """The network for one input of ``input_shape`` (without time and batch).

        Raises:
            ShapeError: the input does not suit the architecture.
        """
        net = nn.Sequential(*self._stages(tuple(input_shape), classes))
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.mul_(self.scale)
        return net

    @abstractmethod
    def _stages(self, input_shape: tuple[int, ...], classes: int) -> list[nn.Module]:
        """The stages in order; the last one is the output neuron."""

    def _leaky(self, output: bool = False) -> snn.Leaky:
        return snn.Leaky(
            beta=self.beta,
            threshold=self.threshold,
            reset_mechanism=self.reset,
            reset_delay=self.reset_delay,
            init_hidden=True,
            output=output,
        )


class MLP(ModelOptions):
    """Fully connected: ``[Flatten,] Linear, Leaky, ..., Linear, Leaky``.

    Attributes:
        hidden: number of neurons in each hidden layer; empty for a single layer.
    """

    name: Literal["mlp"] = "mlp"
    hidden: list[PositiveInt] = Field(default=[256])

    def _stages(self, input_shape: tuple[int, ...], classes: int) -> list[nn.Module]:
        stages: list[nn.Module] = [] if len(input_shape) == 1 else [nn.Flatten()]
        sizes = [prod(input_shape), *self.hidden, classes]
        for inputs, outputs in pairwise(sizes[:-1]):
            stages += [nn.Linear(inputs, outputs), self._leaky()]
        return [*stages, nn.Linear(sizes[-2], classes), self._leaky(output=True)]


class CSNN(ModelOptions):
    """Convolutional: ``Conv 5x5x12, Leaky, pool 2, Conv 5x5x32, Leaky, pool 2, Linear, Leaky``.

    Without padding, so that 34 x 34 becomes 30, 15, 11 and 5; at least 16 x 16 are needed.

    Attributes:
        pool: ``max`` (a spike if any of four spiked) or ``avg`` (their mean).
    """

    name: Literal["csnn"] = "csnn"
    pool: Literal["max", "avg"] = "max"

    def _stages(self, input_shape: tuple[int, ...], classes: int) -> list[nn.Module]:
        if len(input_shape) != 3:
            raise ShapeError(
                f"csnn takes maps (channels, height, width), but the input has the shape "
                f"{input_shape}; use mlp for flat inputs."
            )
        stages: list[nn.Module] = []
        channels, *size = input_shape
        for maps in (12, 32):
            pool = nn.MaxPool2d(2) if self.pool == "max" else nn.AvgPool2d(2)
            stages += [nn.Conv2d(channels, maps, kernel_size=5), self._leaky(), pool]
            size = [(n - 4) // 2 for n in size]
            channels = maps
        if min(size) < 1:
            raise ShapeError(
                f"csnn needs maps of at least 16 x 16, but the input is "
                f"{input_shape[1]} x {input_shape[2]}; use mlp for smaller ones."
            )
        linear = nn.Linear(channels * prod(size), classes)
        return [*stages, nn.Flatten(), linear, self._leaky(output=True)]


#: Architectures by the name that a config uses.
MODELS: dict[str, type[ModelOptions]] = {"mlp": MLP, "csnn": CSNN}


def build(name: str, input_shape: Sequence[int], classes: int, **options: Any) -> nn.Sequential:
    """Build a named architecture.

    Args:
        name: a key of :data:`MODELS`.
        input_shape: shape of one input without time and batch: ``(2312,)`` or ``(2, 34, 34)``.
        classes: number of output neurons.
        options: see :class:`MLP`, :class:`CSNN` and, for both, :class:`ModelOptions`.

    Raises:
        ConfigError: there is no such architecture, or an option is unknown or out of range.
        ShapeError: the input does not suit the architecture.
    """
    if name not in MODELS:
        guess = nearest(name, MODELS)
        hint = f"; did you mean {guess!r}?" if guess else "."
        raise ConfigError(f"There is no model {name!r}, expected one of {', '.join(MODELS)}{hint}")
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
        key = ".".join(map(str, first["loc"]))
        raise ConfigError(
            f"The option {key!r} of the model {name!r} is {first['input']!r}: {first['msg']}."
        ) from error
    return chosen.build(input_shape, classes)
