"""The roof of a device, on the CPU."""

from __future__ import annotations

import pytest
import torch

from benchmarks.device.roof import Roof, measure_roof, require
from lfp_snn.backends.precision import PRECISIONS
from lfp_snn.errors import RunError


def test_the_roof_is_the_larger_of_both() -> None:
    roof = Roof(100.0, {"tf32": 10.0})
    assert roof.seconds(200, 10, "tf32") == 2.0
    assert roof.seconds(200, 50, "tf32") == 5.0


def test_a_roof_is_measured_in_every_precision() -> None:
    roof = measure_roof(torch.device("cpu"), size=16, rounds=1)
    assert roof.bandwidth > 0
    assert roof.arithmetic.keys() == set(PRECISIONS)
    assert all(each > 0 for each in roof.arithmetic.values())


def test_a_device_that_is_not_there_is_refused() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(RunError, match=r"cuda: there is no CUDA device.*lfp-snn env"):
        require(torch.device("cuda"))
