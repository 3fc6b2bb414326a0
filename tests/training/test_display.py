"""What a script shows of a training: progress, warnings, and how it ends after a signal."""

from __future__ import annotations

import ast
import logging
import os
import signal
import subprocess
import sys
from io import FileIO, StringIO, TextIOWrapper
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from torch import nn

from lfp_snn.console import progress_console, time_bar
from lfp_snn.data import Splits
from lfp_snn.errors import ConfigError, RunError
from lfp_snn.rules import Epsilon
from lfp_snn.training import EarlyStopping, fit
from lfp_snn.training.config import Settings as TrainingSettings
from lfp_snn.training.configfile import make_config
from lfp_snn.training.display import Display
from lfp_snn.training.feeding import KINDS, check_arguments
from lfp_snn.training.loop import Trainer
from lfp_snn.training.teaching import taught_by
from tests.training.conftest import UNITS, make_splits

Settings = dict[str, Any]

SCRIPT = """
import os, signal, sys
import torch
import lfp_snn
from lfp_snn.models import build
from lfp_snn.training import Observer
from tests.training.conftest import CLASSES, UNITS, make_splits

class Kill(Observer):
    def stepped(self, report):
        if report.step == 9:
            os.kill(os.getpid(), getattr(signal, sys.argv[1]))

torch.manual_seed(0)
net = build("mlp", (UNITS,), CLASSES, hidden=[12])
out = sys.argv[2] if len(sys.argv) > 2 else None
try:
    lfp_snn.fit(net, make_splits(), epochs=4, batch_size=6, calibrate=0.1, device="cpu", out=out,
                progress=False, observers=[Kill()])
finally:
    print("the script's own end")
"""


def script(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_an_epoch_is_a_line_on_stderr(
    capsys: pytest.CaptureFixture[str], net: nn.Module, splits: Splits, settings: Settings
) -> None:
    result = fit(net, splits, **settings)
    shown = capsys.readouterr()
    assert shown.out == ""
    lines = shown.err.splitlines()
    assert len(lines) == 4
    for line, metrics in zip(lines, result.metrics, strict=True):
        assert line.startswith(f"epoch {metrics['epoch']}/4  train ")
        assert f" {100 * metrics['val_accuracy']:.1f} %" in line.partition("val")[2]


def test_progress_can_be_left_out(
    capsys: pytest.CaptureFixture[str], net: nn.Module, splits: Splits, settings: Settings
) -> None:
    fit(net, splits, progress=False, **settings)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_has_a_bar_with_the_time_left(
    net: nn.Module, splits: Splits, settings: Settings
) -> None:
    terminal = Console(file=StringIO(), force_terminal=True, width=100)
    with Display(terminal, 4) as display:
        fit(net, splits, progress=False, observers=[display], **settings)
    shown = terminal.file.getvalue()  # type: ignore[attr-defined]
    assert "epoch 4/4" in shown and "left" in shown


def test_a_star_after_a_resume_knows_what_was_reached_before(
    net: nn.Module, splits: Splits, settings: Settings
) -> None:
    result = fit(net, splits, progress=False, **settings)
    terminal = Console(file=StringIO(), width=400)
    display = Display(terminal, 4)
    watched: Any = SimpleNamespace(metrics=result.metrics, labels=dict, folder=None)
    report: Any = SimpleNamespace(step=9, steps=10, epoch=4, accuracy=0.5)
    best = max(each["val_accuracy"] for each in result.metrics)
    with display:
        display.attached(watched)
        display.started(report)
        display.epoch_ended({**result.metrics[-1], "val_accuracy": best - 0.01})
        display.epoch_ended({**result.metrics[-1], "val_accuracy": best})
    shown = terminal.file.getvalue()  # type: ignore[attr-defined]
    assert [line.count("*") for line in shown.splitlines() if "val" in line] == [0, 1]


def test_warnings_are_logged_as_they_arise(
    caplog: pytest.LogCaptureFixture, net: nn.Module, splits: Splits, settings: Settings
) -> None:
    with caplog.at_level(logging.WARNING, "lfp_snn"):
        result = fit(net, splits.train, **{**settings, "epochs": 1})
    assert [record.getMessage() for record in caplog.records] == result.warnings
    assert result.warnings[0].startswith("Nothing validates")


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_script_ends_without_a_traceback_and_says_how_to_go_on(
    tmp_path: Path, name: str, code: int
) -> None:
    ended = script(name, tmp_path / "run")
    assert (ended.returncode, ended.stdout) == (code, "the script's own end\n")
    assert ended.stderr == (
        "Stopped in epoch 2, step 9 and saved; continue with: "
        f"fit(..., out='{tmp_path}/run', resume=True)\n"
    )
    assert not (tmp_path / "run/result.json").exists()


def test_without_a_run_it_says_that_nothing_is_kept() -> None:
    ended = script("SIGTERM")
    assert ended.returncode == 143
    assert ended.stderr.endswith("nothing was saved without a run directory (out).\n")
    assert ended.stderr.count("\n") == 1


def test_a_second_ctrl_c_says_how_to_go_on(
    net: nn.Module,
    splits: Splits,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def twice(*_: object) -> None:
        for _time in range(2):
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Trainer, "_step", twice)
    # Tests that run in the background ignore the signal.
    monkeypatch.setattr(signal, "getsignal", lambda _: signal.default_int_handler)
    with pytest.raises(RunError, match=r"Stopped at once; .*fit\(\.\.\., out='.*resume=True\)"):
        fit(net, splits, out=tmp_path / "run", **settings)
    with pytest.raises(KeyboardInterrupt):
        fit(net, splits, **settings)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"lr": 0.1}, "lr is no known argument, did you mean optimizer={'lr': 0.1}?"),
        ({"learning_rate": 0.1}, "did you mean optimizer={'lr': 0.1}?"),
        ({"num_steps": 8}, "did you mean steps=8?"),
        ({"callbacks": []}, "callbacks is no known argument, did you mean observers=[]?"),
        ({"rules": Epsilon()}, "did you mean rule=Epsilon(...)?"),
        ({"update": Epsilon()}, "did you mean learner={'update': {'name': ...}}?"),
        ({"qqq": 1}, "qqq is no known argument, known are seed, device, "),
        ({"optimizer": {"lr": -1.0}}, "optimizer['lr'] is -1.0, expected a number greater than 0"),
        ({"optimizer": {"rl": 1}}, "optimizer['rl'] is no known key, "),
        ({"learner": {"name": "x"}}, "learner['name'] is 'x', but the learner must be one of"),
    ],
)
def test_a_mistake_is_told_in_words_of_python(net: nn.Module, given: Settings, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        fit(net, make_splits(), **given)
    assert str(caught.value).startswith("fit: ") and told in str(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        {"learner_name": "lfp"}, {"kernel": "events"}, {"eps": 0.1}, {"rules": "rescale"},
        {"optimizers": "adam"}, {"momentum": 0.9}, {"rewards": "softmax_rate"}, {"batchsize": 3},
        {"sched": "cosine"}, {"callbacks": []}, {"verbose": 2}, {"lrs": 0.1}, {"learnr": "ottt"},
        {"smoothing": 0.1}, {"names": "x"}, {"name": "x"}, {"settings": {"epochs": 3}},
    ],
)  # fmt: skip
def test_what_a_message_advises_is_taken(net: nn.Module, given: Settings) -> None:
    with pytest.raises(ConfigError) as caught:
        fit(net, make_splits(), **given)
    text = str(caught.value)
    if "did you mean" not in text:
        known = text.partition("known are ")[2].rstrip(".").split(", ")
        assert "settings" not in known and len(known) == len(set(known)) > 20
        return
    name, _, value = text.partition("did you mean ")[2].rstrip("?").partition("=")
    advised = {name: ast.literal_eval(value)}
    check_arguments(**{key: each for key, each in advised.items() if key in KINDS})
    settings = {key: each for key, each in advised.items() if key not in KINDS}
    taught = taught_by(settings, settings.pop("reward", None), settings.pop("rule", None))
    make_config(TrainingSettings, taught)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"observers": 3}, "observers is 3, expected a list of observers, such as [EarlySto"),
        ({"observers": EarlyStopping()}, "expected a list of observers"),
        ({"observers": [EarlyStopping]}, "expected a list of observers"),
        ({"progress": "no"}, "progress is 'no', expected True or False."),
        ({"resume": "yes"}, "resume is 'yes', expected True or False."),
        ({"out": 3}, "out is 3, expected the path of a run directory"),
        ({"scheduler_every": "batch"}, "scheduler_every is 'batch', expected 'step' or 'epoch'."),
        (
            {"learner": {"reward": {"name": "rate_coded", "smoothing": 0.1}}},
            "learner['reward']['smoothing'] is no key of rate_coded; the rewards that have it are "
            "softmax_rate, ",
        ),
        ({"learner": "ottt"}, "with a name, the learner, such as {'name': 'ottt'}."),
    ],
)
def test_what_is_of_another_kind_is_told(net: nn.Module, given: Settings, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        fit(net, make_splits(), **given)
    assert str(caught.value).startswith("fit: ") and told in str(caught.value)


def test_a_result_prints_as_a_few_lines(
    net: nn.Module, splits: Splits, settings: Settings, tmp_path: Path
) -> None:
    result = fit(net, splits, out=tmp_path / "run", progress=False, **settings)
    lines = str(result).splitlines()
    assert lines[0] == f"test accuracy        {100 * result.test_accuracy:.2f} %  of 15"
    assert lines[-1] == f"kept in              {tmp_path}/run"
    assert any(line.startswith("training             4 epochs of 42 samples") for line in lines)
    assert str(UNITS) not in lines[0] and repr(result) == str(result)
    warned = fit(net, splits.train, progress=False, **settings)
    assert str(warned).splitlines()[0] == "test accuracy        none; nothing tests"
    assert "nan" not in str(warned) and "in the test" not in str(warned)
    assert str(warned).splitlines()[-1].endswith("the test accuracy is not known.")
    assert "kept in              nothing; give fit out=FOLDER" in str(warned)


@pytest.mark.parametrize("end", ["closed", "nobody reads"])
def test_a_training_goes_on_that_cannot_show_itself(
    splits: Splits, settings: Settings, net: nn.Module, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w", buffering=1) as stream:
        if end == "closed":
            stream.close()
        monkeypatch.setattr(sys, "stderr", stream)
        fit(net, splits, **{**settings, "epochs": 1})
        monkeypatch.undo()


def test_a_stream_that_was_closed_at_the_start_shows_nothing() -> None:
    console = progress_console(None)
    assert not console.is_terminal
    with time_bar(console) as bar:
        bar.add_task("nothing")
    console.print("nothing")


def test_what_a_full_disk_cannot_take_is_dropped() -> None:
    with TextIOWrapper(FileIO("/dev/full", "w"), write_through=True) as full:
        progress_console(full).print("something")
