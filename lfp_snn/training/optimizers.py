"""Optimizers that torch lacks, or has for matrices alone: Lion and Muon.

Both are torch optimizers, and take feedback and gradients alike: ``param.grad`` is what is made
small, written :math:`g` here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from typing_extensions import override

__all__ = ["LionOptimizer", "MuonOptimizer", "orthogonalised"]

#: Coefficients of the quintic iteration of Newton and Schulz, and how often it is made.
_QUINTIC = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_TINY = 1e-7
_ADAMS_SIZE = 0.2  # root mean square of an update of Adam, as a share of its learning rate


class _Optimizer(Optimizer, ABC):
    """An optimizer that changes one parameter after the other."""

    @override
    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make a step.

        Args:
            closure: a function that fills the gradients and gives a loss, if any.
        """
        with torch.enable_grad():
            loss = None if closure is None else closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    self._change(parameter, parameter.grad, self.state[parameter], group)
        return loss

    @abstractmethod
    def _change(
        self, parameter: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        """Change a parameter, whose weight has decayed, and its state."""


class LionOptimizer(_Optimizer):
    r"""Lion: the sign of an average of gradients, so that every weight moves by the same amount.

    .. math::

        w \leftarrow w - \eta \lambda w - \eta\,
            \mathrm{sign}(\beta_1 m + (1 - \beta_1) g) \qquad
        m \leftarrow \beta_2 m + (1 - \beta_2) g

    Source: Chen et al., *Symbolic Discovery of Optimization Algorithms*, NeurIPS 2023 (arXiv
    2302.06675), algorithm 2.

    Args:
        params: the parameters.
        lr: the learning rate :math:`\eta`; the source takes a third to a tenth of Adam's.
        betas: the decays :math:`\beta_1, \beta_2` of the average that gives the sign, and of the
            one that is kept.
        weight_decay: the pull :math:`\lambda` of the weights towards zero.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @override
    def _change(
        self, parameter: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        if not state:
            state["average"] = torch.zeros_like(parameter)
        first, second = group["betas"]
        parameter.sub_(state["average"].lerp(grad, 1 - first).sign_(), alpha=group["lr"])
        state["average"].lerp_(grad, 1 - second)


class MuonOptimizer(_Optimizer):
    r"""Muon: the update of a matrix of weights has all its singular values near one.

    With Nesterov's momentum, and Newton and Schulz's iteration for the nearest semi-orthogonal
    matrix (:func:`orthogonalised`),

    .. math::

        m \leftarrow \mu m + (1 - \mu) g \qquad
        w \leftarrow w - \eta \lambda w - 0.2\, \eta \sqrt{\max(A, B)}\;
            \mathrm{orth}(\mu m + (1 - \mu) g)

    for a weight ``[A, B]``; the kernels of a convolution count as a matrix with a row for each
    output channel. The factor makes an update as large as one of Adam, whose learning rates
    serve. All that is no matrix (biases, norms, decays, thresholds) is changed as by AdamW.
    ``torch.optim.Muon`` takes matrices alone, and iterates in bfloat16.

    Source: Jordan et al., *Muon: an optimizer for hidden layers in neural networks*, 2024; the
    factor of Liu et al., *Muon is Scalable for LLM Training*, 2025 (arXiv 2502.16982).

    Args:
        params: the parameters.
        lr: the learning rate :math:`\eta` of all of them.
        momentum: the decay :math:`\mu` of the average of gradients of a matrix.
        betas: the decays of AdamW's mean of the gradient and of its square.
        eps: the number added to the root of AdamW's mean square.
        weight_decay: the pull :math:`\lambda` of the weights towards zero.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
            },
        )

    @override
    def _change(
        self, parameter: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        if _is_matrix(parameter):
            self._change_matrix(parameter, grad, state, group)
        else:
            self._change_as_adam(parameter, grad, state, group)

    def _change_matrix(
        self, parameter: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        if not state:
            state["average"] = torch.zeros_like(parameter)
        momentum = group["momentum"]
        average = state["average"].lerp_(grad, 1 - momentum)
        update = grad.lerp(average, momentum).flatten(1)
        size = _ADAMS_SIZE * group["lr"] * max(update.shape) ** 0.5
        parameter.sub_(orthogonalised(update).view_as(parameter), alpha=size)

    def _change_as_adam(
        self, parameter: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        if not state:
            state.update(step=0, mean=torch.zeros_like(parameter))
            state["square"] = torch.zeros_like(parameter)
        state["step"] += 1
        first, second = group["betas"]
        mean = state["mean"].lerp_(grad, 1 - first)
        square = state["square"].lerp_(grad.square(), 1 - second)
        root = (square / (1 - second ** state["step"])).sqrt_().add_(group["eps"])
        parameter.addcdiv_(mean, root, value=-group["lr"] / (1 - first ** state["step"]))


def orthogonalised(matrix: Tensor) -> Tensor:
    r"""Nearly the semi-orthogonal matrix that is nearest to a matrix, by Newton and Schulz.

    Five times, from :math:`X = M / \lVert M \rVert_F` on:

    .. math:: X \leftarrow a X + (b\, X X^T + c\, (X X^T)^2)\, X, \quad
              (a, b, c) = (3.4445, -4.7750, 2.0315)

    Singular values that are not tiny come out between 0.7 and 1.2; those coefficients pull small
    ones up fast rather than all of them to one. Zero stays zero.

    Args:
        matrix: the matrix ``[A, B]``, of any floating dtype.

    Returns:
        The matrix ``[A, B]``, in the dtype of ``matrix``.
    """
    a, b, c = _QUINTIC
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x: Tensor = wide / wide.norm().clamp(min=_TINY)
    for _ in range(_ITERATIONS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x if wide is matrix else x.T


def _is_matrix(parameter: Tensor) -> bool:
    """Whether rows and columns are more than one, space being columns; decays of maps are not."""
    return bool(parameter.dim() > 1 and min(parameter.shape[0], parameter[0].numel()) > 1)
