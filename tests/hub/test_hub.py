"""The networks that the package ships: their files, their accuracies, their names."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

import lfp_snn.hub
from benchmarks.hub import RECIPES, make
from lfp_snn.errors import RunError
from lfp_snn.models import build
from lfp_snn.shipped import located, outputs_of_run, shipped_networks
from lfp_snn.training import TrainedRun
from lfp_snn.training.transfer import Transfer, load_into

#: The folder of real recordings of each network; none where its data comes with a package.
DATA = {"digits": None, "nmnist_csnn": "NMNIST", "braille": "braille"}


def test_every_network_has_a_recipe_and_data_to_test_it_with() -> None:
    assert set(lfp_snn.hub.names()) == set(RECIPES) == set(DATA)


@pytest.mark.parametrize("name", DATA)
def test_accuracy_is_that_of_the_card(name: str, real_data: Callable[[str], Path]) -> None:
    folder = DATA[name]
    root = [] if folder is None else [f"data.root={real_data(folder)}"]
    run = TrainedRun.open(f"hub:{name}", ["device=cpu", *root])
    splits, card = run.splits(), lfp_snn.hub.card(name)
    sizes = {"train": len(splits.train), "val": len(splits.val), "test": len(splits.test)}
    assert sizes == card.samples
    # One sample may fall to the other side where a machine adds in another order.
    assert run.evaluate().accuracy == pytest.approx(card.test_accuracy, abs=1.01 / sizes["test"])


@pytest.mark.parametrize("name", DATA)
def test_files_are_few_and_small_and_name_no_machine(name: str) -> None:
    folder = shipped_networks()[name]
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    assert set(files) == {
        "card.yaml", "config.yaml", "run.json", "checkpoints/best.safetensors",
    }  # fmt: skip
    assert sum(path.stat().st_size for path in files.values()) < 1_000_000
    for text in (files[each].read_text() for each in files if not each.endswith("tensors")):
        assert "/work" not in text and "/tmp" not in text


@pytest.mark.parametrize("name", DATA)
def test_load_gives_a_network_that_steps_and_its_card(name: str) -> None:
    net, card = lfp_snn.hub.load(name)
    assert not net.training
    assert sum(p.numel() for p in net.parameters()) == card.parameters
    assert card.licence.startswith("CC BY") and "One seed" in card.use
    shape = TrainedRun.open(f"hub:{name}").input_shape
    spikes = net(torch.zeros(2, *shape))
    assert isinstance(net, nn.Module) and len(spikes) == 2


def test_an_unknown_name_is_told_with_the_known_ones() -> None:
    with pytest.raises(RunError, match="no shipped network hub:nmnist;.*shipped are braille, dig"):
        lfp_snn.hub.load("nmnist")
    with pytest.raises(RunError, match="did you mean hub:digits?"):
        TrainedRun.open("hub:digit")


@pytest.mark.parametrize("name", ["", ".", "..", "../hub/digits", "/etc"])
def test_a_name_is_no_path(name: str) -> None:
    with pytest.raises(RunError, match="no shipped network"):
        located(f"hub:{name}")


def test_what_is_made_of_a_network_stays_out_of_the_package() -> None:
    assert outputs_of_run("hub:digits") == Path("runs/digits")
    assert outputs_of_run(Path("runs/mine")) == Path("runs/mine")


def test_its_weights_can_be_a_start() -> None:
    net = build("mlp", (2, 34, 34), 5, hidden=[96])
    load_into(net, Transfer(source="hub:digits", fresh=["3.*"]))
    theirs = lfp_snn.hub.load("digits").net.state_dict()
    assert torch.equal(net.state_dict()["1.weight"], theirs["1.weight"])


def test_a_network_is_made_by_its_recipe(tmp_path: Path) -> None:
    few = ["epochs=1", "data.train=100", "baseline=false", "model.hidden=[8]"]
    card = make("digits", None, tmp_path / "digits", few)
    run = TrainedRun.open(tmp_path / "digits")
    assert run.evaluate().accuracy == pytest.approx(card.test_accuracy, abs=1e-4)
    told = json.loads((tmp_path / "digits" / "run.json").read_text())
    assert (
        told["command"] == card.command == f"lfp-snn train digits model.hidden=[96] {' '.join(few)}"
    )
