"""What is said of results, and drawn."""

from __future__ import annotations

import csv
import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lfp_snn.analysis.compare.figures import accuracy_over_time
from lfp_snn.analysis.compare.findings import ComparisonFindings, LearnerResult, _differences
from lfp_snn.analysis.compare.report import (
    SEARCHED,
    difference_rows,
    settings_rows,
    summary_rows,
    target_rows,
    write_comparison,
)


def cell(name: str, seed: int, test: float, **more: Any) -> dict[str, Any]:
    return {
        "learner": name,
        "seed": seed,
        "test_accuracy": test,
        "val_accuracy": test,
        "train_s": 10.0,
        "step_s": 0.01,
        "peak_bytes": 2**20,
        "epochs_to_90": 2,
        "spikes": 100.0,
        "synaptic_operations": 1000.0,
        "dense_operations": 20000.0,
        "weights": {"gini": 0.5, "zeros": 0.0},
        "updates": {"gini": 0.9, "zeros": 0.25},
        "initial_weights": f"start-{seed}",
        "samples": {"train": 10, "val": 5, "test": 200},
        **more,
    }


def learner(name: str, accuracies: dict[int, float], **more: Any) -> LearnerResult:
    history = [
        {"epoch": 1, "val_accuracy": 0.4, "epoch_s": 1.5},
        {"epoch": 2, "val_accuracy": 0.9, "epoch_s": 1.5},
    ]
    cells = [cell(name, seed, test) for seed, test in accuracies.items()]
    fields: dict[str, Any] = {
        "settings": {
            "epochs": 12,
            "optimizer": {"lr": 0.003},
            "learner": {"loss": "ce_count_loss"},
        },
        "values": {},
        "tuned": None,
        "trials": 0,
        "trial_epochs": 6,
        "failed": {},
        **more,
    }
    return LearnerResult(name, measured=cells, histories=[history] * len(cells), **fields)


def results(*learners: LearnerResult) -> ComparisonFindings:
    return ComparisonFindings(
        learners,
        _differences(learners, "lfp"),
        "lfp",
        0.85,
        [0, 1, 2, 3, 4],
        {"cores": 2},
        {"source": "made up"},
        "lfp-snn compare made_up --seeds 5",
    )


ALIKE = learner("lfp", {0: 0.90, 1: 0.93, 2: 0.91, 3: 0.94, 4: 0.92})
OTHER = learner("surrogate", {0: 0.92, 1: 0.90, 2: 0.93, 3: 0.93, 4: 0.91})
TUNED = dataclasses.replace(OTHER, trials=8, values={"optimizer.lr": 0.003})
CHANCE = learner("step_gradient", {0: 0.1, 1: 0.11, 2: 0.09, 3: 0.1, 4: 0.1})


def test_conclusions_say_what_is_shown_and_what_is_not() -> None:
    said = list(results(ALIKE, TUNED, CHANCE).conclusions())
    assert said[0].startswith("No difference in test accuracy between lfp and surrogate is shown")
    assert "does not make them equal" in said[0]
    assert said[1].startswith("lfp is ahead of step_gradient in test accuracy by 82.0 points")
    assert "200 test samples" in said[2] and "standard error" in said[2]
    behind = results(
        learner("lfp", {0: 0.1, 1: 0.12, 2: 0.11}), learner("bptt", {0: 0.9, 1: 0.91, 2: 0.92})
    )
    said = list(behind.conclusions())[1:]
    assert said[0].startswith("bptt is ahead of lfp in test accuracy by 80")
    assert "95 % interval +7" in said[0] or "95 % interval +8" in said[0]


def test_pairs_are_of_the_seeds_that_both_have() -> None:
    partly = learner("bptt", {1: 0.5, 4: 0.6})
    difference = results(ALIKE, partly).differences["bptt"]
    assert difference.seeds == 2
    assert difference.difference == pytest.approx((0.43 + 0.32) / 2)
    lonely = results(ALIKE, learner("bptt", {3: 0.5}))
    assert lonely.differences == {}
    assert any("fewer than two finished seeds" in each for each in lonely.conclusions())


def test_p_values_are_corrected_for_their_number() -> None:
    alone = results(ALIKE, OTHER).differences["surrogate"]
    together = results(ALIKE, OTHER, CHANCE).differences
    assert alone.adjusted == alone.p
    assert together["step_gradient"].adjusted == pytest.approx(2 * together["step_gradient"].p)


def test_other_starts_are_told() -> None:
    moved = learner("bptt", {0: 0.5, 1: 0.6})
    moved.measured[0]["initial_weights"] = "elsewhere"  # type: ignore[index]
    assert not results(ALIKE, moved).same_start()
    assert any("NOT start from the same" in each for each in results(ALIKE, moved).conclusions())
    assert results(ALIKE, OTHER).same_start()


def test_tables() -> None:
    nothing = learner("bptt", {}, failed={"seed 0": "out of memory"})
    table = dict(summary_rows(results(ALIKE, nothing)))
    assert table["lfp"][0].startswith("92.0% (")
    assert table["lfp"][5] == "2" and table["lfp"][7] == "1,000 (5.0%)"
    assert set(table["bptt"]) == {"\u2013"}
    assert difference_rows(results(ALIKE, OTHER))[0][0] == "lfp \u2212 surrogate"
    times = dict(target_rows(results(ALIKE)))
    assert times["lfp"].startswith("mean 3.0 s; each seed: 3.0 s, 3.0 s")


def test_settings_say_what_was_searched_and_what_was_set() -> None:
    bare = learner("rstdp", {}, settings={"epochs": 1, "optimizer": {"lr": 0.01}})
    rule = {"name": "epsilon", "eps": 0.1}
    rewarded = {"learner": {"reward": {"name": "softmax_rate"}, "loss": "unused", "rule": rule}}
    named = learner("lfp", {}, settings=rewarded, trials=1, trial_epochs=1)
    assert settings_rows(results(TUNED, bare, named)) == [
        ["surrogate", "\u2013", "12", "0.003 *", "ce_count_loss", "8 of 6 epochs"],
        ["rstdp", "\u2013", "1", "0.01", "\u2013", "none"],
        ["lfp", "epsilon 0.1", "\u2013", "\u2013", "softmax_rate", "1 of 1 epoch"],
    ]


def test_what_was_not_reached_is_named() -> None:
    early = [[{"epoch": 1, "val_accuracy": 0.4, "epoch_s": 1.5}]] * 5
    late = dataclasses.replace(ALIKE, histories=early)
    assert dict(target_rows(results(late)))["lfp"].startswith("each seed: not reached, not reached")


def test_limits_go_by_what_was_searched_and_how_often() -> None:
    def limits(*learners: LearnerResult) -> str:
        return " ".join(results(*learners).conclusions())

    assert limits(ALIKE, OTHER).startswith("Nothing was searched: every learner has the settings")
    searched = [dataclasses.replace(each, trials=8) for each in (ALIKE, OTHER)]
    assert "on validation data, not the same computing time" in limits(*searched)
    aside = "validation data, step_gradient with nothing to search aside, not the same computing"
    assert aside in limits(*searched, CHANCE)
    one = dataclasses.replace(results(learner("lfp", {0: 0.9})), seeds=[0])
    assert "One seed has no interval" in " ".join(one.conclusions())
    assert dict(summary_rows(one))["lfp"][0] == "90.0%"


def test_intervals_that_are_cut_off_are_told() -> None:
    wide = learner("lfp", {0: 1.0, 1: 0.9})
    said = "Intervals that reach beyond 0 or 100 % are shown up to there."
    assert said in list(results(wide).conclusions())
    assert said not in list(results(ALIKE).conclusions())


@pytest.mark.usefixtures("every_kind_of_figure")
def test_the_report_holds_everything_and_needs_nothing(tmp_path: Path) -> None:
    broken = learner("dfa", {}, failed={"seed 2": "killed by <SIGKILL>"})
    found = {"optimizer.lr": 0.01}
    tuned = learner("ottt", {0: 0.8, 1: 0.82}, tuned=0.85, trials=8, values=found)
    tuned = dataclasses.replace(tuned, settings={"optimizer": {"lr": 0.01}})
    page = write_comparison(results(ALIKE, OTHER, CHANCE, broken, tuned), tmp_path, "a & b")
    html = page.read_text()
    assert "a &amp; b" in html and "killed by &lt;SIGKILL&gt;" in html
    assert "optimizer.lr" in html and "Holm" in html
    assert "lfp-snn compare made_up --seeds 5" in html and "0.01 *" in html and SEARCHED in html
    assert html.count("<svg") == 4
    assert "http://" not in html.replace("http://www.w3.org", "") and "<script" not in html
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert names == {
        f"{n}.{e}" for n in ("test", "epochs", "time", "costs") for e in ("pdf", "png", "svg")
    }
    lines = list(csv.DictReader(io.StringIO((tmp_path / "cells.csv").read_text())))
    assert len(lines) == 17 and lines[0]["weights.gini"] == "0.5"


@pytest.mark.parametrize("slow", [1.0, 1000.0])
def test_seeds_of_very_different_speed_can_be_drawn(slow: float, tmp_path: Path) -> None:
    """The first epoch of one seed may end after the last of another."""
    uneven = learner("lfp", {0: 0.9, 1: 0.8})
    late = [{**epoch, "epoch_s": slow * epoch["epoch_s"]} for epoch in uneven.histories[1]]
    mixed = dataclasses.replace(uneven, histories=[uneven.histories[0], late])
    single = dataclasses.replace(
        learner("bptt", {0: 0.9, 1: 0.8}), histories=[uneven.histories[0][:1]] * 2
    )
    figure = accuracy_over_time(results(mixed, single))
    figure.savefig(tmp_path / "time.png")
    lines = {str(line.get_label()): line for line in figure.axes[0].get_lines()}
    x, y = (np.asarray(data) for data in lines["lfp"].get_data())
    assert x[0] == pytest.approx(1.5 * slow) and x[-1] == pytest.approx(3.0 * slow)
    assert y[-1] == pytest.approx(0.9) and np.isfinite(y).all()


def test_a_report_of_nothing_can_be_written(tmp_path: Path) -> None:
    nothing = [learner(n, {}, failed={"search": "no"}) for n in ("lfp", "surrogate")]
    assert (
        "Not everything finished" in write_comparison(results(*nothing), tmp_path, "x").read_text()
    )


def test_the_summary_has_one_number_in_each_column() -> None:
    nothing = learner("dfa", {})
    rows = list(csv.DictReader(io.StringIO(results(ALIKE, nothing).summary_csv())))
    known, unknown = rows
    assert float(known["test_accuracy"]) == pytest.approx(0.92)
    low, high = float(known["test_accuracy_low"]), float(known["test_accuracy_high"])
    assert low < 0.92 < high
    assert float(known["peak_bytes"]) == 2**20 and float(known["updates.zeros"]) == 0.25
    assert {unknown[title] for title in unknown if title not in ("learner", "seeds")} == {""}
