"""Studies of data without a part that validates."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from lfp_snn.analysis.compare import findings as compared
from lfp_snn.analysis.compare.report import write_comparison
from lfp_snn.analysis.compare.study import ComparisonStudy
from lfp_snn.analysis.convergence import findings as converged
from lfp_snn.analysis.convergence.report import write_convergence
from lfp_snn.analysis.convergence.study import ConvergenceStudy
from lfp_snn.analysis.study.resources import Resources
from lfp_snn.errors import ConfigError
from tests.analysis.study.tiny import BASE, LR, carry_out
from tests.training.test_own_recordings import folder, index_of  # noqa: F401 - a fixture

ONE = Resources(1, 1)


def write(folder: Path, **section: Any) -> Path:  # noqa: F811
    """A config of recordings of which none validates."""
    data = {"name": "recordings", "index": str(index_of(folder)), "steps": 4}
    changes = {"data": data, "batch_size": 4, "calibrate": None}
    path = folder.parent / "config.yaml"
    path.write_text(yaml.safe_dump({**BASE, **changes, **section}))
    return path


@pytest.mark.usefixtures("jobs_here")
def test_learners_with_their_settings_are_compared_by_their_last_weights(
    folder: Path,  # noqa: F811
) -> None:
    study = ComparisonStudy.load(write(folder, compare={"learners": {"lfp": {}}}), [])
    out = folder.parent / "out"
    found, _ = carry_out(study, compared.gather, write_comparison, out, 2, ONE)
    lfp = found.learner("lfp")
    assert [each["best_epoch"] for each in lfp.measured] == [2, 2]
    assert {(each["val_accuracy"], each["epochs_to_90"]) for each in lfp.measured} == {(None, None)}
    assert "weights of the last epoch were tested" in " ".join(found.conclusions())
    assert {path.stem for path in (out / "figures").iterdir()} == {"test", "costs"}
    assert lfp.seconds_to(0.1) == [None, None]
    # Learners that validate are drawn beside those that do not.
    other = [[{**e, "val_accuracy": 0.5} for e in history] for history in lfp.histories]
    both = [lfp, dataclasses.replace(lfp, name="other", histories=other)]
    write_comparison(dataclasses.replace(found, learners=both), out, "tiny")
    assert (out / "figures" / "time.svg").is_file()


@pytest.mark.usefixtures("jobs_here")
def test_rules_converge_without_validation(folder: Path) -> None:  # noqa: F811
    section = {"rules": {"epsilon": {}}, "depths": {"deep": {"model.hidden": [8, 8]}}, "every": 1}
    study = ConvergenceStudy.load(write(folder, convergence=section), [])
    out = folder.parent / "out"
    found, _ = carry_out(study, converged.gather, write_convergence, out, 1, ONE)
    assert found.cases[0].measured[0]["val_accuracy"] is None


@pytest.mark.parametrize(
    "section", [{"learners": {"lfp": {"tune": LR}}}, {"learners": {"lfp": {}}, "target": 0.5}]
)
def test_what_chooses_by_validation_or_tells_it_is_refused(
    section: dict[str, Any],
    folder: Path,  # noqa: F811
) -> None:
    study = ComparisonStudy.load(write(folder, compare=section), [])
    with pytest.raises(ConfigError, match="Nothing validates"):
        carry_out(study, compared.gather, write_comparison, folder.parent / "out", 1, ONE)
    assert not (folder.parent / "out").exists()
