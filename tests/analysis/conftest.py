"""Made-up run directories, as a finished run leaves them, and a browser for pages."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.analysis.study.here import jobs_here

__all__ = ["jobs_here"]

CLASSES = tuple("0123456789")
STEPS = 25
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
LAYERS = {"input": (2312, 0.03), "1": (256, 0.06), "3": (10, 0.15)}

Run = Callable[..., Path]


def history(epochs: int) -> list[dict[str, Any]]:
    """One metrics line an epoch of a run that learns."""
    return [
        {
            "epoch": epoch,
            "step": 40 * epoch,
            "lr": 0.003 / epoch,
            "train_accuracy": 1 - 0.6 / epoch,
            "train_ties": 0.01,
            "val_accuracy": 0.985 - 0.5 / epoch - 0.01 * (epoch == epochs),
            "val_ties": 0.0,
            "reward": 0.4 / epoch,
            "feedback_norm": 2.5,
            "clipped": 0.25,
            "firing": {"1": 0.05 + 0.01 / epoch, "3": 0.1 + 0.02 * epoch / epochs},
            "epoch_s": 1.25,
            "wall_s": 1.25 * epoch,
        }
        for epoch in range(1, epochs + 1)
    ]


def result(epochs: int) -> dict[str, Any]:
    """What a finished run came to."""
    rng = np.random.default_rng(1)
    confusion = np.diag(rng.integers(30, 37, len(CLASSES)))
    for true, read in rng.integers(0, len(CLASSES), (9, 2)):
        confusion[true, read] += 1
    return {
        "test_accuracy": 0.97654,
        "val_accuracy": 0.98123,
        "best_epoch": epochs - 1,
        "seed": 7,
        "wall_s": 31.5,
        "train_s": 25.25,
        "test_ties": 0.005,
        "samples": {"train": 1257, "val": 180, "test": 360},
        "firing": {"1": 0.05, "3": 0.12},
        "confusion": confusion.tolist(),
        "classes": list(CLASSES),
        "warnings": [],
        "baseline": {"name": "logistic regression", "test_accuracy": 0.92345},
    }


def sample() -> dict[str, Any]:
    """Arrays of sample.npz: spikes drawn at the rates of LAYERS."""
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {"label": 3, "prediction": 3, "layers": np.array(list(LAYERS))}
    for name, (units, rate) in LAYERS.items():
        arrays[f"spikes/{name}"] = rng.random((STEPS, units)) < rate
    arrays["spikes/3"][:, 3] |= rng.random(STEPS) < 0.6
    return arrays


def write_run(folder: Path, epochs: int = 12, finished: bool = True, **changes: Any) -> Path:
    """Write a run of so many epochs; ``changes`` update its result."""
    run = folder / "digits"
    run.mkdir()
    config = {
        "seed": 7,
        "data": {"name": "digits", "steps": STEPS},
        "model": {"name": "mlp", "hidden": [256]},
        "optimizer": {"name": "adam", "lr": 0.003},
    }
    (run / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    about = {
        "versions": {"lfp_snn": "0.1.0", "torch": "2.13.0", "python": "3.11.7"},
        "command": "lfp-snn train configs/digits.yaml",
        "device": "cpu",
        "seed": 7,
        "network": "Sequential(\n  (0): Flatten()\n)",
        "data": {
            "source": "handwritten digits seen by a simulated event camera",
            "sizes": {"train": 1257, "val": 180, "test": 360},
        },
        "calibration": {"0": 2.125, "2": 3.5},
    }
    (run / "run.json").write_text(json.dumps(about))
    lines = [json.dumps(line) + "\n" for line in history(epochs)]
    (run / "metrics.jsonl").write_text("".join(lines))
    np.savez(run / "sample.npz", **sample())
    if finished:
        (run / "result.json").write_text(json.dumps({**result(epochs), **changes}))
    return run


@pytest.fixture
def make_run(tmp_path: Path) -> Run:
    """:func:`write_run` into a fresh folder."""
    return partial(write_run, tmp_path)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium; skips where it is absent."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is on the path")
    with sync_api.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()
