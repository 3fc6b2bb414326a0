"""Activations without a useful derivative, as modules."""

from __future__ import annotations

import pytest
import torch

from lfp_snn.activations import Sign, Step
from lfp_snn.errors import NetworkError


def test_a_step_is_strict() -> None:
    z = torch.tensor([-1.0, 0.0, 0.5, 0.7])
    assert Step()(z).tolist() == [0, 0, 1, 1]
    assert Step(threshold=0.5)(z).tolist() == [0, 0, 0, 1]
    assert Sign()(z).tolist() == [-1, 0, 1, 1]


def test_noise_makes_a_step_a_probability_while_training() -> None:
    step, z = Step(threshold=0.5, noise=2.0), torch.full((20000,), 1.5)
    torch.manual_seed(0)
    expected = float(torch.special.ndtr(torch.tensor(0.5)))
    assert float(step(z).mean()) == pytest.approx(expected, abs=0.01)
    assert step.eval()(z).all()
    assert str(step) == "Step(threshold=0.5, noise=2)"


@pytest.mark.parametrize("options", [{"threshold": -0.1}, {"noise": -1.0}, {"noise": float("nan")}])
def test_numbers_are_checked(options: dict[str, float]) -> None:
    name = next(iter(options))
    with pytest.raises(NetworkError, match=rf"Step\.{name} is .*expected a number of 0 or more"):
        Step(**options)


def test_a_step_has_no_derivative_until_it_is_given_one() -> None:
    z = torch.tensor([0.3], requires_grad=True)
    step = Step(threshold=0.1)
    assert not step(z).requires_grad
    step.spike_grad = torch.sigmoid
    assert step(z).item() == pytest.approx(torch.sigmoid(torch.tensor(0.2)).item())
