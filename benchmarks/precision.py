"""How far from float64 are the products of each precision?

    python -m benchmarks precision --device cpu

Currents of spikes, sums of feedback and credit of a linear layer of 2312 inputs, whose input is
active at 4.4 %: the length of the difference from float64's result, as a share of its own. TF32 is
imitated by rounding the sides, so that the table is the same everywhere but for the order of sums.
"""

import argparse
from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks._arguments import at_least_one
from lfp_snn.backends.precision import split, split_product, to_tf32

__all__ = ["errors", "main"]

Product = Callable[[Tensor, Tensor], Tensor]


def in_type(dtype: torch.dtype) -> Product:
    """Compute products whose sides are of a type."""
    return lambda a, b: (a.to(dtype) @ b.to(dtype)).float()


def in_tf32(a: Tensor, b: Tensor) -> Tensor:
    """Compute products whose sides are rounded to TF32."""
    return to_tf32(a) @ to_tf32(b)


def in_tf32_parts(spikes: Tensor, real: Tensor) -> Tensor:
    """Compute products of spikes with a side in two parts of TF32."""
    large, small = split(real, 2, to_tf32)
    return spikes @ small + spikes @ large


#: Ways to compute, and whether they are for spikes alone.
WAYS: dict[str, tuple[Product, bool]] = {
    "float32": (in_type(torch.float32), False),
    "three parts in bfloat16": (split_product, True),
    "two parts in TF32": (in_tf32_parts, True),
    "TF32": (in_tf32, False),
    "float16": (in_type(torch.float16), False),
    "bfloat16": (in_type(torch.bfloat16), False),
}


def errors(device: torch.device, frames: int = 2500, units: int = 1000) -> dict[str, list[float]]:
    """The errors of currents, sums of feedback and credit, by way (NaN where it has none).

    Args:
        device: the device to compute on.
        frames: the number of frames, T times B.
        units: the number of outputs of the layer.
    """
    draw = torch.Generator().manual_seed(0)
    spikes = (torch.rand(frames, 2312, generator=draw) < 0.044).float().to(device)
    weight = (0.02 * torch.randn(2312, units, generator=draw)).to(device)
    n = torch.randn(frames, units, generator=draw).to(device)
    found = {}
    for name, (multiply, for_spikes) in WAYS.items():
        found[name] = [
            _error(multiply(spikes, weight), spikes, weight),
            _error(multiply(spikes.T, n), spikes.T, n),
            float("nan") if for_spikes else _error(multiply(n, weight.T), n, weight.T),
        ]
    return found


def _error(found: Tensor, a: Tensor, b: Tensor) -> float:
    exact = a.double() @ b.double()
    return float((found.double() - exact).norm() / exact.norm())


def main() -> None:
    """Print a row per way."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--frames", type=at_least_one, default=2500)
    parser.add_argument("--units", type=at_least_one, default=1000)
    arguments = parser.parse_args()
    table = Table("products in", "currents", "feedback", "credit")
    for name, row in errors(arguments.device, arguments.frames, arguments.units).items():
        table.add_row(name, *("-" if each != each else f"{each:.1e}" for each in row))
    Console().print(table)


if __name__ == "__main__":
    main()
