"""Checkpoints: one safetensors file with tensors and, in its header, JSON. No pickle.

Tensors and numbers share one file, so that one rename commits both and no crash can leave them at
odds. A checksum over all of them shows later damage by a disk.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from lfp_snn.errors import RunError
from lfp_snn.learners import Learner
from lfp_snn.training.averaging import Average
from lfp_snn.training.distributed import ALONE, World
from lfp_snn.training.files import write_atomic
from lfp_snn.training.optim import Schedule
from lfp_snn.training.plain import from_plain, to_plain
from lfp_snn.training.progress import Progress
from lfp_snn.training.rundir import RunDir
from lfp_snn.unpacking import DAMAGE, shown

__all__ = [
    "DamagedError",
    "Snapshot",
    "copy_tensors",
    "load_best",
    "load_checkpoint",
    "load_net",
    "read_tensors",
    "save_checkpoint",
]

_STATE, _CHECKSUM = "state", "crc32"


class DamagedError(RunError):
    """A checkpoint cannot be read, or holds something else than it should."""


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Write tensors and a JSON-able state as a checkpoint, atomically.

    Raises:
        RunError: the file cannot be written; the checkpoint that was there before is intact.
    """
    copies = copy_tensors(tensors)
    text = json.dumps(state, allow_nan=False)
    header = {_STATE: text, _CHECKSUM: _checksum(text, copies)}
    write_atomic(path, save(copies, metadata=header))


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors (on the CPU) and the state of a checkpoint.

    Raises:
        RunError: there is no such checkpoint.
        DamagedError: the checkpoint is damaged.
    """
    try:
        header, tensors = read_tensors(path)
        state = json.loads(header[_STATE])
    except FileNotFoundError:
        raise RunError(f"There is no checkpoint {path}.") from None
    except (SafetensorError, *DAMAGE) as error:
        raise _damaged(path, shown(error)) from error
    # Checkpoints of version 0.1.0 have no checksum.
    if header.get(_CHECKSUM, "") not in ("", _checksum(header[_STATE], tensors)):
        raise _damaged(path, "its checksum is another")
    return tensors, state


def load_best(run: RunDir) -> dict[str, Tensor]:
    """The best weights of a run, on the CPU.

    Raises:
        RunError: the run has none yet, or no longer.
        DamagedError: they are damaged.
    """
    if not run.best.exists():
        if not (run.result.exists() or _has_lines(run.metrics)):
            raise RunError(f"{run.path} has no best checkpoint yet: no epoch was finished.")
        raise RunError(
            f"{run.path} has finished epochs but lacks its best checkpoint {run.best}: "
            f"{_best_again(run)}."
        )
    try:
        return load_checkpoint(run.best)[0]
    except DamagedError as error:
        told = str(error).removesuffix(".")
        raise DamagedError(f"{told}; {_best_again(run, 'remove it and ')}.") from error


def _best_again(run: RunDir, first: str = "") -> str:
    """What to do so that a run has its best weights again, beginning with what comes first."""
    if run.checkpoints():  # the last one holds the best weights as well
        return f"{first}resume the run (train --resume, or fit with resume=True) to write it anew"
    return "bring the file back, or train again into another folder"


def _has_lines(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def read_tensors(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """The notes and the tensors (on the CPU) of a safetensors file, in the order of the file.

    They are read, and not mapped as ``safetensors.safe_open`` does it: of tensors on a mapped file
    that is cut or overwritten while a training uses them, the process ends at once (SIGBUS).

    Raises:
        OSError: the file cannot be read.
        SafetensorError: it is damaged or of another format.
    """
    content = path.read_bytes()
    tensors = load(content)  # in no order
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    names = sorted(tensors, key=lambda name: (header[name]["data_offsets"], name))
    notes: dict[str, str] = header.get("__metadata__") or {}
    return notes, {name: tensors[name] for name in names}


def _damaged(path: Path, problem: object) -> DamagedError:
    return DamagedError(f"The checkpoint {path} is damaged and cannot be read: {problem}.")


def _checksum(text: str, tensors: Mapping[str, Tensor]) -> str:
    """CRC-32 over the state and, by name, over the content of all tensors."""
    checksum = zlib.crc32(text.encode())
    for name in sorted(tensors):
        checksum = zlib.crc32(name.encode(), checksum)
        content = tensors[name].reshape(-1).view(torch.uint8).numpy()
        checksum = zlib.crc32(content.data, checksum)
    return f"{checksum:08x}"


def copy_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies of tensors on the CPU that share no memory with them."""
    return {
        name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()
    }


def load_net(net: nn.Module, tensors: Mapping[str, Tensor], source: Path | str) -> None:
    """Load weights into a network.

    Raises:
        RunError: names or shapes differ from the network's.
    """
    own = net.state_dict()
    differing = sorted(own.keys() ^ tensors.keys()) or [
        name for name in own if own[name].shape != tensors[name].shape
    ]
    if differing:
        raise RunError(f"{source} is of another network: {differing[0]} differs.")
    net.load_state_dict(dict(tensors))


class Snapshot:
    """All that changes while a network is trained, to save and load as one checkpoint.

    That is the weights, their average, the state of optimizer, schedule and learner, the state of
    torch's random numbers, the best weights so far, and the progress of the training.

    Args:
        learner: the learner and, with it, the network.
        optimizer: the optimizer.
        schedule: the schedule of the learning rate.
        average: the average of the weights; by default none.
    """

    def __init__(
        self,
        learner: Learner,
        optimizer: torch.optim.Optimizer,
        schedule: Schedule,
        average: Average | None = None,
    ) -> None:
        self.learner = learner
        self.optimizer = optimizer
        self.schedule = schedule
        self.average = average or Average(learner.net, None)

    def save(self, path: Path, progress: Progress, best: Mapping[str, Tensor]) -> None:
        """Write the checkpoint, atomically.

        Raises:
            RunError: the file cannot be written; the checkpoint that was there before is intact.
        """
        slots, optimizer = _pack_optimizer(self.optimizer)
        tensors = {
            **_prefixed("net", self.learner.net.state_dict()),
            **_prefixed("best", best),
            **_prefixed("optimizer", slots),
            **_prefixed("learner", self.learner.state_dict()),
            **_prefixed("average", self.average.state_dict()),
            **_prefixed("random", self._random_state()),
        }
        state = {
            "progress": progress.to_json(),
            "optimizer": optimizer,
            "schedule": to_plain(self.schedule.state_dict()),
        }
        save_checkpoint(path, tensors, state)

    def load(self, path: Path, world: World = ALONE) -> tuple[Progress, dict[str, Tensor]]:
        """Bring everything back to a checkpoint; gives the progress and the best weights.

        Args:
            path: the path of the checkpoint, which the first process alone reads.
            world: the processes that all go on from it.

        Raises:
            RunError: the checkpoint is of another network.
            DamagedError: the checkpoint is damaged; what was loaded of it is of no use.
        """
        tensors, state = world.on_first(lambda: load_checkpoint(path))
        load_net(self.learner.net, _unprefixed("net", tensors), path)
        try:
            _unpack_optimizer(self.optimizer, _unprefixed("optimizer", tensors), state["optimizer"])
            self.schedule.load_state_dict(from_plain(state["schedule"]))
            self.learner.load_state_dict(_unprefixed("learner", tensors))
            self.average.load_state_dict(_unprefixed("average", tensors))
            self._set_random_state(_unprefixed("random", tensors))
            return Progress.from_json(state["progress"]), _unprefixed("best", tensors)
        # Whatever is missing or of another kind trips those who take it over.
        except DAMAGE as error:
            raise _damaged(path, shown(error)) from error

    def load_latest(
        self, paths: Iterable[Path], world: World = ALONE
    ) -> tuple[Path, Progress, dict[str, Tensor], list[str]]:
        """Bring everything back to the first of these checkpoints that is not damaged.

        Returns:
            The path of that checkpoint, the progress, the best weights, and what is wrong with the
            checkpoints before it.

        Raises:
            RunError: all are damaged, or one is of another network.
        """
        damaged: list[str] = []
        for path in paths:
            try:
                return path, *self.load(path, world), damaged
            except DamagedError as error:
                damaged.append(str(error))
        raise RunError(
            f"{damaged[0]} There is no earlier one: start anew, in another run directory."
        )

    def _random_state(self) -> dict[str, Tensor]:
        state = {"cpu": torch.get_rng_state()}
        if self.learner.device.type == "cuda":
            state["cuda"] = torch.cuda.get_rng_state(self.learner.device)
        return state

    def _set_random_state(self, state: Mapping[str, Tensor]) -> None:
        torch.set_rng_state(state["cpu"])
        if "cuda" in state and self.learner.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda"], self.learner.device)


def _prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A mapping of the tensors in which each name begins with ``prefix/``."""
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def _unprefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with ``prefix/``, under their names without it."""
    start = f"{prefix}/"
    return {name[len(start) :]: t for name, t in tensors.items() if name.startswith(start)}


def _pack_optimizer(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An optimizer's state as tensors ``<parameter>/<slot>`` and JSON-able numbers."""
    state = optimizer.state_dict()
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, dict[str, Any]] = {}
    for index, slots in state["state"].items():
        for slot, value in slots.items():
            if isinstance(value, Tensor):
                tensors[f"{index}/{slot}"] = value
            else:
                numbers.setdefault(str(index), {})[slot] = value
    return tensors, {"numbers": numbers, "groups": state["param_groups"]}


def _unpack_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], state: Mapping[str, Any]
) -> None:
    """Load into an optimizer what :func:`_pack_optimizer` gave."""
    slots: dict[int, dict[str, Any]] = {
        int(index): dict(values) for index, values in state["numbers"].items()
    }
    for name, tensor in tensors.items():
        index, _, slot = name.partition("/")
        slots.setdefault(int(index), {})[slot] = tensor
    groups = [
        # JSON knows no tuples.
        {key: tuple(value) if key == "betas" else value for key, value in group.items()}
        for group in state["groups"]
    ]
    optimizer.load_state_dict({"state": slots, "param_groups": groups})
