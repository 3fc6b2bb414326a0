"""A LightningModule around a network: what it makes of the weights, logs and refuses."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, TensorDataset

from lfp_snn import calibrate
from lfp_snn.data import Batch, SampleSet
from lfp_snn.errors import ConfigError, DataError, NetworkError
from lfp_snn.learners.lfp import LFP, LFPOptions
from lfp_snn.models import build
from lfp_snn.rewards import FromLoss, SoftmaxRate
from lfp_snn.rules import Epsilon
from lfp_snn.spikes import Spikes
from tests.training.conftest import CLASSES, STEPS, UNITS, make_splits

lightning = pytest.importorskip("lightning")

from lfp_snn.integrations.lightning import LFPModule  # noqa: E402

# Lightning warns of few workers, of private parts of torch, and of what it would do otherwise.
pytestmark = pytest.mark.filterwarnings("ignore")
ADAM = partial(torch.optim.Adam, lr=0.01)


def new_net() -> nn.Sequential:
    torch.manual_seed(0)
    return build("mlp", (UNITS,), CLASSES, hidden=[12])


def weights(net: nn.Module) -> Tensor:
    return nn.utils.parameters_to_vector(net.parameters()).detach()


def loader(part: SampleSet) -> DataLoader[Any]:
    whole = part.batch(range(len(part)))
    assert isinstance(whole.x, Spikes)
    return DataLoader(TensorDataset(whole.x.dense().transpose(0, 1), whole.labels), 6)


def trainer(epochs: int, folder: Path, **options: Any) -> Any:
    return lightning.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=folder,
        **{"enable_checkpointing": False, **options},
    )  # fmt: skip


def test_it_trains_as_the_learner_by_hand(tmp_path: Path) -> None:
    splits = make_splits()
    module = LFPModule(new_net(), optimizer=ADAM, scheduler=lambda o: StepLR(o, 1, 0.5),
                       calibrate=0.1, clip=1.0)  # fmt: skip
    fitted = trainer(2, tmp_path)
    fitted.fit(module, loader(splits.train), loader(splits.val))
    told = {name: float(each) for name, each in fitted.callback_metrics.items()}

    net = new_net()
    learner = LFP.from_options(net, LFPOptions())
    optimizer = ADAM(net.parameters())
    for epoch in range(2):
        optimizer.param_groups[0]["lr"] = 0.01 * 0.5**epoch
        for number, (x, labels) in enumerate(loader(splits.train)):
            batch = Batch(x.transpose(0, 1), labels)
            if not epoch and not number:
                calibrate(learner.engine, batch, 0.1)
            learner.feedback(batch)
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
    torch.testing.assert_close(weights(module.net), weights(net))
    prediction = learner.predict(splits.val.batch(range(15)))
    right = float((prediction.classes == torch.as_tensor(splits.val.labels)).float().mean())
    assert told["val_accuracy"] == pytest.approx(right)
    assert {"train_accuracy", "reward", "firing/1", "firing/3"} <= told.keys()


def test_it_learns_tests_and_predicts(tmp_path: Path) -> None:
    splits = make_splits()
    module = LFPModule(new_net(), optimizer=ADAM, calibrate=0.1)
    fitted = trainer(15, tmp_path)
    fitted.fit(module, loader(splits.train))
    (told,) = fitted.test(module, loader(splits.test), verbose=False)
    assert told["test_accuracy"] > 0.8
    classes = torch.cat(fitted.predict(module, loader(splits.test)))
    right = float((classes == torch.as_tensor(splits.test.labels)).float().mean())
    assert right == pytest.approx(told["test_accuracy"])
    assert module(next(iter(loader(splits.test)))).shape == (STEPS, 6, CLASSES)


def test_it_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    splits = make_splits()
    options: dict[str, Any] = {"optimizer": ADAM, "calibrate": 0.1}
    straight, first, second = (LFPModule(new_net(), **options) for _ in range(3))
    trainer(3, tmp_path).fit(straight, loader(splits.train))
    kept = trainer(1, tmp_path, enable_checkpointing=True)
    kept.fit(first, loader(splits.train))
    kept.save_checkpoint(tmp_path / "kept.ckpt")
    trainer(3, tmp_path).fit(second, loader(splits.train), ckpt_path=tmp_path / "kept.ckpt")
    assert torch.equal(weights(straight.net), weights(second.net))


def test_any_learner_and_constant_currents(tmp_path: Path) -> None:
    labels = torch.arange(30) % CLASSES
    x = nn.functional.one_hot(labels, UNITS) * 2.0 + torch.rand(30, UNITS) / 4
    given = DataLoader(TensorDataset(x, labels), 10)
    module = LFPModule(new_net(), learner={"name": "rstdp"}, steps=STEPS, calibrate=0.1)
    before = weights(module.net).clone()
    trainer(1, tmp_path).fit(module, given)
    assert not torch.equal(before, weights(module.net))
    assert module(next(iter(given))).shape == (STEPS, 10, CLASSES)


def test_it_takes_a_reward_and_a_rule(tmp_path: Path) -> None:
    part, found = loader(make_splits().train), []
    loss = FromLoss(lambda s, y: nn.functional.cross_entropy(s.sum(0), y, reduction="sum") / STEPS)
    for reward in (SoftmaxRate(), loss, "softmax_rate"):
        module = LFPModule(new_net(), reward=reward, rule=Epsilon(0.1), optimizer=ADAM)
        assert module.learner.engine.rule == Epsilon(0.1)
        trainer(1, tmp_path).fit(module, part)
        found.append(weights(module.net))
    torch.testing.assert_close(found[0], found[1], rtol=1e-3, atol=1e-4)
    assert torch.equal(found[0], found[2])
    readout = LFPModule(nn.Sequential(nn.Linear(UNITS, CLASSES)))
    assert isinstance(readout.learner, LFP)
    assert type(readout.learner.reward).__name__ == "SoftmaxValues"


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ({"accumulate_grad_batches": 2}, "leave accumulate_grad_batches out of the Trainer"),
        ({"gradient_clip_val": 1.0}, r"give LFPModule\(net, clip=...\)"),
    ],
)
def test_what_a_trainer_does_with_gradients_is_told(
    option: dict[str, Any], told: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=told):
        trainer(1, tmp_path, **option).fit(LFPModule(new_net()), loader(make_splits().train))


def test_what_does_not_fit_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="LFPModule: learner"):
        LFPModule(new_net(), learner={"name": "nothing"})
    square = DataLoader(TensorDataset(torch.rand(STEPS, STEPS, UNITS), torch.zeros(STEPS).long()),
                        STEPS)  # fmt: skip
    with pytest.raises(DataError, match="say which with layout"):
        trainer(1, tmp_path).fit(LFPModule(new_net()), square)
    several = trainer(1, tmp_path, devices=2, strategy="ddp_fork")
    module = LFPModule(new_net())
    module.trainer = several
    with pytest.raises(NetworkError, match="one process"):
        module.on_fit_start()
