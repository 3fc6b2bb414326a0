"""NeuroBench's harness around a network and a set. Needs the extra ``metrics``."""

from __future__ import annotations

import contextlib
import io
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

with contextlib.redirect_stdout(io.StringIO()):  # it prints which of its datasets it misses
    from neurobench.benchmarks import Benchmark
    from neurobench.metrics import static, workload
    from neurobench.metrics.abstract.workload_metric import AccumulatedMetric
    from neurobench.metrics.utils.layers import single_layer_MACs
    from neurobench.models import SNNTorchModel

from lfp_snn.data import SampleSet
from lfp_snn.engine.copying import copy_of
from lfp_snn.errors import DataError, NetworkError
from lfp_snn.learners.unrolled import change_states, rest
from lfp_snn.rewards import ties
from lfp_snn.spikes import Spikes

__all__ = ["OperationCount", "run_harness"]


@dataclass
class OperationCount:
    """The operations of one synapse, as NeuroBench counts them."""

    effective: float = 0
    dense: float = 0
    binary: bool = True


class _ByModule(AccumulatedMetric):  # type: ignore[misc]
    """NeuroBench's count of synaptic operations, kept apart by synapse; and steps of neurons."""

    def __init__(self) -> None:
        super().__init__(requires_hooks=True)
        self.reset()

    def reset(self) -> None:
        self.counts: defaultdict[nn.Module, OperationCount] = defaultdict(OperationCount)
        self.neuron_steps = 0
        self.samples = 0

    def __call__(self, model: Any, preds: Tensor, data: Any) -> dict[str, Any]:
        for hook in model.connection_hooks:
            hook.hook.remove()
            count = self.counts[hook.layer]
            for (x,) in hook.inputs:
                effective, binary = single_layer_MACs(x, hook.layer)
                count.effective += effective
                count.dense += single_layer_MACs(x, hook.layer, total=True)[0]
                count.binary &= binary
            hook.register_hook()
        for hook in model.activation_hooks:
            self.neuron_steps += sum(spikes.numel() for spikes in hook.activation_outputs)
        self.samples += len(data[0])
        return self.compute()

    def compute(self) -> dict[str, Any]:
        per = max(self.samples, 1)
        counts = {
            module: OperationCount(count.effective / per, count.dense / per, count.binary)
            for module, count in self.counts.items()
        }
        return {"counts": counts, "neuron_steps": self.neuron_steps / per}


class _Recordings(Dataset[tuple[Tensor, int]]):
    """A set in the form that NeuroBench takes: dense ``[T, ...]`` and a class."""

    def __init__(self, samples: SampleSet, done: Callable[[], object]) -> None:
        self.samples, self.done = samples, done

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        self.done()
        batch = self.samples.batch([index])
        if batch.lengths is not None:
            raise DataError(
                "The recordings have different lengths, which NeuroBench does not know: measure "
                "on a dataset whose recordings all have the same number of steps."
            )
        x = batch.x.dense() if isinstance(batch.x, Spikes) else batch.x
        x = x[:, 0] if batch.steps is None else x.expand(batch.steps, *x.shape[1:])
        return x.float(), int(batch.labels[0])


def run_harness(
    net: nn.Module, samples: SampleSet, batch_size: int, done: Callable[[], object]
) -> tuple[dict[str, Any], dict[str, OperationCount], float]:
    """Run NeuroBench; gives results by metric, operations by synapse, neuron steps, per sample.

    ``done`` is called for every sample that is read.

    Raises:
        NetworkError: a metric failed; NeuroBench itself would go on with a zero.
        DataError: the recordings have different lengths.
    """
    model = SNNTorchModel(copy_of(net).cpu())
    _rest(model.net)
    # Otherwise it resets all neurons that snntorch knows of, in whatever network.
    model.net.reset = partial(rest, model.net)
    metrics: list[list[Any]] = [
        [static.Footprint, static.ParameterCount, static.ConnectionSparsity],
        [
            workload.ClassificationAccuracy,
            workload.ActivationSparsity,
            workload.SynapticOperations,
            workload.MembraneUpdates,
            _ByModule,
        ],
    ]
    loader = DataLoader(_Recordings(samples, done), batch_size)
    benchmark = Benchmark(model, loader, [], [_classes], metrics)
    said = io.StringIO()
    quiet = contextlib.redirect_stderr(io.StringIO())  # its progress bar
    with contextlib.redirect_stdout(said), quiet, torch.no_grad():
        results = benchmark.run()
    failure = re.search(r"Error running workload metric .*", said.getvalue())
    if failure is not None:
        raise NetworkError(f"NeuroBench cannot measure this network: {failure[0]}.")
    own = results.pop("_ByModule")
    names = {module: name for name, module in model.net.named_modules()}
    counts = {names[module]: count for module, count in own["counts"].items()}
    return results, counts, own["neuron_steps"]


def _classes(spikes: Tensor) -> Tensor:
    """The classes that are read from ``[B, T, C]``: of equal counts the lowest, as elsewhere."""
    return ties(spikes.sum(1)).classes


def _rest(net: nn.Module) -> None:
    """Leave no membrane behind, so that the footprint is that of the network alone."""
    change_states(net, lambda state: state.new_zeros(0))
