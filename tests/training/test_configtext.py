from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from lfp_snn.analysis.compare.spec import ComparisonConfig
from lfp_snn.analysis.convergence.spec import ConvergenceConfig
from lfp_snn.analysis.sweep.spec import SweepConfig
from lfp_snn.data import DATASETS
from lfp_snn.learners import LEARNERS
from lfp_snn.learners.reward_options import reward_sections
from lfp_snn.learners.rule_options import rule_sections
from lfp_snn.models import MODELS
from lfp_snn.options import Choice, Section, choice_of
from lfp_snn.training.config import Config
from lfp_snn.training.configfile import make_config, parse_yaml, read_mapping
from lfp_snn.training.configtext import commented, field_descriptions
from lfp_snn.training.optim import OPTIMIZERS, SCHEDULES

REPOSITORY = Path(__file__).parent.parent.parent
SHIPPED = sorted((REPOSITORY / "configs").glob("*.yaml"))
KINDS: dict[str, type[Config]] = {
    "compare": ComparisonConfig,
    "sweep": SweepConfig,
    "convergence": ConvergenceConfig,
}


def opened(path: Path) -> tuple[dict[str, Any], Config]:
    """A config as written, and as it is resolved."""
    written = read_mapping(path)
    kind = next((KINDS[key] for key in written if key in KINDS), Config)
    return written, make_config(kind, written, str(path))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_full_form_of_a_shipped_config_is_the_same_config(path: Path) -> None:
    _, config = opened(path)
    text = commented(config, ["What it is."])
    assert text.startswith("# What it is.\n\nname: ")
    assert make_config(type(config), parse_yaml(text, "full")) == config
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_full_form_has_every_field_and_a_comment_on_it(path: Path) -> None:
    _, config = opened(path)
    text = commented(config)
    read = parse_yaml(text, "full")
    assert read.keys() == set(type(config).model_fields)
    for name in type(config).model_fields:
        (line,) = (line for line in text.splitlines() if line.startswith(f"{name}:"))
        assert "# " in line


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_config_holds_only_what_differs_from_the_defaults(path: Path) -> None:
    written, config = opened(path)
    assert list(same_as_default(written, config)) == []
    assert path.read_text().startswith("# ")


def same_as_default(written: dict[str, Any], section: BaseModel, at: str = "") -> Iterator[str]:
    """Dotted keys that are written although their value is the default."""
    for key, value in written.items():
        if isinstance(section, Choice) and key == "name":
            continue
        field, actual = type(section).model_fields[key], getattr(section, key)
        if isinstance(actual, Section) and isinstance(value, dict):
            yield from same_as_default(value, actual, f"{at}{key}.")
        elif not field.is_required() and field.get_default(call_default_factory=True) == actual:
            yield f"{at}{key}"


def every_section() -> Iterator[type[Section]]:
    yield Config
    yield from KINDS.values()
    yield from (choice_of(name, dataset.options) for name, dataset in DATASETS.items())
    yield from (learner.Options for learner in LEARNERS.values())
    yield from MODELS.values()
    yield from rule_sections().values()
    yield from reward_sections().values()
    yield from OPTIMIZERS.values()
    yield from SCHEDULES.values()


def test_every_field_of_every_section_is_described_in_plain_words() -> None:
    missing, marked = [], []
    for section in every_section():
        described = field_descriptions(section)
        for field in section.model_fields:
            if field == "name" and issubclass(section, Choice):
                continue
            text = described.get(field, "")
            if not text:
                missing.append(f"{section.__name__}.{field}")
            if any(mark in text for mark in ("``", ":`", "\\", "None", "\n")):
                marked.append(f"{section.__name__}.{field}: {text}")
    assert missing == []
    assert marked == []
