"""Datasets by name, and their options."""

from pathlib import Path
from typing import Any

import pytest

from lfp_snn import data
from lfp_snn.data.registry import parse_options
from lfp_snn.errors import ConfigError


def test_unknown_names_give_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no dataset 'nminst'; did you mean 'nmnist'"):
        data.load("nminst")
    with pytest.raises(ConfigError, match="'nmnist' has no option 'step'; did you mean 'steps'"):
        data.load("nmnist", step=5)


@pytest.mark.parametrize(
    ("name", "options", "key"),
    [
        ("nmnist", {"steps": 0}, "^steps: "),
        ("digits", {"steps": -1}, "^steps: "),
        ("mnist", {"encoding": "morse"}, "^encoding: "),
        ("digits", {"threshold": 0}, "^threshold: "),
        ("nmnist", {"validation": 1.0}, "^validation: "),
    ],
)
def test_values_out_of_range_name_the_key(name: str, options: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        parse_options(name, options)


def test_a_still_image_is_no_recording(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'mnist' has no recordings"):
        data.load_file("mnist", tmp_path / "a.bin")


@pytest.mark.parametrize("name", data.DATASETS)
def test_every_option_is_described(name: str) -> None:
    fields = data.DATASETS[name].options.model_fields
    assert [key for key, field in fields.items() if not field.description] == []
