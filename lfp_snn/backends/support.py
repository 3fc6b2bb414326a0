"""The backends that can run on this machine, and why the others cannot."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Literal

from lfp_snn.later import torch

__all__ = ["BACKENDS", "HALF_PRECISIONS", "PRECISIONS", "Precision", "interpreted", "unavailable"]

#: Every backend, by the name that users give it.
BACKENDS = ("events", "torch", "triton")
#: The precision in which products are computed (:mod:`lfp_snn.backends.precision`).
Precision = Literal["exact", "tf32", "bf16", "fp16"]
PRECISIONS: tuple[Precision, ...] = ("exact", "tf32", "bf16", "fp16")
#: Those whose products are of half precision.
HALF_PRECISIONS: tuple[Precision, ...] = ("bf16", "fp16")


def interpreted() -> bool:
    """Whether Triton's interpreter stands in for a device (``TRITON_INTERPRET=1``)."""
    return os.environ.get("TRITON_INTERPRET", "0").lower() in ("1", "true", "yes", "on", "y")


def unavailable(backend: str, device: torch.device, dtype: torch.dtype | None = None) -> str | None:
    """The reason why a backend cannot run on a device; None if it can.

    Args:
        backend: the name of the backend, one of :data:`BACKENDS`.
        device: the device of the network.
        dtype: the floating type in which the network computes; None for float32.
    """
    if backend == "events" and device.type != "cpu":
        return f"it runs on the CPU, and the network lies on {device}"
    if backend == "events" and dtype not in (None, torch.float32, torch.float64):
        kind = str(dtype).removeprefix("torch.")
        return f"it computes in float32 or float64, and the network is in {kind}"
    if backend == "triton":
        if find_spec("triton") is None:
            return "Triton is not installed (pip install 'lfp_snn[triton]', on Linux)"
        if device.type != "cuda" and not (device.type == "cpu" and interpreted()):
            return (
                f"it runs on CUDA devices, and the network lies on {device} (on the CPU only "
                "interpreted, for tests, with TRITON_INTERPRET=1)"
            )
    if device.type == "cuda" and not torch.cuda.is_available():
        return "there is no CUDA device, or this build of torch does not know it"
    return None
