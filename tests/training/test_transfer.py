"""Weights that were trained before: loaded, kept, frozen, and learning on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from lfp_snn import data
from lfp_snn.errors import ConfigError, RunError
from lfp_snn.models import build
from lfp_snn.training import TrainedRun, fit, load_config, train
from lfp_snn.training.transfer import Transfer, freeze, load_into

QUICK = ["data.steps=8", "model.hidden=[16]", "epochs=1", "device=cpu", "baseline=false"]


def mlp(classes: int = 10, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return build("mlp", (3, 4), classes, hidden=[8])


def weights(net: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in net.named_parameters()}


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path = tmp_path / "source.safetensors"
    save_file(dict(mlp(seed=1).named_parameters()), path)
    return path


def test_what_is_not_fresh_is_taken(stored: Path) -> None:
    net, source = mlp(classes=3), weights(mlp(seed=1))
    head = [name for name in source if name.startswith("3.")]
    before = weights(net)
    modules = load_into(net, Transfer(source=str(stored), fresh=["3.*"]))
    assert modules == (net.get_submodule("1"),)
    for name, tensor in net.named_parameters():
        assert tensor.equal(before[name] if name in head else source[name]), name


def test_other_names_are_taken_in_order_of_their_numbers(tmp_path: Path) -> None:
    """Twelve layers of one shape: by letter, layer 10 would come before layer 2."""
    source = nn.Sequential(*(nn.Linear(4, 4) for _ in range(12)))
    save_file(source.state_dict(), tmp_path / "relu.safetensors")
    net = nn.ModuleDict({name: nn.Linear(4, 4) for name in "abcdefghijkl"})
    load_into(net, Transfer(source=str(tmp_path / "relu.safetensors")))
    for mine, theirs in zip(net.parameters(), source.parameters(), strict=True):
        assert mine.equal(theirs)


def test_names_that_tell_no_order_are_not_guessed(tmp_path: Path) -> None:
    source = nn.ModuleDict({"stem": nn.Linear(4, 4), "head": nn.Linear(4, 4)})
    save_file(source.state_dict(), tmp_path / "named.safetensors")
    with pytest.raises(RunError, match="has no '0.weight', only head.bias"):
        load_into(
            nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)),
            Transfer(source=str(tmp_path / "named.safetensors")),
        )


def test_statistics_of_normalisations_come_too(tmp_path: Path) -> None:
    source = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    source(torch.randn(20, 4) + 5)
    save_file(source.state_dict(), tmp_path / "norm.safetensors")
    net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    load_into(net, Transfer(source=str(tmp_path / "norm.safetensors")))
    assert all(a.equal(source.state_dict()[n]) for n, a in net.state_dict().items())


@pytest.mark.parametrize(
    ("fresh", "classes", "message"),
    [
        (["head*"], 10, "transfer.fresh has 'head\\*', which fits no parameter"),
        ([], 3, r"'3.weight' is \[10, 8\] .* \[3, 8\] .*transfer.fresh"),
    ],
)
def test_what_does_not_fit_is_named_and_changes_nothing(
    stored: Path, fresh: list[str], classes: int, message: str
) -> None:
    net = mlp(classes)
    before = weights(net)
    with pytest.raises((ConfigError, RunError), match=message):
        load_into(net, Transfer(source=str(stored), fresh=fresh))
    assert all(tensor.equal(before[name]) for name, tensor in net.named_parameters())


def test_a_source_that_cannot_be_read_is_named(tmp_path: Path, stored: Path) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(stored.read_bytes()[:40])
    for path, message in [
        (tmp_path / "absent", "no such run or file"),
        (broken, "neither a run directory nor a safetensors or .nir file"),
        (tmp_path, "tmp|run"),
    ]:
        with pytest.raises(RunError, match=message):
            load_into(mlp(), Transfer(source=str(path)))
    part = tmp_path / "part.safetensors"
    save_file({"1.weight": torch.zeros(8, 12)}, part)
    with pytest.raises(RunError, match=r"has no '1.bias'.*transfer.fresh"):
        load_into(mlp(), Transfer(source=str(part)))


def test_freezing(stored: Path) -> None:
    net = mlp()
    freeze(net, ["1.*"])
    assert [n for n, p in net.named_parameters() if p.requires_grad] == ["3.weight", "3.bias"]
    with pytest.raises(ConfigError, match="fits no parameter; they are 1.weight"):
        freeze(mlp(), ["2.*"])
    with pytest.raises(ConfigError, match="nothing would learn"):
        freeze(mlp(), ["*"])


def test_from_one_learner_and_classes_to_others(repository: Path, tmp_path: Path) -> None:
    """Digits 0 to 4 with a surrogate, then 5 to 9 with LFP, first layer kept."""
    config = repository / "configs" / "digits.yaml"
    first = [*QUICK, "data.classes=[0, 1, 2, 3, 4]", "learner={name: surrogate}"]
    train(load_config(config, first), out=tmp_path / "first")
    change = f"transfer={{source: {tmp_path / 'first'}, fresh: ['3.*'], freeze: ['1.*']}}"
    second = [*QUICK, "data.classes=[5, 6, 7, 8, 9]", change]
    result = train(load_config(config, second), out=tmp_path / "second")
    assert result.classes == ["5", "6", "7", "8", "9"]
    old, new = (
        dict(TrainedRun.open(tmp_path / n).learner.net.named_parameters())
        for n in ("first", "second")
    )
    assert new["1.weight"].equal(old["1.weight"])
    assert not new["3.weight"].equal(old["3.weight"])


def test_calibration_leaves_what_was_loaded(stored: Path) -> None:
    splits = data.load("digits", steps=8)
    torch.manual_seed(3)
    nets = [build("mlp", splits.train.feature_shape, 10, hidden=[16]) for _ in range(2)]
    path = stored.with_name("digits.safetensors")
    save_file(dict(nets[0].named_parameters()), path)
    source = weights(nets[0])
    transfer = {"source": str(path), "fresh": ["3.*"], "freeze": ["1.*"]}
    fit(nets[1], splits, epochs=1, device="cpu", transfer=transfer)
    after = dict(nets[1].named_parameters())
    assert after["1.weight"].equal(source["1.weight"])
    assert not after["3.weight"].equal(source["3.weight"])
