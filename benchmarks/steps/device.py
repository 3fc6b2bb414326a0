r"""A training step on one device beside its roofline: what the step must move and compute.

The bytes are those of the calls that the step makes, each tensor that a call reads or writes
counted once; views move nothing, and what kernels on lists of events do is not seen. The floating
point operations are those of matrix products and convolutions, as torch counts them. With the
bandwidth and the arithmetic that the device showed on a copy and on a matrix product, no
implementation that makes these calls is faster than

.. math:: \max(\text{bytes} / \text{bandwidth},\; \text{operations} / \text{arithmetic})

Source of the model: Williams, Waterman, Patterson, Roofline, CACM 2009.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from statistics import median
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import FlopCounterMode
from typing_extensions import override

from benchmarks.steps.contenders import LEARNING_RATE
from benchmarks.steps.problem import RULE, Problem
from lfp_snn.backends.precision import (
    HALVES,
    PRECISIONS,
    Precision,
    computed_in,
    product,
    spikes_travel_as,
)
from lfp_snn.backends.support import BACKENDS, unavailable
from lfp_snn.engine import TemporalLFP
from lfp_snn.errors import RunError
from lfp_snn.rewards import RateCoded

__all__ = [
    "MeasuredStep",
    "Roof",
    "Traffic",
    "counting_operations",
    "measure_network",
    "measure_roof",
    "measure_step",
    "require",
    "timed",
]


@dataclass(frozen=True)
class Roof:
    """The roof of a device: the bandwidth and arithmetic that it can do.

    Args:
        bandwidth: the bytes per second of a copy, reads and writes together.
        arithmetic: the floating point operations per second of a matrix product, by its precision.
    """

    bandwidth: float
    arithmetic: dict[str, float]


@dataclass(frozen=True)
class MeasuredStep:
    """A measured training step on a device.

    Args:
        backend: the name of the kernels that ran.
        precision: the precision of the products.
        seconds: the seconds of each timed step.
        bytes: the bytes moved by the calls of a step.
        operations: the floating point operations of its products.
        roof: the roof of the device.
    """

    backend: str
    precision: Precision
    seconds: tuple[float, ...]
    bytes: int
    operations: int
    roof: Roof

    @property
    def median(self) -> float:
        """The seconds of the step in the middle."""
        return median(self.seconds)

    @property
    def least(self) -> float:
        """The least seconds that the roofline allows."""
        arithmetic = self.roof.arithmetic[self.precision]
        return max(self.bytes / self.roof.bandwidth, self.operations / arithmetic)

    def record(self) -> dict[str, Any]:
        """The measurement as JSON takes it."""
        return {**asdict(self), "median": self.median, "least": self.least}


def require(device: torch.device) -> None:
    """Refuse a device that is not there.

    Raises:
        RunError: the device is not there; the message names it and the reason.
    """
    reason = unavailable("torch", device)
    if reason is not None:
        raise RunError(f"Nothing can be measured on {device}: {reason}; see lfp-snn env.")


def measure_roof(device: torch.device, size: int = 4096, rounds: int = 5) -> Roof:
    """Measure bandwidth by a copy, and arithmetic by a product of ``size`` x ``size`` matrices.

    Under ``exact`` one side of the product is spikes.
    """
    here = torch.empty(size * size, device=device)
    there = torch.empty_like(here)
    copying = min(timed(lambda: there.copy_(here), device, rounds))
    arithmetic: dict[str, float] = {}
    for precision in PRECISIONS:
        matrix = torch.ones(size, size, device=device)
        half = HALVES.get(precision, torch.float32)
        spikes = matrix.to(spikes_travel_as("exact", torch.float32, device))
        a, b = (spikes, matrix) if precision == "exact" else (matrix.to(half), matrix.to(half))
        with computed_in(precision):
            arithmetic[precision] = 2 * size**3 / min(timed(product, device, rounds, a, b))
    return Roof(2 * here.nbytes / copying, arithmetic)


def measure_step(
    problem: Problem,
    device: torch.device,
    roof: Roof,
    rounds: int,
    backend: str = "auto",
    precision: Precision = "tf32",
) -> MeasuredStep:
    """Time a training step (forward, reward, backward, Adam), and count what it moves.

    Spikes lie in page-locked memory and travel to the device within the step.

    Args:
        problem: the problem with network, weights and input.
        device: the device to run on.
        roof: the roof of the device.
        rounds: the number of timed steps.
        backend: the name of the kernels.
        precision: the precision of the products.
    """
    lfp = TemporalLFP(problem.build().to(device), RULE, backend, precision=precision)
    on_cuda = device.type == "cuda"
    x = problem.x.pin_memory() if on_cuda else problem.x
    labels, reward = problem.labels.to(device), RateCoded()
    optimizer = torch.optim.Adam(lfp.parameters(), lr=LEARNING_RATE, fused=on_cuda)

    def step() -> None:
        spikes = lfp.forward(x.to(device, non_blocking=True))
        lfp.backward(reward(spikes, labels))
        optimizer.step()

    step()  # kernels are compiled, the optimizer's state is made
    with Traffic() as traffic, counting_operations() as counter:
        step()
    seconds = tuple(timed(step, device, rounds))
    flops = counter.get_total_flops()
    return MeasuredStep(lfp.backend, precision, seconds, traffic.bytes, flops, roof)


def measure_network(
    problem: Problem, device: torch.device, roof: Roof, rounds: int
) -> list[MeasuredStep]:
    """Measure the step on every backend of a device, in each precision that differs there."""
    steps = []
    for backend in BACKENDS:
        if unavailable(backend, device) is not None:
            continue
        same = device.type == "cpu" and backend != "triton"
        for precision in ("tf32",) if same else PRECISIONS:
            steps.append(measure_step(problem, device, roof, rounds, backend, precision))
    return steps


def counting_operations(half: float = 1.0) -> FlopCounterMode:
    """Make a counter of the operations of products, those with an ``out_dtype`` too.

    Args:
        half: the share that an operation on matrices of a half type counts.
    """

    def of_product(a: Tensor, b: Tensor, *_: Any, **__: Any) -> int:
        share = half if a.itemsize == 2 else 1.0
        return int(share * 2 * a.shape[0] * a.shape[1] * b.shape[1])

    def of_sum(_: Tensor, a: Tensor, b: Tensor, *__: Any, **___: Any) -> int:
        return of_product(a, b)

    products: dict[Any, Any] = {torch.ops.aten.mm: of_product, torch.ops.aten.addmm: of_sum}
    for each in products.values():
        each._get_raw = True  # it is given tensors and not their shapes
    return FlopCounterMode(display=False, custom_mapping=products)


class Traffic(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A mode that counts the bytes of the tensors that each call reads and writes, Triton's too."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0
        self.calls = 0
        self.fused = 0

    def launched(self, tensors: list[Tensor]) -> None:
        """Add a launch of a kernel of ours."""
        self.fused += 1
        self.count(tensors)

    def count(self, tensors: list[Tensor]) -> None:
        """Add a call, each of its tensors once."""
        places = {_place(each): each.nbytes for each in tensors}
        self.bytes += sum(places.values())
        self.calls += 1

    @override
    def __enter__(self) -> Traffic:
        with suppress(ImportError):
            from lfp_snn.backends.triton import launch

            launch.observers.append(self.launched)
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    @override
    def __exit__(self, *problem: Any) -> None:
        super().__exit__(*problem)  # type: ignore[no-untyped-call]
        with suppress(ImportError):
            from lfp_snn.backends.triton import launch

            launch.observers.remove(self.launched)

    @override
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        names_memory_alone = func.is_view or "empty" in func.name()
        if not names_memory_alone:
            # What is new like a tensor reads nothing of it.
            values = tree_iter(found if "::new_" in func.name() else (args, kwargs, found))
            tensors = [each for each in values if isinstance(each, Tensor)]
            if tensors:
                self.count(tensors)
        return found


def _place(tensor: Tensor) -> tuple[int, int, int]:
    """The place of a tensor, also where it has no content."""
    return tensor.untyped_storage()._cdata, int(tensor.storage_offset()), tensor.nbytes


def timed(
    call: Callable[..., object], device: torch.device, rounds: int, *arguments: object
) -> list[float]:
    """The seconds of each call, until the device has done it."""
    seconds = []
    for _ in range(rounds + 1):
        _wait(device)
        start = perf_counter()
        call(*arguments)
        _wait(device)
        seconds.append(perf_counter() - start)
    return seconds[1:]


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
