"""A training step as a CUDA graph: recorded once for inputs of a shape, then replayed.

What a step launches is then one launch of the host. The step must not wait for the device, and what
Python does in it is done when it is recorded and not again.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor
from torch.optim import Optimizer

from lfp_snn.spikes import Spikes

__all__ = ["MOST", "WARMUP", "CudaRecorder", "GraphedStep", "Recorder", "make_graphed"]

Result = TypeVar("Result")
#: Steps of a shape that run as they are before one is recorded: kernels are compiled and chosen,
#: and optimizers make their state.
WARMUP = 3
#: Shapes of which a step is recorded; others run as they are.
MOST = 4


class Recorder(Protocol):
    """Records what a function launches."""

    def warm(self, run: Callable[[], Result]) -> Result:
        """Run a function as it is, where what it allocates can be recorded later."""

    def record(self, run: Callable[[], Result]) -> Callable[[], Result]:
        """Record what a function launches, without doing it; the result does it.

        Raises:
            RuntimeError: it does something that cannot be recorded.
        """


class CudaRecorder:
    """CUDA graphs that share their memory, since no two of them run at a time."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._side = torch.cuda.Stream(device)
        self._pool: Any = None

    def warm(self, run: Callable[[], Result]) -> Result:
        """Run it on a stream of its own, as torch asks for before a capture."""
        side = self._side
        side.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(side):
            result = run()
        torch.cuda.current_stream(self.device).wait_stream(side)
        return result

    def record(self, run: Callable[[], Result]) -> Callable[[], Result]:
        """Capture it; its results lie where they lie from then on."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(self.device), torch.cuda.graph(graph, pool=self._pool):
            result = run()
        self._pool = graph.pool()

        def replay() -> Result:
            graph.replay()
            return result

        return replay


class GraphedStep(Generic[Result]):
    """A step that is replayed from a CUDA graph; :func:`make_graphed` makes it.

    Attributes:
        reason: why it runs as it is, if it does.
    """

    def __init__(
        self,
        step: Callable[..., Result],
        optimizers: Sequence[Optimizer] = (),
        recorder: Recorder | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self.step = step
        self.reason: str | None = None
        self._rates = _Rates(optimizers)
        self._recorder = recorder
        self._tell = tell or _warn
        self._seen: dict[object, int] = {}
        self._recorded: dict[object, tuple[list[Tensor], Callable[[], Result]]] = {}

    def __call__(self, *given: Any) -> Result:
        """One step on tensors, spikes, and whatever else it takes, which counts as its shape.

        The result of a replay lies where that of the one before lay.
        """
        arguments = [_dense(each) for each in given]
        tensors = [each for each in arguments if isinstance(each, Tensor)]
        if self._recorder is None and self.reason is None:
            self._find_recorder(tensors)
        if self.reason is not None or self._recorder is None:
            return self.step(*arguments)
        key = tuple(_signature(each) for each in arguments)
        if key not in self._recorded:
            seen = self._seen[key] = self._seen.get(key, 0) + 1
            if seen <= WARMUP or len(self._recorded) == MOST:
                return self._recorder.warm(lambda: self.step(*arguments))
            if not self._record(key, arguments):
                return self.step(*arguments)
        buffers, replay = self._recorded[key]
        for buffer, tensor in zip(buffers, tensors, strict=True):
            buffer.copy_(tensor, non_blocking=True)
        self._rates.follow()
        return replay()

    def _find_recorder(self, tensors: Sequence[Tensor]) -> None:
        devices = {tensor.device for tensor in tensors}
        if len(devices) == 1 and (device := devices.pop()).type == "cuda":
            self._recorder = CudaRecorder(device)
        else:
            self.reason = "what it takes does not lie on one CUDA device"

    def _record(self, key: object, arguments: Sequence[Any]) -> bool:
        """Record a step for arguments of a shape; False if that cannot be done."""
        assert self._recorder is not None
        held = [each.clone() if isinstance(each, Tensor) else each for each in arguments]
        try:
            with self._rates.on_device():
                replay = self._recorder.record(lambda: self.step(*held))
        except RuntimeError as error:
            first = str(error).strip().partition("\n")[0]
            self.reason = f"it cannot be captured ({first})"
            self._tell(f"The step runs without a CUDA graph: {self.reason}.")
            return False
        self._recorded[key] = [each for each in held if isinstance(each, Tensor)], replay
        return True


def make_graphed(
    step: Callable[..., Result], optimizers: Optimizer | Sequence[Optimizer] = ()
) -> GraphedStep[Result]:
    """A training step that a CUDA device does with one launch, from its fourth call of a shape on.

    ::

        def step(x, labels):
            spikes = lfp.forward(x)
            lfp.backward(reward(spikes, labels))
            optimizer.step()
            return (spikes.sum(0).argmax(1) == labels).sum()

        step = lfp_snn.make_graphed(step, optimizer)
        for x, labels in loader:
            right += step(x.to("cuda"), labels.to("cuda"))
            scheduler.step()

    The first calls run as they are. Then what a step launches is captured as a CUDA graph, which
    later calls fill with their input and replay: what Python does in a step (printing, counting,
    changing the network's mode) is not done again. Learning rates that change, as by a scheduler,
    are followed. Where a step cannot be captured, which is warned of, and on the CPU, it runs as it
    is; ``.reason`` says why.

    Args:
        step: takes tensors and :class:`~lfp_snn.Spikes` (it gets them dense, as booleans where they
            are 0 and 1), all on one device; other arguments belong to the shape. It must not look
            at values, which would wait for the device: no ``item()``, no ``print``, no ``if``.
        optimizers: the optimizers that the step calls, made with ``fused=True`` or
            ``capturable=True``.

    Returns:
        A callable in the place of ``step``. What it returns is overwritten by the next call.
    """
    each = [optimizers] if isinstance(optimizers, Optimizer) else list(optimizers)
    return GraphedStep(step, each)


class _Rates:
    """Learning rates, which a graph reads from the device and schedulers set on the host."""

    def __init__(self, optimizers: Sequence[Optimizer]) -> None:
        self.optimizers = optimizers
        #: Groups, their rates on the device, and what those are.
        self._held: list[tuple[dict[str, Any], Tensor, float | None]] = []

    @contextmanager
    def on_device(self) -> Iterator[None]:
        """Let optimizers read their rates on the device in a ``with`` block, as a capture needs."""
        groups = [group for each in self.optimizers for group in each.param_groups]
        before = [(group["lr"], group.get("capturable")) for group in groups]
        if not self._held:
            self._held = [
                (group, torch.tensor(float(group["lr"]), device=group["params"][0].device), None)
                for group in groups
                if not isinstance(group["lr"], Tensor)
            ]
        for group, rate, _ in self._held:
            group["lr"] = rate
        for group in groups:
            if "capturable" in group:
                group["capturable"] = True
        try:
            yield
        finally:
            for group, (rate, capturable) in zip(groups, before, strict=True):
                group["lr"] = rate
                if capturable is not None:
                    group["capturable"] = capturable

    def follow(self) -> None:
        """Bring the rates that have changed to the device, without waiting."""
        for k, (group, rate, known) in enumerate(self._held):
            now = float(group["lr"])
            if now != known:
                rate.fill_(now)
                self._held[k] = group, rate, now


def _dense(value: Any) -> Any:
    """What a graph can hold: spikes as a tensor."""
    if not isinstance(value, Spikes):
        return value
    return value.dense(torch.bool if value.values is None else None)


def _signature(value: Any) -> object:
    if isinstance(value, Tensor):
        return value.shape, value.dtype, value.device
    return value


def _warn(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=4)
