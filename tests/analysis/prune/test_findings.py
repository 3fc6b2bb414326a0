"""What is said of pruned runs, and written."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from lfp_snn.analysis.prune.criteria import Criterion
from lfp_snn.analysis.prune.curve import (
    Curve,
    PrunedRun,
    PruningOptions,
    learner_name,
    refuse_unlike,
)
from lfp_snn.analysis.prune.findings import PruningFindings
from lfp_snn.analysis.prune.report import curve_tables, summary_rows, write_pruning
from lfp_snn.analysis.study.statistics import holm, paired
from lfp_snn.errors import ConfigError
from lfp_snn.learners.lfp import LFPOptions
from tests.analysis.prune.test_curve import CONFIG

SHARES = (0.0, 0.5, 1.0)
OPTIONS = PruningOptions((Criterion.magnitude, Criterion.random), SHARES)


def run(learner: str, seed: int, whole: float, half: float) -> PrunedRun:
    curves = [
        Curve(Criterion.magnitude, SHARES, (whole, half, 0.1)),
        Curve(Criterion.random, SHARES, (whole, 0.2, 0.1)),
    ]
    return PrunedRun(Path(f"{learner}-{seed}"), learner, seed, 0.5, 0.25, 1000, curves)


LFP = [run("lfp", 0, 0.9, 0.88), run("lfp", 1, 0.92, 0.91), run("lfp", 2, 0.91, 0.89)]
WORSE = [
    run("surrogate", 2, 0.97, 0.52),
    run("surrogate", 0, 0.96, 0.5),
    run("surrogate", 1, 0.98, 0.55),
]
ALIKE = [run("dfa", 0, 0.91, 0.88), run("dfa", 1, 0.91, 0.91), run("dfa", 2, 0.91, 0.88)]


def test_differences_are_paired_by_seed_and_corrected_together() -> None:
    pruned = PruningFindings([*WORSE, *LFP], OPTIONS, 200)
    assert list(pruned.learners) == ["lfp", "surrogate"] and pruned.reference == "lfp"
    kept, prunable = pruned.differences
    assert {kept.criterion, prunable.criterion} == {Criterion.magnitude}
    # By hand: (a / 4 + h / 2 + 0.1 / 4) / a for each.
    ours = [0.25 + (h / 2 + 0.025) / a for a, h in ((0.9, 0.88), (0.92, 0.91), (0.91, 0.89))]
    theirs = [0.25 + (h / 2 + 0.025) / a for a, h in ((0.96, 0.5), (0.98, 0.55), (0.97, 0.52))]
    expected = paired(ours, theirs)
    assert kept.paired.difference == pytest.approx(expected.difference)
    assert kept.paired.p == pytest.approx(expected.p)
    adjusted = holm([kept.paired.p, prunable.paired.p])
    assert [kept.paired.adjusted, prunable.paired.adjusted] == pytest.approx(adjusted)


def test_the_claim_is_judged_by_what_is_shown() -> None:
    claim = "That networks trained with lfp prune better than with"
    said = list(PruningFindings([*LFP, *WORSE], OPTIONS, 200).conclusions())
    assert said[0].startswith("lfp is ahead of surrogate in accuracy kept (of its own")
    assert f"{claim} surrogate is shown here by magnitude (kept)." in said
    said = list(PruningFindings([*LFP, *ALIKE], OPTIONS, 200).conclusions())
    assert f"{claim} dfa is not shown here, and neither is the opposite." in said[:-1]
    swapped = [
        PrunedRun(r.path, {"lfp": "surrogate", "surrogate": "lfp"}[r.learner], *_rest(r))
        for r in [*LFP, *WORSE]
    ]
    said = list(PruningFindings(swapped, OPTIONS, 200).conclusions())
    opposite = "is not shown here; the opposite is, by magnitude (kept)."
    assert f"{claim} surrogate {opposite}" in said


def _rest(run: PrunedRun) -> tuple[int, float, float, int, list[Curve]]:
    return run.seed, run.gini, run.zeros, run.count, list(run.curves)


def test_nothing_is_said_of_a_single_seed() -> None:
    said = list(PruningFindings([LFP[0], *WORSE], OPTIONS, 200).conclusions())
    assert said[0].startswith("Nothing can be said of lfp and surrogate")


def test_accuracies_have_a_column_for_each_share() -> None:
    first, second = curve_tables(PruningFindings([LFP[0]], OPTIONS, 200), 2)
    assert first[0] == ["learner", "pruned by", "0 %", "50 %"]
    assert first[1][0] == ["lfp", "magnitude", "90.0", "88.0"]
    assert second[1][0] == ["lfp", "magnitude", "10.0"]


def test_the_report_has_every_number(tmp_path: Path) -> None:
    pruned = PruningFindings([*LFP, *WORSE], OPTIONS, 200)
    page = write_pruning(pruned, tmp_path, "<tiny>", "made & up").read_text()
    assert "&lt;tiny&gt;" in page and "made &amp; up" in page
    for row in summary_rows(pruned):
        assert all(cell in page for cell in row)
    lines = list(csv.DictReader(io.StringIO((tmp_path / "curves.csv").read_text())))
    assert len(lines) == 6 * 2 * 3
    assert lines[1] == {
        "run": "lfp-0",
        "learner": "lfp",
        "seed": "0",
        "criterion": "magnitude",
        "scope": "global",
        "share": "0.5",
        "test_accuracy": "0.88",
    }
    found = json.loads((tmp_path / "results.json").read_text())
    assert found["runs"][0]["curves"]["magnitude"]["accuracies"] == [0.9, 0.88, 0.1]
    assert found["conclusions"] == list(pruned.conclusions())
    assert (tmp_path / "figures" / "curves.svg").stat().st_size > 0


def test_runs_that_differ_are_not_put_side_by_side() -> None:
    one, two = Path("one"), Path("two")
    other = CONFIG.model_copy(update={"seed": 4})
    refuse_unlike({one: CONFIG, two: other})
    with pytest.raises(ConfigError, match="two and one are both of lfp, rescale with seed 3"):
        refuse_unlike({one: CONFIG, two: CONFIG})
    ruled = [
        CONFIG.model_copy(update={"learner": LFPOptions.model_validate({"rule": rule})})
        for rule in ({"name": "rescale"}, {"name": "epsilon", "eps": 0.1})
    ]
    refuse_unlike({one: ruled[0], two: ruled[1]})
    assert learner_name(ruled[0].learner) == "lfp, rescale"
    assert learner_name(ruled[1].learner) == "lfp, epsilon eps=0.1"
    wide = other.model_copy(update={"model": other.model.model_copy(update={"hidden": [99]})})
    with pytest.raises(ConfigError, match="two has another section model than one"):
        refuse_unlike({one: CONFIG, two: wide})
