"""Marks of tests that ask for something of the machine."""

from __future__ import annotations

import pytest
import torch

from lfp_snn.backends.support import unavailable

__all__ = ["needs_triton"]

_missing = unavailable("triton", torch.device("cpu"))

#: Of a test that runs kernels of Triton in its interpreter.
needs_triton = pytest.mark.skipif(
    _missing is not None, reason=f"Triton cannot be interpreted: {_missing}"
)
