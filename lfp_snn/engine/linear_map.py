r"""A stage for any function of torch that is linear in what the network computed.

.. math:: y = f(x_1, \dots, x_k) \qquad c_{x_i} = (\partial f / \partial x_i)^\top c_y

A linear stage hands credit on by its vector-Jacobian product, which torch has for each of its
functions. Each step is given to the function in the shape of the recorded call, ``[B, ...]``, so
that the axes and sizes among its arguments hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from typing_extensions import override

from lfp_snn.engine.stage import Credits, Feedback, Rules, Stage, Tape, Wanted
from lfp_snn.errors import NetworkError, ShapeError

__all__ = ["LinearMap"]


class LinearMap(Stage):
    """A linear function of one or more values.

    Args:
        name: the name of the stage.
        function: the function of one step ``[B, ...]`` of each value.
        shapes: the shapes ``[B, ...]`` of the values on which linearity is tried out.

    Raises:
        NetworkError: the function is not linear, or mixes samples.
    """

    linear = True

    def __init__(
        self, name: str, function: Callable[..., Tensor], shapes: Sequence[torch.Size]
    ) -> None:
        super().__init__(name)
        self.function = function
        self._try_out(shapes)

    def _try_out(self, shapes: Sequence[torch.Size]) -> None:
        draw = torch.Generator().manual_seed(0)
        a, b = ([torch.randn(s, generator=draw, dtype=torch.float64) for s in shapes] for _ in "ab")
        both = self.function(*(2 * x + y for x, y in zip(a, b, strict=True)))
        if not torch.allclose(both, 2 * self.function(*a) + self.function(*b)):
            raise NetworkError(
                f"The forward calls '{self.name}' in a way that is not linear in what the network "
                "computed, for which there is no rule."
            )
        batch = shapes[0][0]
        for x in a:
            x[1:] = 0
        alone = self.function(*a)
        if alone.shape[:1] != (batch,) or bool(alone[1:].any()):
            raise NetworkError(
                f"Stage '{self.name}' mixes samples: it turns batches of shape "
                f"{', '.join(str(tuple(s)) for s in shapes)} into {tuple(alone.shape)}; keep axis "
                "0, which is the batch."
            )

    @override
    def forward(self, run: Tape, *inputs: Tensor) -> Tensor:
        run.keep(self, [x.shape for x in inputs])
        return self._map(inputs)

    def _map(self, inputs: Sequence[Tensor]) -> Tensor:
        steps = max(len(x) for x in inputs)
        wide = [x.expand(steps, *x.shape[1:]) for x in inputs]
        try:
            mapped: Tensor = torch.vmap(self.function)(*wide)
        except (RuntimeError, IndexError) as problem:
            shapes = ", ".join(str(tuple(x.shape[1:])) for x in inputs)
            raise ShapeError(
                f"Stage '{self.name}' cannot take values of shape {shapes} (batch first): {problem}"
            ) from problem
        return mapped

    @override
    def backward(
        self, run: Tape, credit: Tensor, feedback: Feedback, rules: Rules, wanted: Wanted
    ) -> Credits:
        shapes = run.kept[self]
        with torch.inference_mode(False), torch.enable_grad():
            inputs = [credit.new_zeros(shape).requires_grad_() for shape in shapes]
            value = self._map(inputs)
            # Credit of a value that is constant over time is summed over it.
            total = credit.clone().sum_to_size(value.shape)
            found = torch.autograd.grad(value, inputs, total, allow_unused=True)
        return tuple(
            credit.new_zeros(shape) if each is None else each
            for each, shape in zip(found, shapes, strict=True)
        )
