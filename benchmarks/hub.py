"""Trained networks: make those that the package ships again, from their data.

    python -m benchmarks hub digits
    python -m benchmarks hub nmnist_csnn --root datasets/NMNIST

Trains by the command that the model card names and writes the run directory, without what only
resuming needs, and the card with the accuracies that were measured into ``lfp_snn/hub`` (or
``--out``). A run of the same versions on the same machine gives the same weights.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

import lfp_snn.hub
from lfp_snn.hub import Card
from lfp_snn.learners.lfp import LFPOptions
from lfp_snn.training import Result, load_config, train
from lfp_snn.training.configfile import dump_config
from lfp_snn.training.files import read_json, write_atomic
from lfp_snn.training.rundir import RunDir

CONFIGS = Path(__file__).parent.parent / "configs"
#: What run.json tells of the process that trained, and not of the network.
OF_THE_PROCESS = ("started", "platform", "threads", "device", "processes", "settings")
_BYTES = 1_000_000  # at most, of one network


@dataclass(frozen=True)
class Recipe:
    """A recipe for a shipped network, and what its card says beside what is measured.

    Attributes:
        about: one sentence that says what it is.
        data: the recordings, and who made them.
        licence: the licence of the recordings.
        use: what may be said of it.
        changes: the changes of the shipped config that has the name of the network.
    """

    about: str
    data: str
    licence: str
    use: str
    changes: tuple[str, ...] = ()


RECIPES = {
    "digits": Recipe(
        about="Handwritten digits before a simulated event camera, mlp 2312-96-10.",
        data="DVS-digits: the 1797 images of scikit-learn's load_digits, the test part of "
        "Optical Recognition of Handwritten Digits (E. Alpaydin, C. Kaynak, UCI 1998), shown to "
        "the camera that lfp_snn.data.camera simulates",
        licence="CC BY 4.0",
        use="The events are simulated: its accuracy says nothing of a real camera. One seed.",
        changes=("model.hidden=[96]",),
    ),
    "nmnist_csnn": Recipe(
        about="Digits of N-MNIST, real recordings of an event camera, small convolutional network.",
        data="N-MNIST, the first 1000 recordings of its training part (G. Orchard, A. Jayawant, "
        "G. Cohen, N. Thakor, Frontiers in Neuroscience 9, 2015)",
        licence="CC BY-SA 4.0",
        use="It was trained and tested on parts of the first 1000 recordings only, not on the "
        "60 000 and 10 000 of N-MNIST: its accuracy is none of the benchmark, and 200 test "
        "samples leave a standard error of about 2 points. One seed.",
    ),
    "braille": Recipe(
        about="Braille letters, real readings of a tactile fingertip, mlp 24-256-256-27.",
        data="Braille letter reading (S. F. Mueller-Cleve et al., Frontiers in Neuroscience 16, "
        "2022, 10.5281/zenodo.6556299), split by repetition",
        licence="CC BY 4.0",
        use="The last repetitions of the same fingertip over the same letters are its test part: "
        "nothing is known of other fingers or letters. One seed.",
    ),
}


def main() -> None:
    """Make the networks that are named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(RECIPES)}; or all")
    parser.add_argument("--root", type=Path, help="folder of the recordings, for one NAME")
    parser.add_argument("--out", type=Path, default=Path(lfp_snn.hub.__file__).parent)
    given = parser.parse_args()
    if unknown := set(given.names) - set(RECIPES):
        parser.error(f"there is no network {', '.join(unknown)}; there are {', '.join(RECIPES)}")
    if given.root is not None and len(given.names) != 1:
        parser.error("--root is the folder of one data set: name one network with it")
    for name in given.names or RECIPES:
        card = make(name, given.root, given.out / name)
        print(f"{name:<14} test {card.test_accuracy:.2%}  validation {card.val_accuracy:.2%}")


def make(name: str, root: Path | None, out: Path, changes: Sequence[str] = ()) -> Card:
    """Train a network and write it into the folder ``out``, which is made anew.

    Args:
        name: the name of the recipe.
        root: the folder of the recordings; by default that of the config.
        out: the run directory that is shipped.
        changes: more changes of the config, for a quicker training.
    """
    recipe = RECIPES[name]
    kept = [*recipe.changes, *changes]
    path = CONFIGS / f"{name}.yaml"
    with TemporaryDirectory() as folder:
        at = [] if root is None else [f"data.root={root}"]
        config = load_config(path, [*kept, *at])
        assert isinstance(config.learner, LFPOptions)
        result = train(config, Path(folder) / name)
        assert result.run is not None
        run = RunDir.open(result.run)
        info = _info(run, _command(name, kept))
        weights = run.best.read_bytes()
    if len(weights) > _BYTES:
        raise SystemExit(f"error: the weights of {name} are {len(weights)} bytes: too many to ship")
    shutil.rmtree(out, ignore_errors=True)
    shipped = RunDir.create(out, dump_config(load_config(path, kept)), info)
    write_atomic(shipped.best, weights)
    card = _card(recipe, result, info, config.learner.rule.name)
    text = yaml.safe_dump(card.model_dump(), sort_keys=False, allow_unicode=True, width=100)
    write_atomic(out / "card.yaml", text.encode())
    return card


def _command(name: str, changes: Sequence[str]) -> str:
    asks_root = "root" in type(load_config(CONFIGS / f"{name}.yaml").data).model_fields
    return " ".join(["lfp-snn train", name, *changes, *(["data.root=FOLDER"] if asks_root else [])])


def _info(run: RunDir, command: str) -> dict[str, Any]:
    info = {**read_json(run.info), "command": command}
    return {key: value for key, value in info.items() if key not in OF_THE_PROCESS}


def _card(recipe: Recipe, result: Result, info: dict[str, Any], rule: str) -> Card:
    return Card(
        about=recipe.about,
        data=recipe.data,
        licence=recipe.licence,
        samples=result.samples,
        rule=rule,
        seed=result.seed,
        command=info["command"],
        val_accuracy=round(result.val_accuracy, 4),
        test_accuracy=round(result.test_accuracy, 4),
        parameters=info["parameters"],
        versions=info["versions"],
        use=recipe.use,
    )


if __name__ == "__main__":
    main()
