"""What the calls of a step move and compute, seen as they are made."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import FlopCounterMode
from typing_extensions import override

__all__ = ["Traffic", "counting_operations"]


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
