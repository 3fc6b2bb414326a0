"""What a sweep is asked."""

from __future__ import annotations

import pytest

from lfp_snn.analysis.sweep.study import SweepStudy
from lfp_snn.cli.shipped import shipped_configs
from lfp_snn.errors import ConfigError


def test_a_config_without_the_section_is_refused() -> None:
    with pytest.raises(ConfigError, match="no section sweep"):
        SweepStudy.load(shipped_configs()["digits"], [])


def test_the_shipped_sweep_is_valid_at_every_corner() -> None:
    arm = SweepStudy.load(shipped_configs()["sweep_digits"], []).arm
    assert len(arm.tune) >= 3 and arm.trials >= 10
