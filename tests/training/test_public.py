"""What the package itself offers of training."""

from __future__ import annotations

import pytest

import lfp_snn
from lfp_snn import training


def test_fit_and_calibrate_are_public() -> None:
    assert lfp_snn.fit is training.fit
    assert lfp_snn.calibrate is training.calibrate
    assert all(hasattr(lfp_snn, name) for name in lfp_snn.__all__)


def test_other_names_are_missing() -> None:
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        lfp_snn.fitt  # noqa: B018
