r"""Stages that normalise currents: the equations, the base class, and norms over one sample.

Every normalisation computes, with the statistics of a set of values of which :math:`x` is one,

.. math:: y = \gamma \hat x + \beta_n, \qquad
          \hat x = (x - \mathrm{mean}) / \sqrt{\mathrm{var} + \epsilon}

=================== ===================================== ==========================
module              statistics of                         in eval mode
=================== ===================================== ==========================
BatchNorm1d, 2d     a channel, over T, B and space        running ones, if it has any
BatchNormTT1d, 2d   a channel at a step, over B and space the same
LayerNorm           a sample at a step, over last axes    the same as in training
GroupNorm           a sample at a step, over a group      the same as in training
InstanceNorm1d, 2d  a sample at a step, over space        the same as in training
=================== ===================================== ==========================

Scale and shift learn like any parameter from the credit :math:`n` of the value,
:math:`|\gamma| \sum n \hat x` and :math:`|\beta_n| \sum n`; a shift that is exactly zero (torch's
default) therefore never learns: draw it, as ``nn.init.uniform_(norm.bias, -0.1, 0.1)``.

**Credit of what was normalised**, :data:`lfp_snn.norms.Statistics`. With its statistics
*fixed*, a normalisation is linear and a synapse followed by it acts as one with the weights
:math:`\gamma W / \sqrt{\mathrm{var} + \epsilon}`. *Through* them, with :math:`m = \gamma n` and
means over the same set of values,

.. math:: c = \frac{m - \mathrm{mean}(m) - \hat x\, \mathrm{mean}(m \hat x)}
          {\sqrt{\mathrm{var} + \epsilon}}

which leaves out what the normalisation would cancel, and is what autograd makes of :math:`n`.
Statistics that were not taken from these values (running ones) are fixed either way. The first two
are in :mod:`lfp_snn.engine.batch_norms`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor, nn
from typing_extensions import override

from lfp_snn.engine.stage import Credits, Feedback, Measured, Rules, Stage, Tape, Wanted
from lfp_snn.errors import NetworkError
from lfp_snn.norms import Statistics, statistics_of
from lfp_snn.rules import Active, CreditRule

__all__ = ["GroupNorm", "InstanceNorm", "LayerNorm", "Moments", "Normalisation"]

#: Mean and ``1 / sqrt(var + eps)`` of each value, and of how many values those are: None if they
#: are not of these values.
Moments = tuple[Tensor, Tensor, Tensor | int | None]


class Normalisation(Stage):
    """The base of all normalisations; the equations are in :mod:`lfp_snn.engine.norms`."""

    module: nn.Module
    normalises = True
    takes_narrow = True  # of which a copy is kept; it computes in the type of the network
    told: Statistics | None = None  # how credit goes through all normalisations of the network

    def through(self, rules: Rules) -> bool:
        """Whether credit flows through the statistics.

        What the module says goes first, then what the network is told; else it does under rules
        that take credit, and under those of relevance, the published ones, statistics are fixed.
        """
        said = statistics_of(self.module) or self.told
        if said is None:
            return any(isinstance(rule, CreditRule) for rule in rules.values())
        return said == "through"

    @override
    def active(self, rules: Rules, below: Sequence[Active]) -> Active:
        return "everywhere"  # scale and shift learn at every value, and statistics are of all

    @override
    def forward(self, run: Tape, *inputs: Tensor) -> Tensor:
        given = self.taken(run, *inputs)
        x = given.to(run.dtype)
        mean, inverse, count = self.moments(run, x)
        run.keep(self, (given, mean, inverse, count))
        return self.normalised(run, x, mean, inverse)

    def normalised(self, run: Tape, x: Tensor, mean: Tensor, inverse: Tensor) -> Tensor:
        """The values ``y`` of a pass with these statistics."""
        gamma, beta = (self.wide(run, name, x) for name in ("weight", "bias"))
        y = (x - mean).mul_(inverse if gamma is None else inverse * gamma)
        return y if beta is None else y.add_(beta)

    @override
    def backward(
        self, run: Tape, credit: Tensor, feedback: Feedback, rules: Rules, wanted: Wanted
    ) -> Credits:
        given, mean, inverse, count = run.kept[self]
        x, credit = given.to(run.dtype), credit.to(run.dtype)
        gamma = self.wide(run, "weight", x)
        learns = feedback.wanted(*self.parameters().values())
        through = wanted[0] is not None and self.through(rules) and count is not None
        hat = (x - mean).mul_(inverse) if learns or through else None
        if learns and hat is not None:
            self.learn(run, feedback, credit, hat)
        if wanted[0] is None:
            return (None,)
        if not through or hat is None:
            return (credit * (inverse if gamma is None else inverse * gamma),)
        n = credit if gamma is None else credit * gamma
        mean_n, mean_product = self.means(run, n, n * hat, count)
        common = hat.mul_(mean_product).add_(mean_n)
        shown = self.shown(run, x)
        return (n.sub(common if shown is None else common.mul_(shown)).mul_(inverse),)

    def shown(self, run: Tape, x: Tensor) -> Tensor | None:
        """How often each frame counts in the means, ``[T, B, 1, ...]``; None if all do once."""
        return None

    def learn(self, run: Tape, feedback: Feedback, n: Tensor, hat: Tensor) -> None:
        """Add the sums of scale and shift to the feedback."""
        scale: Any = self.module.weight
        shift: Any = self.module.bias
        feedback.add(scale, None if scale is None else self.per_entry(n * hat))
        feedback.add(shift, None if shift is None else self.per_entry(n))

    def per_entry(self, total: Tensor) -> Tensor:
        """Sum values ``[T, B, C, ...]`` to the shape of scale and shift, one per channel."""
        return total.sum([axis for axis in range(total.dim()) if axis != 2])

    def wide(self, run: Tape, name: str, x: Tensor) -> Tensor | None:
        """Scale or shift in a shape that broadcasts over the values."""
        parameter: Any = getattr(self.module, name)
        return None if parameter is None else parameter.detach().view(-1, *(1,) * (x.dim() - 3))

    @abstractmethod
    def taken(self, run: Tape, x: Tensor) -> Tensor:
        """The values, after a check that the module can take them."""

    @abstractmethod
    def moments(self, run: Tape, x: Tensor) -> Moments:
        """The statistics, in shapes that broadcast over the values."""

    @abstractmethod
    def means(self, run: Tape, a: Tensor, b: Tensor, count: Any) -> tuple[Tensor, Tensor]:
        """Means of two tensors, over the sets of values that the statistics are taken from."""

    @override
    def rule(self, rules: Rules) -> str:
        return "folded, through statistics" if self.through(rules) else "folded"


# ------------------------------------------------------------------------ of each sample


class _OfSample(Normalisation):
    """A normalisation with statistics of one sample at one step, whatever the rest of the batch."""

    module: Any

    @property
    @override
    def measured(self) -> Measured | None:
        return "frame"

    @override
    def moments(self, run: Tape, x: Tensor) -> Moments:
        mean = self.mean(x)
        inverse = (self.mean((x - mean).square()) + self.module.eps).rsqrt()
        return mean, inverse, 1

    @override
    def means(self, run: Tape, a: Tensor, b: Tensor, count: Any) -> tuple[Tensor, Tensor]:
        return self.mean(a), self.mean(b)

    @abstractmethod
    def mean(self, x: Tensor) -> Tensor:
        """Means, in a shape that broadcasts over the values."""


class LayerNorm(_OfSample):
    """``nn.LayerNorm``: statistics over the last axes."""

    @override
    def taken(self, run: Tape, x: Tensor) -> Tensor:
        shape = tuple(self.module.normalized_shape)
        if x.dim() < len(shape) + 2 or tuple(x.shape[-len(shape) :]) != shape:
            raise self.misfit(f"the last axes {shape}", x.shape)
        return x

    @override
    def mean(self, x: Tensor) -> Tensor:
        axes = len(self.module.normalized_shape)
        return x.mean(tuple(range(-axes, 0)), keepdim=True)

    @override
    def wide(self, run: Tape, name: str, x: Tensor) -> Tensor | None:
        parameter = getattr(self.module, name)
        return None if parameter is None else parameter.detach()

    @override
    def per_entry(self, total: Tensor) -> Tensor:
        return total.sum_to_size(self.module.normalized_shape)


class GroupNorm(_OfSample):
    """``nn.GroupNorm``: statistics over the channels of a group, and space."""

    @override
    def taken(self, run: Tape, x: Tensor) -> Tensor:
        if x.dim() < 3 or x.shape[2] != self.module.num_channels:
            raise self.misfit(f"{self.module.num_channels} channels", x.shape)
        return x

    @override
    def mean(self, x: Tensor) -> Tensor:
        groups, channels = self.module.num_groups, self.module.num_channels
        found = x.reshape(*x.shape[:2], groups, -1).mean(-1)
        each = found.repeat_interleave(channels // groups, 2)
        return each.view(*each.shape, *(1,) * (x.dim() - 3))


class InstanceNorm(_OfSample):
    """``nn.InstanceNorm1d`` or ``nn.InstanceNorm2d``: statistics of a channel, over space.

    Raises:
        NetworkError: the module keeps running statistics.
    """

    _dims: ClassVar[dict[type[nn.Module], int]] = {nn.InstanceNorm1d: 4, nn.InstanceNorm2d: 5}

    def __init__(self, name: str, module: Any) -> None:
        super().__init__(name, module)
        if module.track_running_stats:
            raise NetworkError(
                f"Stage '{name}' ({type(module).__name__}) keeps running statistics of what it "
                "normalises sample by sample, for which there is no rule: build it with "
                "track_running_stats=False, or take a batch normalisation."
            )

    @override
    def taken(self, run: Tape, x: Tensor) -> Tensor:
        norm = self.module
        if x.dim() != self._dims[type(norm)]:
            raise self.misfit(f"channels of {self._dims[type(norm)] - 3}-dimensional maps", x.shape)
        if norm.affine and x.shape[2] != norm.num_features:
            raise self.misfit(f"{norm.num_features} channels", x.shape)
        return x

    @override
    def mean(self, x: Tensor) -> Tensor:
        return x.mean(tuple(range(3, x.dim())), keepdim=True)
