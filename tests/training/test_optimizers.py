"""Lion and Muon against their equations in float64, one weight at a time, and against torch."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn
from torch.optim import Optimizer

from lfp_snn.training.optim import Lion, Muon, OptimizerOptions
from lfp_snn.training.optimizers import orthogonalised

FLOATS = npt.NDArray[np.float64]
LR, DECAY, STEPS = 0.1, 0.5, 4


def run(options: OptimizerOptions, shape: tuple[int, ...]) -> tuple[FLOATS, list[FLOATS], FLOATS]:
    """The weight before, the gradients of all steps, and the weight behind them."""
    generator = torch.Generator().manual_seed(3)
    weight = nn.Parameter(torch.randn(shape, dtype=torch.float64, generator=generator))
    unused = nn.Parameter(torch.ones(2, 2))
    before, grads = weight.detach().clone().numpy(), []
    optimizer = options.build([weight, unused])
    for _ in range(STEPS):
        weight.grad = torch.randn(shape, dtype=torch.float64, generator=generator)
        grads.append(weight.grad.numpy().copy())
        optimizer.step()
    assert torch.equal(unused, torch.ones(2, 2))  # it has no gradient
    return before, grads, weight.detach().numpy()


def test_lion_moves_each_weight_by_the_sign_of_its_average() -> None:
    before, grads, after = run(Lion(lr=LR, betas=[0.8, 0.95], weight_decay=DECAY), (3, 2))
    for at in np.ndindex(before.shape):
        weight, average = float(before[at]), 0.0
        for grad in grads:
            step = math.copysign(1.0, 0.8 * average + 0.2 * float(grad[at]))
            weight = weight - LR * DECAY * weight - LR * step
            average = 0.95 * average + 0.05 * float(grad[at])
        assert after[at] == pytest.approx(weight, rel=1e-12)


def test_lion_leaves_alone_what_never_had_a_gradient() -> None:
    weight = nn.Parameter(torch.ones(2))
    weight.grad = torch.tensor([0.0, 3.0])
    Lion(lr=LR).build([weight]).step()
    assert weight.tolist() == pytest.approx([1.0, 0.9])


def quintic(value: float) -> float:
    """What five steps of Newton and Schulz make of a singular value."""
    for _ in range(5):
        value = 3.4445 * value - 4.7750 * value**3 + 2.0315 * value**5
    return value


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 2, 3, 1)])
def test_muon_makes_singular_values_even(shape: tuple[int, ...]) -> None:
    """By a decomposition into singular values, which the iteration never makes."""
    before, grads, after = run(Muon(lr=LR, momentum=0.9, weight_decay=DECAY), shape)
    weight = before.reshape(shape[0], -1)
    average = np.zeros_like(weight)
    for grad in grads:
        flat = grad.reshape(weight.shape)
        average = 0.9 * average + 0.1 * flat
        left, values, right = np.linalg.svd(0.9 * average + 0.1 * flat, full_matrices=False)
        size = np.sqrt((values**2).sum())
        update = left @ np.diag([quintic(each / size) for each in values]) @ right
        weight = weight - LR * DECAY * weight
        weight = weight - 0.2 * LR * math.sqrt(max(weight.shape)) * update
    np.testing.assert_allclose(after.reshape(weight.shape), weight, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("shape", [(4,), (), (3, 1, 1), (1, 4)])
def test_muon_changes_what_is_no_matrix_as_adamw(shape: tuple[int, ...]) -> None:
    before, grads, after = run(Muon(lr=LR, betas=[0.8, 0.9], weight_decay=DECAY), shape)
    weight = nn.Parameter(torch.from_numpy(before.copy()))
    adam = torch.optim.AdamW([weight], lr=LR, betas=(0.8, 0.9), weight_decay=DECAY)
    for grad in grads:
        weight.grad = torch.from_numpy(np.asarray(grad))
        adam.step()
    np.testing.assert_allclose(after, weight.detach().numpy(), rtol=1e-9)


def test_muon_is_near_torchs_on_matrices() -> None:
    """Torch iterates in bfloat16."""
    shape = (6, 9)
    before, grads, after = run(Muon(lr=LR, weight_decay=DECAY), shape)
    weight = nn.Parameter(torch.from_numpy(before.copy()))
    other: Optimizer = torch.optim.Muon(
        [weight], lr=LR, weight_decay=DECAY, adjust_lr_fn="match_rms_adamw"
    )
    for grad in grads:
        weight.grad = torch.from_numpy(grad)
        other.step()
    np.testing.assert_allclose(after, weight.detach().numpy(), atol=0.02)
    assert np.abs(after - before).max() > 0.1


def test_no_gradient_moves_no_matrix() -> None:
    assert torch.equal(orthogonalised(torch.zeros(3, 2)), torch.zeros(3, 2))
    assert orthogonalised(torch.eye(3)).dtype == torch.float32


def test_a_closure_gives_its_loss() -> None:
    weight = nn.Parameter(torch.ones(2))
    optimizer = Lion(lr=LR).build([weight])

    def closure() -> float:
        loss = weight.sum()
        weight.grad = torch.autograd.grad(loss, weight)[0]
        return float(loss.detach())

    assert optimizer.step(closure) == 2.0
    assert weight.tolist() == pytest.approx([0.9, 0.9])
