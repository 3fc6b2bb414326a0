r"""A stage for any function of torch that is linear in each value that it takes.

=================== ===================================== =====================================
stage               value                                 credit of :math:`x_i`
=================== ===================================== =====================================
:class:`LinearMap`  linear in all values, plus a constant :math:`(\partial y/\partial x_i)^\top c_y`
:class:`LearnedMap` the same, with parameters in both     the same
:class:`Product`    linear in each value alone            a share of that
=================== ===================================== =====================================

A linear stage hands credit on by its vector-Jacobian product, which torch has for each of its
functions. Each step is given to the function in the shape of the recorded call, ``[B, ...]``, so
that the axes and sizes among its arguments hold.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from typing_extensions import override

from lfp_snn.engine.slices import MixedSamplesError
from lfp_snn.engine.stage import Credits, Feedback, Rules, Stage, Tape, Wanted
from lfp_snn.errors import NetworkError, ShapeError
from lfp_snn.rules import Active

__all__ = ["LearnedMap", "LinearMap", "Product"]

#: Of values, and of parameters behind them.
Function = Callable[..., Tensor]


class _Map(Stage):
    """A function of one or more values, and of parameters.

    Args:
        name: the name of the stage.
        function: the function of one step ``[B, ...]`` of each value, and of the parameters.
        shapes: the shapes ``[B, ...]`` of the values on which linearity is tried out.
        learned: the parameters, by their name in the network.

    Raises:
        NetworkError: the function is not linear, or mixes samples.
    """

    def __init__(
        self,
        name: str,
        function: Function,
        shapes: Sequence[torch.Size],
        learned: Mapping[str, nn.Parameter] | None = None,
    ) -> None:
        super().__init__(name)
        self.function = function
        self.learned = dict(learned or {})
        draw = torch.Generator().manual_seed(0)

        def drawn(sizes: Sequence[torch.Size]) -> list[Tensor]:
            return [torch.randn(s, generator=draw, dtype=torch.float64) for s in sizes]

        parameters = drawn([p.shape for p in self.learned.values()])
        self._try_out(lambda *x: function(*x, *parameters), drawn(shapes), drawn(shapes))

    @abstractmethod
    def _try_out(self, function: Function, a: Sequence[Tensor], b: Sequence[Tensor]) -> None:
        """Refuse a function that does not fit this stage, or mixes samples."""

    def _refuse(self, function: Function, a: Sequence[Tensor], b: Sequence[Tensor]) -> None:
        """Refuse a function that is not linear up to a constant, or mixes samples."""
        rest = function(*(0 * x for x in a))

        def change(value: Tensor) -> Tensor:
            # An infinite constant stays, as that of scores that are masked for a softmax.
            return torch.where(value == rest, 0, value - rest)

        one, other = change(function(*a)), change(function(*b))
        both = change(function(*(2 * x + y for x, y in zip(a, b, strict=True))))
        if not torch.allclose(both, 2 * one + other):
            raise NetworkError(
                f"The forward calls '{self.name}' in a way that is not linear in what the network "
                "computed, for which there is no rule."
            )
        alone = function(*(torch.cat([x[:1], 0 * x[1:]]) for x in a))
        if alone.shape[:1] != a[0].shape[:1] or bool(change(alone)[1:].any()):
            shapes = ", ".join(str(tuple(x.shape)) for x in a)
            raise MixedSamplesError(
                f"Stage '{self.name}' mixes samples: it turns batches of shape {shapes} into "
                f"{tuple(alone.shape)}; keep axis 0, which is the batch."
            )

    def _map(self, inputs: Sequence[Tensor], parameters: Sequence[Tensor]) -> Tensor:
        steps = max(len(x) for x in inputs)
        wide = [x.expand(steps, *x.shape[1:]) for x in inputs]
        axes = (*(0 for _ in wide), *(None for _ in parameters))
        try:
            # Half precision is for the products of synapses alone.
            with torch.autocast(wide[0].device.type, enabled=False):
                mapped: Tensor = torch.vmap(self.function, axes)(*wide, *parameters)
        except (RuntimeError, IndexError) as problem:
            shapes = ", ".join(str(tuple(x.shape[1:])) for x in inputs)
            raise ShapeError(
                f"Stage '{self.name}' cannot take values of shape {shapes} (batch first): {problem}"
            ) from problem
        return mapped

    def _now(self, like: Tensor) -> list[Tensor]:
        """The present parameters."""
        return [p.detach().to(like.dtype) for p in self.learned.values()]

    def _pull(
        self, credit: Tensor, inputs: Sequence[Tensor], parameters: Sequence[Tensor] = ()
    ) -> list[Tensor]:
        """The vector-Jacobian products with credit, for each input and each parameter."""
        with torch.inference_mode(False), torch.enable_grad():
            held = [x.clone().requires_grad_() for x in (*inputs, *parameters)]
            value = self._map(held[: len(inputs)], held[len(inputs) :])
            # Credit of a value that is constant over time is summed over it.
            total = credit.clone().sum_to_size(value.shape)
            found = torch.autograd.grad(value, held, total, allow_unused=True)
        return [
            torch.zeros_like(x) if each is None else each
            for each, x in zip(found, held, strict=True)
        ]


class LinearMap(_Map):
    """A function that is linear in all values together, up to a constant."""

    linear = True

    @override
    def _try_out(self, function: Function, a: Sequence[Tensor], b: Sequence[Tensor]) -> None:
        self._refuse(function, a, b)

    @override
    def forward(self, run: Tape, *inputs: Tensor) -> Tensor:
        run.keep(self, [x.shape for x in inputs])
        return self._map(inputs, ())

    @override
    def backward(
        self, run: Tape, credit: Tensor, feedback: Feedback, rules: Rules, wanted: Wanted
    ) -> Credits:
        return tuple(self._pull(credit, [credit.new_zeros(shape) for shape in run.kept[self]]))


class LearnedMap(LinearMap):
    r"""A linear map with parameters: a scale of each channel, or an embedding that is added.

    .. math:: \mathrm{feedback}(p) = |p| \sum_{t,b} n\, \partial y / \partial p

    with the credit :math:`n` of the value, as of every parameter.
    """

    linear = False  # it has weights

    @override
    def active(self, rules: Rules, below: Sequence[Active]) -> Active:
        return "everywhere"  # as a synapse does

    @override
    def forward(self, run: Tape, *inputs: Tensor) -> Tensor:
        run.keep(self, inputs)
        return self._map(inputs, self._now(inputs[0]))

    @override
    def backward(
        self, run: Tape, credit: Tensor, feedback: Feedback, rules: Rules, wanted: Wanted
    ) -> Credits:
        inputs = run.kept[self]
        found = self._pull(credit, inputs, self._now(inputs[0]))
        for parameter, total in zip(self.learned.values(), found[len(inputs) :], strict=True):
            feedback.add(parameter, total.to(parameter.dtype))
        return tuple(found[: len(inputs)])

    @override
    def parameters(self) -> dict[str, Tensor]:
        return dict(self.learned)

    @override
    def rule(self, rules: Rules) -> str:
        return "c = W'n"


class Product(_Map):
    r"""A product of values: elementwise, of matrices, or what else is linear in each of them.

    .. math:: c_i = a_i \left(\frac{\partial y}{\partial x_i}\right)^\top c_y
              \qquad \sum_i a_i = 1

    so that the relevance :math:`\sum_i \langle x_i, c_i \rangle` of the factors is that of the
    value. The rule gives the shares :math:`a_i` (:meth:`lfp_snn.rules.Rule.shares_of_factors`):
    equal ones, or none for gates.

    Args:
        gates: whether each factor is a gate.
        arguments: the arguments of every function: name, function, shapes.

    Raises:
        NetworkError: the function is not linear in each value, or mixes samples.

    Source: Achtibat et al., AttnLRP: Attention-Aware Layer-Wise Relevance Propagation for
    Transformers, ICML 2024 (the uniform rule, and matrix products); Arras, Montavon, Müller and
    Samek, Explaining Recurrent Neural Network Predictions in Sentiment Analysis, 2017 (all to the
    signal, none to its gate).
    """

    def __init__(
        self, name: str, function: Function, shapes: Sequence[torch.Size], gates: Sequence[bool]
    ) -> None:
        self.gates = tuple(gates)
        super().__init__(name, function, shapes)

    @override
    def _try_out(self, function: Function, a: Sequence[Tensor], b: Sequence[Tensor]) -> None:
        for k in range(len(a)):

            def of_one(x: Tensor, k: int = k) -> Tensor:
                return function(*a[:k], x, *a[k + 1 :])

            self._refuse(of_one, a[k : k + 1], b[k : k + 1])
            if bool(of_one(0 * a[k]).any()):
                raise NetworkError(
                    f"The forward calls '{self.name}' in a way that is no product of what the "
                    "network computed, for which there is no rule."
                )

    @override
    def active(self, rules: Rules, below: Sequence[Active]) -> Active:
        return "everywhere"  # a factor may be silent where the others, which want credit, are not

    @override
    def forward(self, run: Tape, *inputs: Tensor) -> Tensor:
        run.keep(self, inputs)
        return self._map(inputs, ())

    @override
    def backward(
        self, run: Tape, credit: Tensor, feedback: Feedback, rules: Rules, wanted: Wanted
    ) -> Credits:
        shares = rules[self.name].shares_of_factors(self.gates)
        found = self._pull(credit, run.kept[self])
        return tuple(share * each for share, each in zip(shares, found, strict=True))

    @override
    def rule(self, rules: Rules) -> str:
        return rules[self.name].product
