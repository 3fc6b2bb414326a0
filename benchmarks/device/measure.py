"""Time and memory of a step, and the time of an epoch."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

import numpy as np
import torch

from benchmarks.device.cases import DeviceCase
from benchmarks.device.roof import Roof, timed
from benchmarks.device.traffic import Traffic, counting_operations
from benchmarks.steps.contenders import Contender
from benchmarks.steps.memory import measure_peaks
from lfp_snn.data import ImageSet, SpikeSet, Splits
from lfp_snn.data.binning import Binned
from lfp_snn.data.encoders import Constant, Encoder
from lfp_snn.engine.graphed import WARMUP
from lfp_snn.models import build
from lfp_snn.training import fit

__all__ = ["DeviceEpoch", "DeviceRow", "measure_epoch", "measure_row"]


@dataclass(frozen=True)
class DeviceRow:
    """A case by one contender.

    Args:
        case: the name of the case.
        contender: the title of the contender.
        seconds: the seconds of each timed step; none where it did not run.
        peak: the bytes at the peak above weights, gradients, optimizer and input; None where it
            was not measured.
        moved: the bytes that the calls of a step move; None where torch does not see them.
        operations: the floating point operations of its products; None as for ``moved``.
        least: the least seconds that the roof of the device allows for these.
        why: the reason why it did not run, or not as a graph.
    """

    case: str
    contender: str
    seconds: tuple[float, ...] = ()
    peak: int | None = None
    moved: int | None = None
    operations: int | None = None
    least: float | None = None
    why: str | None = None

    @property
    def median(self) -> float | None:
        """Seconds of the step in the middle."""
        return median(self.seconds) if self.seconds else None

    def record(self) -> dict[str, Any]:
        """Everything, as JSON takes it."""
        return {**asdict(self), "median": self.median}


def measure_row(
    case: DeviceCase,
    make: Callable[[], Contender],
    device: torch.device,
    rounds: int,
    roof: Roof,
    *,
    peaks: bool = True,
) -> DeviceRow:
    """Measure one contender; nothing of it is left behind.

    What fails (a peer that does not run there, memory that runs out) is a row that says why.

    Args:
        case: the case.
        make: makes the contender.
        device: the device to run on.
        rounds: the number of timed steps.
        roof: the roof of the device.
        peaks: whether to measure the peak on the CPU too, which takes a process of its own.
    """
    contender = make()
    title, missing = contender.title, contender.available()
    on_cuda = device.type == "cuda"
    if missing is None and contender.way == "graph" and not on_cuda:
        missing = "a CUDA graph takes a CUDA device"
    if missing is not None:
        return DeviceRow(case.name, title, why=missing)
    problem = case.pose()
    _forget(device)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of peers; why a step is no graph is in the row
            contender.prepare(problem, device)
            contender.step()  # kernels are compiled, the optimizer's state is made
            with Traffic() as traffic, counting_operations() as counter:
                contender.step()  # call by call, also where it is captured later
            for _ in range(WARMUP - 1):
                contender.step()
            seconds = tuple(timed(contender.step, device, rounds))
        row = DeviceRow(case.name, title, seconds, why=contender.reason)
        if contender.seen:
            work = traffic.bytes, int(counter.get_total_flops())
            least = roof.seconds(*work, contender.precision)
            row = replace(row, moved=work[0], operations=work[1], least=least)
        if on_cuda:
            peak = torch.cuda.max_memory_allocated(device) - contender.held()
            return replace(row, peak=peak)
        if peaks:
            return replace(row, peak=measure_peaks(problem, [make]).bytes.get(contender.name))
        return row
    except RuntimeError as error:
        return DeviceRow(case.name, title, why=str(error).strip().partition("\n")[0])
    finally:
        del contender
        _forget(device)


def _forget(device: torch.device) -> None:
    """Free what is left, and begin to look for a peak."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


@dataclass(frozen=True)
class DeviceEpoch:
    """An epoch of ``fit``, its loader included.

    Args:
        name: the name of the data.
        samples: the number of samples in an epoch.
        batch: the number of samples in a batch.
        seconds: the seconds of each epoch but the first, in which kernels are compiled.
    """

    name: str
    samples: int
    batch: int
    seconds: tuple[float, ...]

    def record(self) -> dict[str, Any]:
        """Everything, as JSON takes it."""
        return {**asdict(self), "median": median(self.seconds)}


def measure_epoch(name: str, device: torch.device, *, small: bool, epochs: int = 3) -> DeviceEpoch:
    """Train on data of a shape, random in content; nothing validates or tests.

    Args:
        name: ``mnist`` (constant currents, T = 15, mlp) or ``nmnist`` (spikes, T = 25, csnn).
        device: the device to train on.
        small: whether to take few samples, to see that it runs.
        epochs: the number of epochs.
    """
    samples = 300 if small else 60_000
    splits = _images(samples) if name == "mnist" else _spikes(samples, kinds=min(samples, 1000))
    shape = splits.train.feature_shape
    model, options = ("mlp", {"hidden": [1000]}) if name == "mnist" else ("csnn", {})
    torch.manual_seed(0)
    net = build(model, shape, 10, **options)
    kind = "cuda" if device.type == "cuda" else "cpu"
    result = fit(net, splits, epochs=epochs, batch_size=128, device=kind, on_non_finite="skip")
    seconds = [float(each["epoch_s"]) for each in result.metrics]
    return DeviceEpoch(name, samples, 128, tuple(seconds[1:]))


def _labelled(samples: int) -> tuple[np.ndarray[Any, Any], Sequence[str], dict[str, Any]]:
    ids = [str(n) for n in range(samples)]
    return np.arange(samples) % 10, ids, {"classes": tuple(map(str, range(10)))}


def _images(samples: int) -> Splits:
    """Random images of the shape of MNIST."""
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (samples, 1, 28, 28), dtype=np.uint8)
    labels, ids, more = _labelled(samples)
    return _alone(ImageSet(pixels, Encoder(Constant(), 15), labels, ids, **more), "mnist")


def _spikes(samples: int, kinds: int) -> Splits:
    """Random trains of the shape of N-MNIST, so many of them over and over."""
    draw, steps, shape = np.random.default_rng(0), 25, (2, 34, 34)
    active = draw.random((kinds * steps, 2312)) < 0.044
    counts, columns = active.sum(1), active.nonzero()[1].astype(np.int32)
    rounds = -(-samples // kinds)
    indptr = np.concatenate([[0], np.cumsum(np.tile(counts, rounds))])[: samples * steps + 1]
    trains = Binned(indptr, np.tile(columns, rounds)[: indptr[-1]], None)
    labels, ids, more = _labelled(samples)
    whole = SpikeSet(trains, labels, ids, feature_shape=shape, steps=steps, **more)
    return _alone(whole, "nmnist")


def _alone(samples: ImageSet | SpikeSet, name: str) -> Splits:
    """All to train on."""
    everything = np.arange(len(samples))
    return Splits.of(samples, everything, [], [], name=name, source="drawn at random")
