"""A folder in which every command of the documentation can be run, in this process and quickly.

It holds what the documentation speaks of, under the names that it uses: datasets, finished runs,
recordings, an exported network. Commands run as they are written, but for arguments that make them
small (:func:`make_small`) and for words that stand for something (:func:`fill_in`).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from typer.testing import CliRunner, Result

from lfp_snn.analysis.experiments import load_any
from lfp_snn.cli import app
from lfp_snn.cli.shipped import find_config, shipped_configs
from lfp_snn.data.events import Events
from lfp_snn.data.formats import write_recording
from lfp_snn.models import MODELS
from lfp_snn.training import fit

__all__ = [
    "SMALL_DIGITS",
    "STEPS",
    "UNITS",
    "Workspace",
    "fill_in",
    "lay_in",
    "make_small",
    "run_cli",
    "small_model",
]

#: Settings that make a training small, by its dataset; those that lie here are small already.
SMALL = {
    "digits": ["data.train=30", "data.validation=0.1"],
    "mnist_camera": ["data.shown=30", "data.test=10", "data.validation=0.25"],
}
OTHERS = ["data.train=null", "data.validation=0.25"]
TINY = ["epochs=1", "batch_size=20"]
STEPS, UNITS, WIDTH = 3, 16, 0.1  # at most
SMALL_DIGITS = [*SMALL["digits"], *TINY, "data.steps=4", "baseline=false", "model.hidden=[16]"]
#: What a command makes, of the things that are there for others.
MADE = {"cp": "my.yaml", "data import": "recordings.json"}

#: Arguments that make commands small, by the command.
SMALLER = {
    "prune": ["--draws", "1", "--samples", "10", "--shares", "0,0.5"],
    "metrics": ["--samples", "5"],
    "bench": ["--steps", "1"],
    "compare": ["--seeds", "1", "--jobs", "1"],
    "convergence": ["--seeds", "1"],
}
#: Settings that make them small, by the section of the config.
SECTIONS = {
    "compare": ["compare.search.trials=0", "calibrate=null"],  # trainings are calibrated
    "sweep": ["sweep.search.trials=2"],
    "convergence": ["convergence.every=1"],
}

#: Words of the documentation that stand for something, and what they stand for here.
WORDS: dict[str, dict[str | None, str]] = {
    "CONFIG": {"compare": "compare_digits", "show": "digits"},
    "RUN": {None: "runs/RUN"},
    "FOLDER": {"data": "my/recordings"},
    "NAME": {None: "shd"},
    "SRC": {None: "film.gif"},
    "DEST": {None: "made.aedat4"},
    "/shared/comparison": {None: "shared"},
    "...": {"compare": "compare_digits"},
}


MINE = """
import snntorch as snn
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import TensorDataset


def make_net():
    return nn.Sequential(
        nn.Linear(64, 20),
        snn.Leaky(beta=0.9, init_hidden=True),
        nn.Linear(20, 10),
        snn.Leaky(beta=0.9, init_hidden=True, output=True),
    )


class Loop(nn.Module):
    def __init__(self, **last):
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(2 * 34 * 34, 20), snn.Leaky(beta=0.9)
        self.fc2, self.lif2 = nn.Linear(20, 10), snn.Leaky(beta=0.9, **last)

    def forward(self, x):
        mem1, mem2, record = self.lif1.init_leaky(), self.lif2.init_leaky(), []
        for frame in x:
            spk, mem1 = self.lif1(self.fc1(frame.flatten(1)), mem1)
            spk, mem2 = self.lif2(self.fc2(spk), mem2)
            record.append(spk)
        return torch.stack(record)


def make_dvs_net():
    return Loop()


class Sums(Loop):
    def forward(self, x):
        mem1, mem2, total = self.lif1.init_leaky(), self.lif2.init_leaky(), 0
        for frame in x.flatten(2).unbind(0):
            spk, mem1 = self.lif1(self.fc1(frame), mem1)
            spk, mem2 = self.lif2(self.fc2(spk), mem2)
            total = total + spk
        return total


def make_dvs_sums():
    return Sums()


class Membranes(Loop):
    def forward(self, x):
        mem1, mem2, record = self.lif1.init_leaky(), self.lif2.init_leaky(), []
        for frame in x:
            spk, mem1 = self.lif1(self.fc1(frame.flatten(1)), mem1)
            spk, mem2 = self.lif2(self.fc2(spk), mem2)
            record.append(mem2)
        return torch.stack(record)


def make_readout():
    return Membranes(threshold=float("inf"), reset_mechanism="none")


def make_values():
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(2 * 34 * 34, 20),
        snn.Leaky(beta=0.9, init_hidden=True),
        nn.Linear(20, 10),
    )


def parts():
    images, labels = (torch.as_tensor(each) for each in load_digits(return_X_y=True))
    rows = torch.arange(90).split(30)
    return tuple(TensorDataset(images[each].float() / 16, labels[each]) for each in rows)
"""


def run_cli(words: Sequence[str]) -> Result:
    """Run ``lfp-snn`` with these words."""
    return CliRunner().invoke(app, list(words))


def fill_in(words: Sequence[str]) -> list[str]:
    """The words of a shown command (without ``lfp-snn``) with something for what stands for it."""
    command, filled = words[0], [words[0]]
    for word in words[1:]:
        meant = WORDS.get(word, {})
        if filled[-1] == "--out":
            filled.append(word.strip("/"))
        elif word.startswith("data.root=") and word[10:] in ("...", "FOLDER"):
            continue  # where a config looks for it by default it is
        elif meaning := meant.get(command, meant.get(None)):
            filled.append(meaning)
        elif word != "...":
            filled.append(word)
    return filled


def make_small(words: Sequence[str]) -> list[str]:
    """The words with arguments that leave little to do."""
    command, *rest = words
    changes: list[str] = []
    if command in ("train", "compare", "sweep", "convergence"):
        changes = [*_small_experiment(rest), *TINY, *SECTIONS.get(command, ())]
    extra = list(SMALLER.get(command, ()))
    if command == "train" and "--watch" in rest:
        extra += ["--port", "0"]
    if command == "explain" and {"--batch", "--faithfulness"} & set(rest):
        extra += ["--samples", "5"]
    return [command, *rest, *changes, *extra]


def _small_experiment(words: Sequence[str]) -> list[str]:
    """Settings that make data and network of a config with changes small; what is shown, stays."""
    config, *rest = words
    changes = [word for word in rest if "=" in word and not word.startswith("-")]
    given = load_any(find_config(config), changes)
    small = list(SMALL.get(given.data.name, OTHERS))
    if getattr(given.data, "code", None) != "onset":  # whose few spikes wake no few neurons
        small += _few_steps(given.data)
        if hidden := getattr(given.model, "hidden", None):
            small.append(f"model.hidden={[UNITS for _ in hidden]}")
    small += [f"model.{option}" for option in small_model(given.model.name)]
    shown = {change.partition("=")[0] for change in changes}
    if "--net" in words:  # what makes the network takes no options
        small = [setting for setting in small if not setting.startswith("model.")]
    return [setting for setting in small if setting.partition("=")[0] not in shown]


def _few_steps(data: Any) -> list[str]:
    """Settings by which recordings and images have few steps, which last as long as the many."""
    steps = getattr(data, "steps", STEPS)
    if steps <= STEPS:
        return []
    longer = getattr(data, "bin_ms", None)
    lasting = [] if longer is None else [f"data.bin_ms={longer * steps / STEPS:g}"]
    return [f"data.steps={STEPS}", *lasting]


def small_model(name: str) -> list[str]:
    """Options that make an architecture small."""
    fields = MODELS[name].model_fields
    if "heads" in fields:
        return ["channels=8"]
    if "blocks" in fields:
        return ["channels=[4,8]", "blocks=[1,1]"]
    return [f"width={WIDTH}"] if "width" in fields else []


@dataclass(frozen=True)
class Workspace:
    """What the documentation speaks of, prepared once.

    Args:
        path: the folder with it.
    """

    path: Path

    def enter(self, folder: Path, chdir: Callable[[Path], None]) -> None:
        """Make an empty folder a copy of it, and go there; datasets are shared."""
        for each in self.path.iterdir():
            if each.name == "datasets":
                (folder / each.name).symlink_to(each)
            elif each.is_dir():
                shutil.copytree(each, folder / each.name, symlinks=True)
            else:
                shutil.copy(each, folder)
        chdir(folder)


def lay_in(folder: Path, chdir: Callable[[Path], None]) -> Workspace:
    """Prepare a workspace in a folder that has the datasets."""
    chdir(folder)
    random = np.random.default_rng(0)

    def recording() -> Events:
        count = 200
        return Events(
            random.integers(0, 34, count).astype(np.int16),
            random.integers(0, 34, count).astype(np.int16),
            np.sort(random.integers(0, 300_000, count)),
            random.integers(0, 2, count).astype(np.uint8),
            (2, 34, 34),
        )

    write_recording(recording(), folder / "recording.bin", "bin")
    write_recording(recording(), folder / "recording.aedat4", "aedat4")
    for label in ("left", "right"):
        (folder / "my" / "recordings" / label).mkdir(parents=True)
        for number in range(5):
            file = folder / "my" / "recordings" / label / f"{number}.bin"
            write_recording(recording(), file, "bin")
    parts = {0: "train", 1: "train", 2: "train", 3: "val", 4: "test"}
    rows = [
        f"{label}/{n}.bin,{label},{part}"
        for label in ("left", "right")
        for n, part in parts.items()
    ]
    (folder / "my" / "recordings.csv").write_text("\n".join(["file,label,part", *rows]))
    frames = [Image.fromarray(random.integers(0, 255, (12, 12), np.uint8)) for _ in range(3)]
    frames[0].save(folder / "film.gif", save_all=True, append_images=frames[1:], duration=100)
    (folder / "path" / "to").mkdir(parents=True)
    (folder / "path" / "to" / "NMNIST").symlink_to(folder / "datasets" / "NMNIST")
    shutil.copy(shipped_configs()["digits"], folder / "my.yaml")
    small = make_small(["train", "digits", "data.steps=25"])  # what is explained, shall fire
    for number, name in enumerate(("RUN", "A", "B")):
        _must(run_cli([*small, f"seed={number}", "--out", f"runs/{name}"]))
    _fit_mine(folder)
    _must(run_cli(["export", "runs/A", "--to", "nir", "--out", "net.nir"]))
    _must(run_cli(["data", "import", "my/recordings"]))
    return Workspace(folder)


def _fit_mine(folder: Path) -> None:
    """The module and the run of it that the documentation of one's own network speaks of."""
    (folder / "mine.py").write_text(MINE)
    names: dict[str, Any] = {}
    exec(MINE, names)
    fit(names["make_net"](), *names["parts"](), steps=STEPS, out="runs/mine", epochs=1)


def _must(result: Result) -> None:
    assert result.exit_code == 0, result.output
