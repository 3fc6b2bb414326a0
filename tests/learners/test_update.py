"""Forms of the update, normalisation and clipping by layer."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lfp_snn import TemporalLFP
from lfp_snn.data import Batch
from lfp_snn.errors import ConfigError
from lfp_snn.learners.lfp import LFP
from lfp_snn.learners.update import UpdateOptions, clip_layers, normalise
from lfp_snn.rewards import RateCoded
from lfp_snn.rules import AlphaBeta, Epsilon, Gamma, Rule, Update
from lfp_snn.spikes import Spikes
from tests.engine.compare import assert_near, csnn, feedback_of, mlp, signals, trains


def feedback(net: nn.Module, update: Update, rule: Rule, backend: str) -> dict[str, Tensor]:
    lfp = TemporalLFP(net, rule, backend, update)
    shape = (1, 3, 3) if isinstance(net[0], nn.Conv2d) else (6,)  # type: ignore[index]
    lfp.backward(signals(lfp.forward(trains(5, 3, *shape))))
    return feedback_of(net)


@pytest.mark.parametrize("backend", ["torch", "events"])
@pytest.mark.parametrize("build", [mlp, csnn])
@pytest.mark.parametrize("rule", [Epsilon(0.1), Gamma(0.5), AlphaBeta(2, 1)], ids=repr)
def test_forms_agree_with_what_they_make_of_the_sums(build: Any, rule: Rule, backend: str) -> None:
    net = build()
    chosen = int(feedback(net, Update("hebbian"), rule, backend)["0.weight"].abs().argmax())
    net[0].weight.data.view(-1)[chosen] = 0.0
    sums = feedback(net, Update("hebbian"), rule, backend)
    lfp = feedback(net, Update(), rule, backend)
    floored = feedback(net, Update(floor=0.3), rule, backend)
    oja = feedback(net, Update("oja"), rule, backend)
    assert not lfp["0.weight"].view(-1)[chosen]
    assert floored["0.weight"].view(-1)[chosen]
    for name, parameter in net.named_parameters():
        size = parameter.detach().abs()
        assert_near(lfp[name], size * sums[name])
        assert_near(floored[name], size.clamp(min=0.3) * sums[name])
        if parameter.dim() == 1:
            assert_near(oja[name], sums[name])
            continue
        for j, (w, g) in enumerate(zip(parameter.detach(), sums[name], strict=True)):
            assert_near(oja[name][j], g - (w * g).sum().abs() * w)


def test_weights_of_zero_come_back_only_over_a_floor() -> None:
    net = mlp()
    net[2].weight.data.zero_()
    net[2].bias.data.fill_(2.0)
    assert not feedback(net, Update(), Epsilon(), "events")["2.weight"].any()
    assert feedback(net, Update(floor=0.01), Epsilon(), "events")["2.weight"].any()


def test_normalisation_gives_every_parameter_the_same_size() -> None:
    net = mlp()
    for by in ("max", "norm"):
        before = feedback(net, Update(), Epsilon(), "torch")
        net[0].bias.grad.zero_()
        normalise(net, by)
        for name, parameter in net.named_parameters():
            assert torch.equal(parameter.grad, -parameter.feedback)
            if name == "0.bias":
                assert not parameter.grad.any()
                continue
            size = before[name].abs().max() if by == "max" else before[name].norm()
            assert_near(parameter.feedback, before[name] / size)


def test_clipping_shortens_long_layers_and_leaves_others() -> None:
    net = mlp()
    before = feedback(net, Update(), Epsilon(), "torch")
    lengths = {k: torch.cat([before[f"{k}.{w}"].flatten() for w in ("weight", "bias")]).norm()
               for k in ("0", "2")}  # fmt: skip
    limit = float(sum(lengths.values()) / 2)
    long, short = sorted(lengths, key=lambda k: -float(lengths[k]))
    clip_layers(net, limit)
    for name, parameter in net.named_parameters():
        if name.startswith(short):
            assert torch.equal(parameter.feedback, before[name])
        else:
            assert_near(parameter.feedback, before[name] * limit / lengths[long])


def test_the_learner_applies_its_options() -> None:
    net = mlp().float()
    batch = Batch(Spikes.from_dense(trains(5, 3, 6).float()), torch.tensor([0, 1, 2]))
    learner = LFP(
        net,
        Epsilon(0.1),
        RateCoded(),
        update=UpdateOptions(form="hebbian", normalise="norm", clip=0.5),
    )
    assert learner.engine.update == Update("hebbian")
    learner.feedback(batch)
    for k in (0, 2):
        grads = [p.grad.flatten() for p in net[k].parameters() if p.grad is not None]
        assert float(torch.cat(grads).norm()) == pytest.approx(0.5)


def test_options_that_contradict_each_other() -> None:
    with pytest.raises((ConfigError, ValueError), match="no factor"):
        UpdateOptions(form="oja", floor=0.1)
