"""A run goes on with its own settings and data, and with nothing else."""

from __future__ import annotations

import copy
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
import yaml
from torch import nn
from torch.utils.data import TensorDataset

from lfp_snn.data import SampleSet, SpikeSet, Splits, from_torch
from lfp_snn.data.identity import identity_of
from lfp_snn.errors import ConfigError, RunError
from lfp_snn.training import Interrupted, fit
from lfp_snn.training.checkpoint import load_checkpoint, save_checkpoint
from lfp_snn.training.files import read_json
from lfp_snn.training.observer import StepReport
from lfp_snn.training.resume import MAY_CHANGE, network_identity
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


def recorded_anew(splits: Splits) -> Splits:
    """Two recordings have each other's spikes, under their own names and labels."""
    trains, steps = splits.train.trains, splits.train.steps  # type: ignore[attr-defined]
    indptr, indices = np.asarray(trains.indptr), np.asarray(trains.indices)
    order = np.arange(len(indptr) // steps)
    i, k = splits.test._rows[[0, 1]]
    order[[i, k]] = order[[k, i]]
    frames = (order[:, None] * steps + np.arange(steps)).ravel()
    pieces = [indices[indptr[frame] : indptr[frame + 1]] for frame in frames]
    ends = np.concatenate([[0], np.cumsum([len(piece) for piece in pieces])])
    changed = trains._replace(indptr=ends, indices=np.concatenate(pieces))
    test = copy.copy(splits.test)
    test.trains = changed  # type: ignore[attr-defined]
    return replace(splits, test=test)


def in_other_steps(splits: Splits) -> Splits:
    val = copy.copy(splits.val)
    val.steps -= 1
    return replace(splits, val=val)


def of_other_classes(splits: Splits) -> Splits:
    train = copy.copy(splits.train)
    train.classes = ("a", "b", "d")
    return replace(splits, train=train)


def larger(_: Splits) -> Splits:
    return make_splits((42, 15, 16))


def strip_notes(run: Path) -> None:
    """What the version before wrote: the same files, without the notes in run.json."""
    info = json.loads((run / "run.json").read_text())
    del info["settings"], info["data"]["identity"], info["consists_of"]
    (run / "run.json").write_text(json.dumps(info))


def contents(run: Path) -> dict[Path, bytes]:
    """What the files of a run hold, but for the lock that each training takes anew."""
    files = [path for path in run.rglob("*") if path.is_file() and path.name != ".lock"]
    return {path: path.read_bytes() for path in files}


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
        (recorded_anew, r"the inputs of its test part \(by their digest\)"),
        (in_other_steps, r"the shapes of its val part \(steps, then a frame\) were \[8, 20\]"),
        (of_other_classes, r"the classes of its train part were \['a', 'b', 'c'\]"),
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


class Scaled(TensorDataset):
    """Frames through a transform that draws."""

    def __init__(self, scale: float, noise: float = 0.0) -> None:
        draw = np.random.default_rng(0)
        x = torch.from_numpy(draw.random((12, 8, 20), dtype=np.float32))
        super().__init__(x, torch.arange(12) % 3)
        self.scale, self.noise = scale, noise

    def __getitem__(self, index: int) -> Any:
        x, label = super().__getitem__(index)  # type: ignore[no-untyped-call]
        return x * self.scale + self.noise * torch.rand(x.shape), label


def test_another_transform_is_refused_and_rounding_is_not(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    for number, noise in enumerate((0.0, 0.5)):
        run, stop = tmp_path / f"{number}", Stop(3, lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(Interrupted):
            fit(new_net(), Scaled(1.0, noise), out=run, observers=[stop], **settings)
        for other in (Scaled(0.98, noise), Scaled(1.0, noise + 0.1)):
            with pytest.raises(RunError, match="other data: the inputs of its train part"):
                fit(new_net(), other, out=run, resume=True, **settings)
        fit(new_net(), Scaled(1.00001, noise), out=run, resume=True, **settings)


def test_inputs_that_are_never_the_same_are_not_compared() -> None:
    class Clock(Scaled):
        def __getitem__(self, index: int) -> Any:
            x, label = super().__getitem__(index)
            return x + time.perf_counter_ns() % 1000, label

    assert "numbers" not in identity_of(from_torch(Clock(1.0)))
    assert "numbers" in identity_of(from_torch(Scaled(1.0)))


def test_arrays_of_other_values_are_refused_and_the_same_ones_in_a_dataset_are_not(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    x, labels = Scaled(1.0).tensors
    fit(new_net(), (x, labels), out=tmp_path / "run", **settings)
    more = {**settings, "out": tmp_path / "run", "resume": True, "epochs": settings["epochs"] + 1}
    with pytest.raises(RunError, match="other data: the inputs of its train part"):
        fit(new_net(), (1.5 * x, labels), **more)
    fit(new_net(), TensorDataset(x, labels), **more)


def slower(net: nn.Sequential) -> None:
    net[1].beta.fill_(0.5)  # type: ignore[operator]


def resets_otherwise(net: nn.Sequential) -> None:
    net[3] = snn.Leaky(beta=0.9, init_hidden=True, output=True, reset_mechanism="zero")


def another_layer(net: nn.Sequential) -> None:
    net[2] = nn.Linear(12, 3, bias=False)


def one_more(net: nn.Sequential) -> None:
    net.insert(2, nn.Dropout(0.0))


def test_a_readout_has_constants_that_json_does_not_know() -> None:
    net = nn.Sequential(nn.Linear(3, 2), snn.Leaky(beta=torch.rand(2), threshold=float("inf")))
    found = json.loads(json.dumps(network_identity(net), allow_nan=False))
    assert found == network_identity(net) and found["1.threshold"] == "inf"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (slower, r"1\.beta was 0\.9 and is 0\.5 now"),
        (resets_otherwise, r"3\.reset_mechanism_val was 0 and is 1 now"),
        (another_layer, r"2 was Linear\(.*bias=True\) and is Linear\(.*bias=False\) now"),
        (one_more, r"2 was Linear\(.* and is Dropout\(.* now"),
    ],
)
def test_another_network_is_refused_by_the_name_of_what_differs(
    splits: Splits,
    settings: dict[str, Any],
    stopped: Path,
    change: Callable[[nn.Sequential], None],
    told: str,
) -> None:
    net = new_net(seed=3)  # its weights do not matter, for it gets those of the checkpoint
    change(net)
    with pytest.raises(RunError, match=f"begun with another network: {told}"):
        fit(net, splits, out=stopped, resume=True, **settings)
    fit(new_net(seed=3), splits, out=stopped, resume=True, **settings)


@pytest.mark.parametrize(
    "harm",
    [
        {"data": "x"},
        {"data": {"identity": 3}},
        {"data": {"identity": {"train": []}}},
        {"settings": "x"},
        {"settings": [1]},
    ],
)
def test_a_harmed_description_of_a_run_is_one_sentence(
    splits: Splits, settings: dict[str, Any], stopped: Path, harm: dict[str, Any]
) -> None:
    info = json.loads((stopped / "run.json").read_text())
    (stopped / "run.json").write_text(json.dumps({**info, **harm}))
    with pytest.raises(RunError, match=r"run\.json is damaged: \w+ is .*, expected a mapping"):
        fit(new_net(), splits, out=stopped, resume=True, **settings)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("test_accuracy", {}, "test_accuracy is {}"),
        ("wall_s", "long", "wall_s is 'long'"),
        ("samples", 3, "samples is 3"),
        ("samples", {"train": 42}, "samples has no val"),
        ("firing", {"1": [[1]]}, r"firing\.1 is \[\[1\]\]"),
        ("layers", "x", "layers is 'x'"),
        ("confusion", [1], r"confusion\[0\] is 1"),
        ("classes", [3], r"classes\[0\] is 3"),
        ("baseline", {"name": "x"}, "baseline has no test_accuracy"),
        ("baseline", {"name": "x", "test_accuracy": "y"}, "accuracy of baseline is no number"),
        ("another", 1, "unexpected keyword argument 'another'"),
    ],
)
def test_a_harmed_result_is_one_sentence(
    splits: Splits, settings: dict[str, Any], tmp_path: Path, key: str, value: Any, told: str
) -> None:
    short = {**settings, "epochs": 1}
    fit(new_net(), splits, out=tmp_path / "run", **short)
    file = tmp_path / "run" / "result.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), key: value}))
    with pytest.raises(RunError, match=rf"result\.json is no result of this version: .*{told}"):
        fit(new_net(), splits, out=tmp_path / "run", resume=True, **short)


@pytest.mark.parametrize("name", ["run.json", "result.json", "metrics.jsonl"])
def test_half_a_character_in_a_run_is_one_sentence(
    splits: Splits, settings: dict[str, Any], tmp_path: Path, name: str
) -> None:
    run, settings["epochs"] = tmp_path / "run", 1
    fit(new_net(), splits, out=run, **settings)
    (run / name).write_text('{"epoch": 1, "who": "\\ud83d\\ude00"}\n')  # a whole one, in halves
    assert read_json(run / name)["who"] == "\U0001f600"
    (run / name).write_text('{"epoch": 1, "who": "\\ud800"}\n')
    with pytest.raises(RunError, match="surrogates not allowed"):
        fit(new_net(), splits, out=run, resume=True, **settings)


def test_a_run_without_its_checkpoints_begins_again(
    splits: Splits, settings: dict[str, Any], stopped: Path
) -> None:
    shutil.rmtree(stopped / "checkpoints")
    result = fit(new_net(), splits, out=stopped, resume=True, **settings)
    assert [line["epoch"] for line in result.metrics] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("left", "told"),
    [
        (None, "lacks 4 epochs, the first of them 1, of the 4"),
        ([], "lacks 4 epochs, the first of them 1, of the 4"),
        ([0, 1], "lacks 2 epochs, the first of them 3, of the 4"),
        ([0, 1, 2, 3.5], "lacks epoch 4 of the 4"),  # cut within its last line
        ([1, 2, 3], "lacks epoch 1 of the 4"),
    ],
)
def test_metrics_that_lack_epochs_are_refused(
    splits: Splits,
    settings: dict[str, Any],
    tmp_path: Path,
    left: list[float] | None,
    told: str,
) -> None:
    run, longer = tmp_path / "run", {**settings, "epochs": 5}
    fit(new_net(), splits, out=run, **settings)
    metrics = run / "metrics.jsonl"
    whole = metrics.read_bytes()
    lines = whole.splitlines(keepends=True)
    metrics.unlink()
    if left is not None:
        metrics.write_bytes(b"".join(lines[int(n)][: None if n % 1 == 0 else 20] for n in left))
    before = contents(run)
    with pytest.raises(RunError, match=rf"metrics\.jsonl is damaged: it {told} that the check"):
        fit(new_net(), splits, out=run, resume=True, **longer)
    assert contents(run) == before
    metrics.write_bytes(whole)
    assert len(fit(new_net(), splits, out=run, resume=True, **longer).metrics) == 5


@pytest.mark.parametrize("content", [None, b"damaged"])
def test_best_weights_that_are_lost_come_back_when_the_run_is_resumed(
    splits: Splits, settings: dict[str, Any], tmp_path: Path, content: bytes | None
) -> None:
    run, short = tmp_path / "run", {**settings, "epochs": 2}
    first, net = new_net(), new_net(5)
    result = fit(first, splits, out=run, **short)
    best = run / "checkpoints" / "best.safetensors"
    whole, _ = load_checkpoint(best)
    best.unlink()
    if content is not None:
        best.write_bytes(content)
        told = r"best\.safetensors is damaged .*; remove it and resume the run"
        with pytest.raises(RunError, match=told):
            fit(net, splits, out=run, resume=True, **short)
        best.unlink()
    again = fit(net, splits, out=run, resume=True, **short)
    kept, _ = load_checkpoint(best)
    assert kept.keys() == whole.keys()
    assert same([*kept.values()], [whole[name] for name in kept])
    assert same(weights(net), weights(first))
    assert again.test_accuracy == result.test_accuracy and again.metrics == result.metrics


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
