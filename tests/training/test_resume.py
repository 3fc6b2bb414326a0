"""A run goes on with its own settings and data, and with nothing else."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from lfp_snn.data import SampleSet, SpikeSet, Splits
from lfp_snn.errors import ConfigError, RunError
from lfp_snn.training import Interrupted, fit
from lfp_snn.training.checkpoint import load_checkpoint, save_checkpoint
from lfp_snn.training.observer import StepReport
from lfp_snn.training.resume import MAY_CHANGE
from tests.training.conftest import make_splits
from tests.training.test_loop import Listener, Stop, new_net, same, weights


@pytest.fixture
def stopped(splits: Splits, settings: dict[str, Any], tmp_path: Path) -> Path:
    """A run that was stopped in its second epoch."""
    stop = Stop(9, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Interrupted):
        fit(new_net(), splits, out=tmp_path / "run", observers=[stop], **settings)
    return tmp_path / "run"


def changed(samples: SampleSet, **store: Any) -> SpikeSet:
    """The same set over a store with other labels or ids."""
    assert isinstance(samples, SpikeSet)
    return SpikeSet(
        samples.trains,
        store.get("labels", samples._all_labels),
        store.get("ids", samples._all_ids),
        classes=samples.classes,
        feature_shape=samples.feature_shape,
        steps=samples.steps,
        rows=samples._rows,
    )


def redrawn(splits: Splits) -> Splits:
    """Two recordings have changed places between training and test part."""
    train, test = splits.train._rows.copy(), splits.test._rows.copy()
    train[0], test[0] = test[0], train[0]
    return replace(splits, train=splits.train._select(train), test=splits.test._select(test))


def swapped_classes(splits: Splits) -> Splits:
    """Two recordings of different classes have each other's label."""
    labels = splits.train._all_labels.copy()
    i, k = splits.train._rows[:2]
    assert labels[i] != labels[k]
    labels[[i, k]] = labels[[k, i]]
    return replace(splits, train=changed(splits.train, labels=labels))


def renamed(splits: Splits) -> Splits:
    ids = list(splits.val._all_ids)
    ids[int(splits.val._rows[3])] = "another recording"
    return replace(splits, val=changed(splits.val, ids=ids))


def larger(_: Splits) -> Splits:
    return make_splits((42, 15, 16))


def strip_notes(run: Path) -> None:
    """What the version before wrote: the same files, without the two notes in run.json."""
    info = json.loads((run / "run.json").read_text())
    del info["settings"], info["data"]["identity"]
    (run / "run.json").write_text(json.dumps(info))


class Died(Exception):
    """A process that ends without a word, before anything more is saved."""


class Dies(Listener):
    def stepped(self, report: StepReport) -> None:
        raise Died


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (redrawn, "the ids of its train part"),
        (swapped_classes, "the labels of its train part"),
        (renamed, "the ids of its val part"),
        (larger, "the samples of its test part were 15 and are 16 now"),
    ],
)
def test_other_data_are_refused_by_name(
    splits: Splits,
    settings: dict[str, Any],
    stopped: Path,
    change: Callable[[Splits], Splits],
    told: str,
) -> None:
    before = (stopped / "checkpoints/last.safetensors").read_bytes()
    with pytest.raises(RunError, match=f"begun with other data: {told}"):
        fit(new_net(), change(splits), out=stopped, resume=True, **settings)
    assert (stopped / "checkpoints/last.safetensors").read_bytes() == before
    fit(new_net(), splits, out=stopped, resume=True, **settings)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", 1),
        ("batch_size", 7),
        ("optimizer.lr", 0.5),
        ("learner.reward.name", "softmax_rate"),
    ],
)
def test_a_config_edited_in_the_run_is_refused_by_key(
    splits: Splits, settings: dict[str, Any], stopped: Path, key: str, value: Any
) -> None:
    config = yaml.safe_load((stopped / "config.yaml").read_text())
    *sections, last = key.split(".")
    place = config
    for section in sections:
        place = place[section]
    if last == "name":
        place.clear()
    place[last] = value
    (stopped / "config.yaml").write_text(yaml.safe_dump(config))
    named = key.removesuffix(".name")
    with pytest.raises(ConfigError, match=rf"config\.yaml was edited since the run began: {named}"):
        fit(new_net(), splits, out=stopped, resume=True, **config)


def test_what_may_change_may_change(
    splits: Splits, settings: dict[str, Any], stopped: Path
) -> None:
    assert MAY_CHANGE == ("epochs", "workers", "device")
    again = {**settings, "workers": 1, "epochs": 6}
    result = fit(new_net(), splits, out=stopped, resume=True, **again)
    assert [line["epoch"] for line in result.metrics] == [1, 2, 3, 4, 5, 6]
    written = yaml.safe_load((stopped / "config.yaml").read_text())
    assert (written["epochs"], written["workers"]) == (6, 1)
    assert json.loads((stopped / "run.json").read_text())["settings"]["epochs"] == 6


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "step", "constant"])
def test_with_other_epochs_the_learning_rate_is_that_of_a_run_of_so_many(
    splits: Splits, settings: dict[str, Any], tmp_path: Path, schedule: str
) -> None:
    every = {**settings, "schedule": {"name": schedule}}
    stop = Stop(9, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Interrupted):
        fit(new_net(), splits, out=tmp_path / "run", observers=[stop], **every)
    longer = {**every, "epochs": 7}
    resumed = fit(new_net(), splits, out=tmp_path / "run", resume=True, **longer)
    straight = fit(new_net(), splits, **longer)
    rates = [[line["lr"] for line in result.metrics] for result in (resumed, straight)]
    np.testing.assert_allclose(rates[0][1:], rates[1][1:], rtol=1e-12)


def test_a_finished_run_goes_on_for_more_epochs(
    splits: Splits, settings: dict[str, Any], tmp_path: Path
) -> None:
    fit(new_net(), splits, out=tmp_path / "run", **settings)
    more = fit(new_net(), splits, out=tmp_path / "run", resume=True, **{**settings, "epochs": 5})
    assert len(more.metrics) == 5
    _, state = load_checkpoint(tmp_path / "run/checkpoints/last.safetensors")
    assert state["progress"]["epoch"] == 5


def test_a_finished_run_gives_another_network_its_weights(
    splits: Splits, settings: dict[str, Any], tmp_path: Path
) -> None:
    first, again = new_net(), new_net(seed=1)
    trained = fit(first, splits, out=tmp_path / "run", **settings)
    found = fit(again, splits, out=tmp_path / "run", resume=True, **settings)
    assert found.test_accuracy == trained.test_accuracy
    assert same(weights(first), weights(again))


def test_epochs_edited_in_the_run_are_a_change_as_if_asked_for(
    splits: Splits, settings: dict[str, Any], tmp_path: Path
) -> None:
    fit(new_net(), splits, out=tmp_path / "run", **settings)
    config = yaml.safe_load((tmp_path / "run/config.yaml").read_text())
    (tmp_path / "run/config.yaml").write_text(yaml.safe_dump({**config, "epochs": 5}))
    longer = {**settings, "epochs": 5}
    resumed = fit(new_net(), splits, out=tmp_path / "run", resume=True, **longer)
    straight = fit(new_net(), splits, **longer)
    rates = [[line["lr"] for line in result.metrics] for result in (resumed, straight)]
    assert len(rates[0]) == 5
    np.testing.assert_allclose(rates[0][4:], rates[1][4:], rtol=1e-12)


@pytest.mark.parametrize("version_before", [False, True])
def test_a_run_that_went_on_for_more_epochs_and_stopped_goes_on_for_as_many(
    splits: Splits, settings: dict[str, Any], tmp_path: Path, version_before: bool
) -> None:
    run, longer = tmp_path / "run", {**settings, "epochs": 6}
    fit(new_net(), splits, out=run, **settings)
    if version_before:
        tensors, state = load_checkpoint(run / "checkpoints/last.safetensors")
        del state["progress"]["epochs"]
        save_checkpoint(run / "checkpoints/last.safetensors", tensors, state)
        strip_notes(run)
    with pytest.raises(Died):
        fit(new_net(), splits, out=run, resume=True, observers=[Dies()], **longer)
    resumed = fit(new_net(), splits, out=run, resume=True, **longer)
    straight = fit(new_net(), splits, **longer)
    rates = [[line["lr"] for line in result.metrics] for result in (resumed, straight)]
    assert len(rates[0]) == 6
    np.testing.assert_allclose(rates[0][4:], rates[1][4:], rtol=1e-12)


def test_a_run_of_the_version_before_goes_on_with_a_warning(
    splits: Splits, settings: dict[str, Any], stopped: Path
) -> None:
    strip_notes(stopped)
    resumed, listener = new_net(5), Listener()
    fit(resumed, splits, out=stopped, resume=True, observers=[listener], **settings)
    assert any("made by an earlier version" in message for message in listener.warnings)
    info = json.loads((stopped / "run.json").read_text())
    assert {"settings"} <= info.keys() and {"identity"} <= info["data"].keys()  # noted from now on
    straight = new_net()
    fit(straight, splits, **settings)
    assert same(weights(resumed), weights(straight))
