from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.steps.claims import (
    Claim,
    claims_on_peaks,
    claims_on_series,
    claims_on_steps,
)
from benchmarks.steps.contenders import OURS, OursOnTorch
from benchmarks.steps.figures import growth
from benchmarks.steps.memory import Peaks
from benchmarks.steps.peers import SnnTorch, SpikingJelly
from benchmarks.steps.problem import NETWORKS
from benchmarks.steps.suite import Results
from benchmarks.steps.sweeps import SWEEPS, Series, slope
from benchmarks.steps.timing import Measured, StepTimes


def comparison(**seconds: float) -> StepTimes:
    names = {"ours": OURS, "torch": OursOnTorch.name, "snn": SnnTorch.name, "sj": SpikingJelly.name}
    measured = {names[key]: Measured((0.9 * s, s, 1.2 * s), (0.05,)) for key, s in seconds.items()}
    return StepTimes({"batch": 4, "steps": 25}, measured, {}, 3, 1, (0.1, 0.2))


def series(name: str, network: str, points: dict[float, StepTimes]) -> Series:
    return Series(SWEEPS[name], network, tuple(points.items()))


@settings(max_examples=20)
@given(st.floats(-2, 3), st.floats(1e-3, 1e3))
def test_slope_is_the_exponent_of_a_power_law(k: float, factor: float) -> None:
    x = [1.0, 2.5, 10.0, 400.0]
    assert slope(x, [factor * value**k for value in x]) == pytest.approx(k, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "network", "value", "expected"),
    [
        ("activity", "mlp", 0.1, {"batch": 100, "steps": 25}),
        ("steps", "csnn", 10, {"batch": 10, "steps": 10}),
        ("width", "mlp", 250, {"batch": 100, "hidden": [250]}),
        ("batch", "mlp", 5, {"batch": 5, "steps": 25}),
    ],
)
def test_a_sweep_varies_its_quantity(
    name: str, network: str, value: float, expected: dict[str, object]
) -> None:
    facts = SWEEPS[name].problem(NETWORKS[network], value).facts()
    assert {key: facts[key] for key in expected} == expected
    if name == "activity":
        assert facts["input_activity"] == pytest.approx(value, rel=0.05)


def test_a_claim_says_whether_it_holds() -> None:
    assert str(Claim("ratio", 5.2, 5, least=True)).startswith("pass")
    assert str(Claim("ratio", 4.9, 5, least=True)).startswith("FAIL")
    assert str(Claim("seconds", 8.1, 8, least=False)) == "FAIL  seconds: 8.1, at most 8"


def test_claims_on_steps_cover_the_peers_that_were_measured() -> None:
    claims = [*claims_on_steps({"csnn": comparison(ours=0.1, snn=0.6, sj=0.5)})]
    assert [claim.figure for claim in claims] == pytest.approx([6, 5])
    assert [claim.holds for claim in claims] == [True, False]
    assert not [*claims_on_steps({"csnn": comparison(ours=0.1)})]


def test_claims_on_growth() -> None:
    activity = series(
        "activity",
        "csnn",
        {0.01: comparison(ours=0.1, torch=0.5), 0.2: comparison(ours=0.6, torch=0.5)},
    )
    steps = series("steps", "csnn", {10: comparison(ours=0.1), 100: comparison(ours=1.0)})
    share, worst, exponent = claims_on_series([activity, steps])
    assert share.figure == pytest.approx(1 / 6) and share.holds
    assert worst.figure == pytest.approx(1.2) and not worst.holds and "20.0%" in worst.text
    assert exponent.figure == pytest.approx(1) and exponent.holds


def test_claim_on_memory() -> None:
    (claim,) = claims_on_peaks(Peaks({}, {OURS: 10, SnnTorch.name: 49}, {}))
    assert claim.figure == pytest.approx(4.9) and not claim.holds


@pytest.mark.usefixtures("every_kind_of_figure")
def test_results_are_written_with_a_figure_for_each_sweep(tmp_path: Path) -> None:
    results = Results()
    results.steps["csnn"] = comparison(ours=0.1, snn=0.6)
    points = {10.0: comparison(ours=0.1, snn=0.3), 100.0: comparison(ours=1.0, snn=4.0)}
    results.series = [series("steps", network, points) for network in ("mlp", "csnn")]
    results.write(tmp_path)
    record = json.loads((tmp_path / "bench.json").read_text())
    assert record["steps"]["csnn"]["seconds"][OURS]["median"] == 0.1
    assert record["sweeps"][1]["slopes"][OURS] == pytest.approx(1)
    assert [claim["holds"] for claim in record["claims"]] == [True, True, True]
    names = {"bench.json", "bench-steps.pdf", "bench-steps.png", "bench-steps.svg"}
    assert {path.name for path in tmp_path.iterdir()} == names


def test_the_figure_names_slopes_and_uses_logarithmic_axes() -> None:
    points = {10.0: comparison(ours=0.1, snn=0.3), 100.0: comparison(ours=1.0, snn=6.0)}
    figure = growth([series("steps", "mlp", points)])
    (axes,) = figure.axes
    assert axes.get_xscale() == axes.get_yscale() == "log"
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        f"{OURS}: slope 1.00",
        f"{SnnTorch.name}: slope 1.30",
    ]
