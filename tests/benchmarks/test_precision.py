"""The table of errors is in the order that the mantissas have."""

import math

import torch

from benchmarks.precision import errors


def test_parts_are_as_near_as_float32_and_halves_are_not() -> None:
    found = errors(torch.device("cpu"), frames=200, units=30)
    currents = {name: row[0] for name, row in found.items()}
    for name in ("three parts in bfloat16", "two parts in TF32"):
        assert currents[name] < 1.5 * currents["float32"] < 1e-6
        assert math.isnan(found[name][2])
    assert currents["float32"] < 1e-2 * currents["TF32"]
    assert 4 * currents["float16"] < currents["bfloat16"]
    assert 4 * found["TF32"][2] < found["bfloat16"][2] < 1e-2
