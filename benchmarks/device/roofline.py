r"""What a step moves, computes and launches: as its calls do now, and at least.

**CountedWork** are the calls of a step of this library on a device, without running it: on tensors
without content, the ways that a CUDA device takes. Each tensor that a call reads or writes counts
once; views move nothing.

**At least**, whatever the kernels: the products, :math:`2 K` operations for each current, as many
for the feedback and for the credit of what is not the input; and 24 bytes a neuron step (currents
written and read, credit read, ``n`` written and read, spikes and masks as bits).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from unittest import mock

import snntorch as snn
import torch
from torch import nn

from benchmarks.device.cases import DeviceCase
from benchmarks.device.traffic import Traffic, counting_operations
from lfp_snn.backends import packed
from lfp_snn.backends import precision as precisions
from lfp_snn.backends.precision import Precision
from lfp_snn.backends.triton import launch
from lfp_snn.engine import TemporalLFP, network
from lfp_snn.engine.options import Memory
from lfp_snn.rewards import RateCoded

__all__ = ["BYTES_PER_NEURON_STEP", "CountedWork", "Device", "H200", "count", "least"]

BYTES_PER_NEURON_STEP = 24
META = torch.device("meta")


@dataclass(frozen=True)
class CountedWork:
    """The work of a step, counted.

    Args:
        bytes: the bytes moved.
        operations: the floating point operations of products.
        launches: the number of kernels that the host starts.
        neuron_steps: the number of units that spike, times T and B.
        fused: the number of kernels that are those of :mod:`lfp_snn.backends.triton`.
    """

    bytes: int
    operations: int
    launches: int
    neuron_steps: int
    fused: int = 0


@dataclass(frozen=True)
class Device:
    """What a device is said to do.

    Args:
        name: the name of the device.
        bandwidth: bytes per second.
        arithmetic: operations per second.
        launch: seconds of the host for each kernel that it starts.
    """

    name: str
    bandwidth: float
    arithmetic: float
    launch: float

    def seconds(self, counted: CountedWork, *, graph: bool) -> float:
        """The least seconds of a step; a CUDA graph is started by the host at once."""
        host = 0 if graph else counted.launches * self.launch
        work = max(counted.bytes / self.bandwidth, counted.operations / self.arithmetic)
        return max(work, host)


#: Of its data sheet: 4.8 TB/s, 495 TFLOP/s dense in TF32. A launch is assumed to take 4 us.
H200 = Device("H200, by its data sheet", 4.8e12, 495e12, 4e-6)


def least(case: DeviceCase) -> CountedWork:
    """What no implementation can do without, in one launch a population and a product."""
    units: list[int] = []
    operations: list[int] = []

    def note(module: nn.Module, given: tuple[torch.Tensor, ...], found: torch.Tensor) -> None:
        if isinstance(module, nn.Linear | nn.Conv2d):
            inputs = module.weight[0].numel()
            passes = 3 if operations else 2  # credit of the input is not asked for
            operations.append(passes * 2 * inputs * found[0].numel())
        else:
            units.append(given[0][0].numel())

    net = case.network()
    kinds = (nn.Linear, nn.Conv2d, snn.Leaky)
    for module in net:
        if isinstance(module, kinds):
            module.register_forward_hook(note)
    with torch.no_grad():
        net.eval()(torch.zeros(1, *case.shape))
    frames = case.steps * case.batch
    neuron_steps = sum(units) * frames
    launches = 2 * len(units) + 3 * len(operations) - 1
    moved = BYTES_PER_NEURON_STEP * neuron_steps
    return CountedWork(moved, sum(operations) * frames, launches, neuron_steps)


def count(
    case: DeviceCase,
    precision: Precision = "tf32",
    device: torch.device = META,
    chunks: int = 1,
) -> CountedWork:
    """Count a step (forward, reward, backward) of :class:`~lfp_snn.TemporalLFP`.

    Args:
        case: the network and its input.
        precision: the precision of the products.
        device: a device without content, or one on which the kernels can be run.
        chunks: the number of chunks of time, which are repeated on the way back.

    Raises:
        NetworkError: a normalisation takes statistics of the batch over all chunks.
    """
    net = case.network()
    memory: Memory = "full" if chunks == 1 else "chunked"
    chunk = None if chunks == 1 else -(-case.steps // chunks)
    lfp = TemporalLFP(net, precision=precision, memory=memory, chunk=chunk, check=False)
    # What is built once looks at values.
    lfp.forward(torch.zeros(1, case.batch, *case.shape), record=False)
    lfp._plan("triton")
    if device.type == "meta":
        x = torch.empty(case.steps, case.batch, *case.shape, dtype=torch.bool, device=device)
        labels = torch.empty(case.batch, dtype=torch.int64, device=device)
    else:
        problem = case.pose()
        x, labels = problem.x.dense(torch.bool).to(device), problem.labels.to(device)
    lfp.to(device)
    with _as_on_cuda(lfp, device):
        lfp.forward(x, record=False)  # the network is traced there, once
        with Traffic() as traffic, counting_operations(half=0.5) as operations:
            lfp.backward(RateCoded()(lfp.forward(x), labels))
    return CountedWork(
        traffic.bytes,
        int(operations.get_total_flops()),
        traffic.calls,
        least(case).neuron_steps,
        traffic.fused,
    )


@contextmanager
def _as_on_cuda(lfp: TemporalLFP, device: torch.device) -> Iterator[None]:
    """Let a network take the ways of a CUDA device in a ``with`` block, wherever it lies."""
    with ExitStack() as held:
        held.enter_context(mock.patch.object(type(lfp), "backend", "triton"))
        if device.type == "meta":
            for where in (network, precisions, packed):
                held.enter_context(mock.patch.object(where, "unavailable", return_value=None))
            held.enter_context(
                mock.patch.object(precisions, "_has_tensor_cores", return_value=True)
            )
            held.enter_context(mock.patch.object(launch, "start"))
        yield
