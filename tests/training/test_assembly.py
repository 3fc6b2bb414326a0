from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lfp_snn.data import Splits
from lfp_snn.learners import Learner
from lfp_snn.training import Config, assemble, load_config, seeded, train
from lfp_snn.training.assembly import build_network
from tests.training.test_loop import same, weights

SMALL = ["epochs=2", "data.train=60", "model.hidden=[12]", "device=cpu", "baseline=false", "seed=3"]


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config(Path(__file__).parents[2] / "configs" / "digits.yaml", SMALL)


@pytest.fixture(scope="module")
def digits(config: Config) -> Splits:
    from lfp_snn.training.assembly import load_splits

    return load_splits(config)


def test_what_is_assembled_trains_to_the_bits_of_a_run(
    config: Config, digits: Splits, tmp_path: Path
) -> None:
    with seeded(config):
        trainer = assemble(config, digits)
        result = trainer.train()
    run = train(config, tmp_path / "run", splits=digits)
    assert (result.test_accuracy, result.confusion) == (run.test_accuracy, run.confusion)
    with seeded(config):
        again = assemble(config, digits)
        again.train()
    assert same(weights(trainer.learner.net), weights(again.learner.net))


def test_random_numbers_follow_from_the_seed_and_the_callers_go_on(
    config: Config, digits: Splits
) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    with seeded(config):
        first = build_network(config, digits)
    assert torch.equal(torch.rand(3), expected)
    with seeded(config):
        second = build_network(config, digits)
    assert same(weights(first), weights(second))


def test_weights_are_transferred_and_frozen(config: Config, digits: Splits, tmp_path: Path) -> None:
    train(config, tmp_path / "run", splits=digits)
    transfer = {"source": str(tmp_path / "run"), "freeze": ["1.*"]}
    other = load_config(
        Path(__file__).parents[2] / "configs" / "digits.yaml", [*SMALL, f"transfer={transfer}"]
    )
    trainer = assemble(other, digits)
    kept = {name: p.clone() for name, p in trainer.learner.net.named_parameters()}
    trainer.train()
    moved = {n for n, p in trainer.learner.net.named_parameters() if not torch.equal(p, kept[n])}
    assert moved == {"3.weight", "3.bias"}


def test_another_learner_may_be_put_around(config: Config, digits: Splits) -> None:
    seen: list[Learner] = []

    def wrap(learner: Learner) -> Learner:
        seen.append(learner)
        return learner

    trainer = assemble(config, digits, wrap=wrap)
    assert seen == [trainer.learner]
