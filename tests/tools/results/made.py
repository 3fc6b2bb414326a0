"""Folders as commands leave them, and records, with few and round figures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from tools.results.records import ArmRecord, ComparisonRecord, MachineRecord

PARTS = {"train": 700, "val": 100, "test": 200}
RULES: Mapping[str, Mapping[str, Any]] = {
    "lfp": {"name": "lfp", "rule": {"name": "epsilon", "eps": 0.1}},
    "rescale": {"name": "lfp", "rule": {"name": "rescale"}},
    "surrogate": {"name": "surrogate"},
    "rstdp": {"name": "rstdp"},
}
MACHINE = MachineRecord(
    processor="Some processor", cores=2, threads=1, processes=1, torch="2.13.0", load=(0.2, 0.4)
)


def arm(name: str, *test: float, **changes: Any) -> ArmRecord:
    """A learner with a test accuracy for each seed."""
    values: dict[str, Any] = {
        "learner": RULES[name],
        "chosen": {"optimizer.lr": 0.00354},
        "tuned": 0.9,
        "seeds": list(range(len(test))),
        "test": list(test),
        "validation": list(test),
        "training_s": [10.0] * len(test),
        "failed": {},
    }
    return ArmRecord(**{**values, **changes})


def comparison(
    reference: str = "lfp", target: float | None = None, **arms: ArmRecord
) -> ComparisonRecord:
    """The record of a comparison."""
    return ComparisonRecord(
        command="lfp-snn compare made data.root=N-MNIST",
        date=date(2026, 1, 2),
        machine=MACHINE,
        parts=PARTS,
        trials=8,
        trial_epochs=4,
        epochs=12,
        reference=reference,
        target=target,
        learners=arms,
    )


def comparison_folder(folder: Path, accuracies: Mapping[str, list[float]]) -> Path:
    """The folder of a finished comparison."""
    learners = {}
    plan: dict[str, Any] = {"reference": "lfp"}
    for name, test in accuracies.items():
        cells = [
            {"seed": seed, "test_accuracy": each, "val_accuracy": each, "train_s": 1.23456}
            for seed, each in enumerate(test)
        ]
        learners[name] = {
            "values": {"optimizer.lr": 0.003},
            "tuned_val_accuracy": 0.8,
            "trials": 8,
            "seconds_to_target": [0.61728, *([None] * (len(test) - 1))],
            "cells": cells,
            "failed": {},
        }
        plan[f"learner {name}"] = {"search": {"epochs": 4}, "base": {"learner": RULES[name]}}
        for seed in range(len(test)):
            run = folder / "cells" / name / f"seed-{seed}" / "run"
            run.mkdir(parents=True)
            info = {"started": f"2026-01-0{seed + 1}T10:00:00+00:00", "settings": {"epochs": 12}}
            (run / "run.json").write_text(json.dumps(info))
    found = {
        "reference": "lfp",
        "target": 0.85,
        "machine": {"cores": 2, "threads of each": 1, "processes at a time": 1, "torch": "2.13.0"},
        "data": {"sizes": PARTS},
        "learners": learners,
    }
    (folder / "results.json").write_text(json.dumps(found))
    (folder / "plan.json").write_text(json.dumps(plan))
    return folder


def run_folder(folder: Path, seed: int, accuracy: float, **settings: Any) -> Path:
    """The directory of a finished run."""
    folder.mkdir(parents=True)
    info = {
        "started": "2026-01-02T10:00:00+00:00",
        "settings": {"epochs": 12, "seed": seed, **settings},
        "threads": 1,
        "versions": {"torch": "2.13.0"},
    }
    result = {
        "seed": seed,
        "test_accuracy": accuracy,
        "val_accuracy": accuracy,
        "train_s": 3.0,
        "samples": PARTS,
    }
    (folder / "run.json").write_text(json.dumps(info))
    (folder / "result.json").write_text(json.dumps(result))
    return folder


def kept_table(*rows: list[Any]) -> dict[str, Any]:
    """What ``python -m benchmarks --json`` writes of a table with two columns."""
    shown = {"digits": 1, "sign": False}
    return {
        "date": "2026-01-02",
        "machine": {
            "processor": "Some processor",
            "cores": 2,
            "threads": 1,
            "versions": {"torch": "2.13.0"},
        },
        "load": [0.1, 1.3],
        "columns": [
            {"title": "way", "show": "range", **shown},
            {"title": "ahead", "show": "bounds", **shown},
        ],
        "rows": list(rows),
    }
