"""Facts about the machine that a measurement ran on."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

__all__ = ["machine", "mean_load"]

#: Packages whose versions bear on a measurement, peers that may be installed among them.
PACKAGES = ("torch", "triton", "numpy", "numba", "snntorch", "spikingjelly", "lfprop")


def machine() -> dict[str, Any]:
    """The processor, system, threads and versions of this machine."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version for name in PACKAGES if (version := _version(name))},
        "load": mean_load(),
    }


def mean_load() -> float:
    """The number of processes that want to run, mean over the last minute; 0 if unknown."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    """The name of the processor: on Linux the kernel knows it, elsewhere Python may."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
