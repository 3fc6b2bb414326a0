"""Several processes that train one network, on one machine or on many.

``torchrun`` starts the processes and tells them of each other; torch.distributed carries what they
exchange, by NCCL between CUDA devices and by gloo between CPUs. Each process takes its share of
every batch. The sums of feedback leave layer by layer while credit flows on through the layers
before. Once the sums are complete, all processes take the same step. The first process alone
writes.
"""

from __future__ import annotations

import atexit
import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from lfp_snn.errors import ConfigError, LfpSnnError, RunError
from lfp_snn.wording import option

__all__ = ["ALONE", "BUCKET", "Buckets", "LostProcess", "World", "join", "rank"]

#: Bytes of sums that travel together.
BUCKET = 4 * 2**20
#: A process that can't be reached is given up after this time; one that dies is noticed at once.
TIMEOUT = timedelta(minutes=10)
#: The time after which a process is given up that reads data or writes while the others wait.
PATIENCE = timedelta(days=1)

T = TypeVar("T")


class LostProcess(RunError):
    """Another process of the training has died or can't be reached."""


@dataclass(frozen=True)
class World:
    """The processes that train together, as one of them sees them.

    Attributes:
        rank: the number of this process, from 0.
        size: the number of processes.
        local_rank: the number of this process on its machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and shows."""
        return self.rank == 0

    @property
    def shard(self) -> tuple[int, int]:
        """The number of this process's share of a batch, and the number of shares."""
        return self.rank, self.size

    def on_first(self, action: Callable[[], T]) -> T:
        """Let the first process alone do something; all get its result, or raise its error."""
        if self.size == 1:
            return action()
        outcome: list[Any] = [None]
        if self.first:
            try:
                outcome[0] = action()
            except LfpSnnError as error:
                outcome[0] = error
        with self._together():
            cpu = torch.device("cpu")
            dist.broadcast_object_list(outcome, src=0, group=_waiting(), device=cpu)
        if isinstance(outcome[0], LfpSnnError):
            raise outcome[0]
        result: T = outcome[0]
        return result

    @contextlib.contextmanager
    def in_turn(self) -> Iterator[None]:
        """Let the first process of a machine run a ``with`` block ahead, to fill caches."""
        if self.local_rank:
            self._wait()
        yield
        if not self.local_rank:
            self._wait()

    def _wait(self) -> None:
        if self.size > 1:
            with self._together():
                dist.barrier(_waiting())

    def spread(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite tensors with those of the first process."""
        if self.size > 1:
            with self._together(), torch.no_grad():
                for tensor in tensors:
                    dist.broadcast(tensor, src=0)

    def total(self, own: Tensor) -> Tensor:
        """The sum over all processes of a tensor on the CPU, in its place."""
        if self.size > 1:
            with self._together():
                dist.all_reduce(own, group=_waiting())
        return own

    def sum(self, numbers: Mapping[str, float]) -> dict[str, float]:
        """The sums over all processes of numbers that each has under the same names."""
        names = sorted(numbers)
        own = torch.tensor([numbers[name] for name in names], dtype=torch.float64)
        sums = dict(zip(names, self.total(own).tolist(), strict=True))
        return {name: sums[name] for name in numbers}

    def agree(self, event: int | None) -> int | None:
        """A positive number for what happened in any process; ``None`` if nothing did."""
        if self.size == 1:
            return event
        found = torch.tensor(event or 0)
        with self._together():
            dist.all_reduce(found, dist.ReduceOp.MAX, group=_waiting())
        return int(found) or None

    def seed(self, seed: int, step: int) -> None:
        """Give each process random numbers of its own for a step; one alone goes on with its."""
        if self.size > 1:
            drawn = np.random.SeedSequence([seed, step, self.rank]).generate_state(1, np.uint64)
            torch.manual_seed(int(drawn[0] >> np.uint64(1)))

    @contextlib.contextmanager
    def _together(self) -> Iterator[None]:
        """Turn the failure of a call that all processes make into a sentence.

        Raises:
            LostProcess: another process did not take part.
        """
        try:
            yield
        except RuntimeError as error:  # what torch.distributed and gloo raise
            raise LostProcess(
                f"Process {self.rank} of {self.size} (counted from 0) lost another one, which was "
                f"killed, ended with an error of its own (see what it printed) or cannot be "
                f"reached; the last checkpoint is intact: start all of them again with "
                f"{option('resume', True)}."
            ) from error


#: One process, which talks to nobody.
ALONE = World()


class Buckets:
    """Sums tensors over all processes, many in a message, while the caller goes on computing.

    Beside the tensors a message carries a number for each of them: how many processes had it.

    Args:
        world: the processes.
        limit: the number of bytes after which a message leaves.
    """

    def __init__(self, world: World, limit: int = BUCKET) -> None:
        self.world = world
        self.limit = limit
        self._open: list[tuple[Tensor | None, Tensor]] = []
        self._bytes = 0
        self._sent: list[tuple[Any, Tensor, list[torch.Size]]] = []

    def add(self, part: Tensor | None, like: Tensor) -> None:
        """Begin to sum a tensor (or this process's lack of one), and come back at once."""
        if self._open and _kind(self._open[0][1]) != _kind(like):
            self._send()
        self._open.append((part, like))
        self._bytes += like.nbytes
        if self._bytes >= self.limit:
            self._send()

    def _send(self) -> None:
        parts = [
            like.new_zeros(like.numel()) if part is None else part.detach().reshape(-1).to(like)
            for part, like in self._open
        ]
        had = parts[0].new_tensor([part is not None for part, _ in self._open])
        message = torch.cat([*parts, had])
        with self.world._together():
            work = dist.all_reduce(message, async_op=True)
        self._sent.append((work, message, [like.shape for _, like in self._open]))
        self._open, self._bytes = [], 0

    def collect(self) -> list[Tensor | None]:
        """Wait for the sums of all tensors that were added since the last call, in that order."""
        if self._open:
            self._send()
        found: list[Tensor | None] = []
        for work, message, shapes in self._sent:
            with self.world._together():
                work.wait()
            sizes = [*(shape.numel() for shape in shapes), len(shapes)]
            *sums, had = torch.split(message, sizes)
            for total, shape, number in zip(sums, shapes, had.tolist(), strict=True):
                found.append(total.view(shape) if number else None)
        self._sent = []
        return found

    def sum(self, part: Tensor) -> Tensor:
        """Sum a tensor in place over all processes, wait for it and return it."""
        with self.world._together():
            dist.all_reduce(part)
        return part


def _kind(tensor: Tensor) -> tuple[torch.dtype, torch.device]:
    return tensor.dtype, tensor.device


def rank() -> int | None:
    """The number of this process among those that torchrun started; ``None`` if it is alone."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ:
        return int(os.environ["RANK"])
    return None


def join(device: str) -> World:
    """The processes that torchrun has started, or this one alone.

    Args:
        device: the device of the configuration: ``cpu``, ``cuda``, or ``auto`` for CUDA where there
            is one. With CUDA each process takes the device of its number on its machine.

    Raises:
        ConfigError: there are more processes on this machine than CUDA devices.
        LostProcess: the others cannot be reached.
    """
    own = rank()
    if own is None:
        return ALONE
    local = int(os.environ.get("LOCAL_RANK", "0"))
    world = World(own, int(os.environ["WORLD_SIZE"]), local)
    if device != "cpu" and torch.cuda.is_available():
        if local >= torch.cuda.device_count():
            raise ConfigError(
                f"This machine has {torch.cuda.device_count()} CUDA devices and more processes, "
                f"each of which needs one: lower torchrun's --nproc-per-node, or train with "
                f"device=cpu."
            )
        torch.cuda.set_device(local)
    if not dist.is_initialized():
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        with world._together():
            dist.init_process_group(backend, timeout=TIMEOUT)
        atexit.register(_leave)
    with world._together():
        _waiting()
    return world


@cache
def _waiting() -> Any:
    """A group of the same processes that waits longer for each other, always by gloo."""
    return dist.new_group(backend="gloo", timeout=PATIENCE)


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
