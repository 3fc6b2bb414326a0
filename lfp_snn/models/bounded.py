"""Networks that a file describes, no larger than the weights that come with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from lfp_snn.errors import LfpSnnError
from lfp_snn.unpacking import reading

__all__ = ["no_larger_than"]

_FREE = 1 << 20  # parameters that any network may have while it is put together


@contextmanager
def no_larger_than(
    weights: dict[str, Tensor], path: Path | str, error: type[LfpSnnError]
) -> Iterator[None]:
    """Refuse, before it is filled, a network with more parameters than its weights have.

    A few words in a file can describe a network of any size. Parameters are counted when modules
    take them, which is before they are drawn; a module may replace its own once.

    Args:
        weights: the weights that the network is to get, by name.
        path: the file that describes it, for messages.
        error: the class of the error that is raised.

    Raises:
        LfpSnnError: the network is larger, or cannot be built; the error is of the class ``error``.
    """
    most = _FREE + 2 * sum(tensor.numel() for tensor in weights.values())
    total = 0

    def count(module: nn.Module, name: str, parameter: Any) -> None:
        nonlocal total
        total += 0 if parameter is None else parameter.numel()
        if total > most:
            raise error(f"{path} describes a network that is larger than the weights with it.")

    hook = register_module_parameter_registration_hook(count)
    try:
        with reading(path, "description of a network that can be built", error):
            yield
    finally:
        hook.remove()
