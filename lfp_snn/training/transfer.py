"""Transfer of weights that were trained before: by another learner, on other classes, elsewhere.

Parameters have their names in ``state_dict``; patterns are like those of file names, so that
``3.*`` is all of module ``3``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from lfp_snn.errors import ConfigError, RunError
from lfp_snn.models.nir import load_nir
from lfp_snn.norms import running_statistics
from lfp_snn.shipped import located
from lfp_snn.training.checkpoint import load_best, read_tensors
from lfp_snn.training.config import Transfer
from lfp_snn.training.rundir import RunDir
from lfp_snn.unpacking import DAMAGE, shown

__all__ = ["Transfer", "freeze", "load_into"]

_NIR = ".nir"


def load_into(net: nn.Module, options: Transfer) -> tuple[nn.Module, ...]:
    """Load weights into a network, and return the modules that have them now.

    Parameters and the statistics of normalisations are taken, by name; where no name is shared, in
    the order of the modules, which a NIR file has and else the numbers in their names may tell.
    Constants of neurons that do not learn (decay, threshold) stay as the network was built.

    Args:
        net: the network, changed in place; nothing of it is changed if something does not fit.
        options: the source, and the parameters that stay fresh.

    Raises:
        RunError: the source is absent or damaged, or a tensor is missing or of another shape.
        DataError: a ``.nir`` file is damaged.
        NetworkError: a ``.nir`` file has a node without counterpart here, or the package ``nir`` is
            absent.
        ConfigError: a pattern fits no parameter.
    """
    source = located(options.source)
    own = _own(net)
    fresh = _matched(own, options.fresh, "transfer.fresh")
    wanted = {name: tensor for name, tensor in own.items() if name not in fresh}
    given = _in_order(wanted, _read(source), ordered=source.suffix == _NIR)
    for name, tensor in wanted.items():
        if name not in given:
            raise RunError(
                f"{source} has no {name!r}, only {', '.join(given)}; if it shall start anew, add "
                f"it to transfer.fresh."
            )
        if given[name].shape != tensor.shape:
            raise RunError(
                f"{name!r} is {list(given[name].shape)} in {source}, but {list(tensor.shape)} in "
                f"the network; for another number of classes, add it to transfer.fresh."
            )
    with torch.no_grad():
        for name, tensor in wanted.items():
            tensor.copy_(given[name])
    return tuple(net.get_submodule(name) for name in dict.fromkeys(_module(n) for n in wanted))


def freeze(net: nn.Module, patterns: Sequence[str]) -> None:
    """Freeze the parameters that fit a pattern: they learn no longer (``requires_grad`` is false).

    The statistics of a frozen normalisation still follow the batches, as in PyTorch.

    Raises:
        ConfigError: a pattern fits no parameter, or nothing is left that learns.
    """
    parameters = dict(net.named_parameters())
    for name in _matched(parameters, patterns, "transfer.freeze"):
        parameters[name].requires_grad_(False)
    if patterns and not any(p.requires_grad for p in parameters.values()):
        raise ConfigError("transfer.freeze freezes every parameter: nothing would learn.")


def _own(net: nn.Module) -> dict[str, Tensor]:
    """Parameters and the statistics of normalisations, by name."""
    return dict(net.named_parameters()) | dict(running_statistics(net))


def _read(source: Path) -> dict[str, Tensor]:
    if source.is_dir():
        return load_best(RunDir.open(source))
    if not source.exists():
        raise RunError(f"transfer.source is {source}, but there is no such run or file.")
    if source.suffix == _NIR:
        return load_nir(source).weights()
    try:
        return read_tensors(source)[1]
    except (SafetensorError, *DAMAGE) as problem:
        raise RunError(
            f"transfer.source {source} is neither a run directory nor a safetensors or .nir file "
            f"(and what torch.save writes is a pickle, which is never read): {shown(problem)}."
        ) from problem


def _in_order(
    wanted: dict[str, Tensor], given: dict[str, Tensor], ordered: bool
) -> dict[str, Tensor]:
    """Rename given tensors to the wanted names, module by module, in their order.

    Where the tensors do not come ``ordered``, as from a safetensors file, the numbers in their
    names give the order. A tensor that does not fit in number, name within the module, or shape
    keeps its name.
    """
    modules = list(dict.fromkeys(map(_module, wanted)))
    theirs = list(dict.fromkeys(map(_module, given)))
    if wanted.keys() & given.keys() or len(theirs) != len(modules):
        return given
    if not ordered:
        if len({re.sub(r"\d+", "", name) for name in theirs}) > 1:
            return given  # names such as "head" and "stem" tell no order
        theirs.sort(key=_numbers)
    renamed = dict(zip(theirs, modules, strict=True))
    found = {
        f"{renamed[_module(name)]}.{name.rpartition('.')[2]}": tensor
        for name, tensor in given.items()
    }
    same = found.keys() == wanted.keys()
    return found if same and all(found[n].shape == t.shape for n, t in wanted.items()) else given


def _numbers(name: str) -> list[int]:
    """The numbers in a name, by which modules of a sequence are ordered: 2 comes before 10."""
    return [int(number) for number in re.findall(r"\d+", name)]


def _matched(
    names: dict[str, Tensor] | dict[str, nn.Parameter], patterns: Sequence[str], key: str
) -> set[str]:
    """The names that fit a pattern."""
    found: set[str] = set()
    for pattern in patterns:
        fitting = {name for name in names if fnmatchcase(name, pattern)}
        if not fitting:
            raise ConfigError(
                f"{key} has {pattern!r}, which fits no parameter; they are {', '.join(names)}."
            )
        found |= fitting
    return found


def _module(parameter: str) -> str:
    return parameter.rpartition(".")[0]
