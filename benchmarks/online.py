"""Online LFP beside exact LFP: the cosine between their updates, layer by layer, on N-MNIST.

    python -m benchmarks online --root <folder of N-MNIST> [--network mlp|csnn] [--epochs 5]

Each step is rewarded by what was seen up to it (see lfp_snn/learners/online_lfp.py). Online updates
are held against exact LFP with the same rewards, and against exact LFP with the reward of the whole
recording, at the calibrated start and after training with exact LFP. Beside the layers stands the
factor that the constant of the traces replaces: its mean over the steps at which a neuron spikes,
relative to the decay.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from benchmarks._arguments import at_least_one, at_least_zero
from benchmarks.steps.problem import NETWORKS, RULE
from lfp_snn.data import Batch, Loader, load
from lfp_snn.engine import TemporalLFP
from lfp_snn.engine.traces import TracedNeurons
from lfp_snn.models import build
from lfp_snn.rewards import RateCoded
from lfp_snn.spikes import Spikes
from lfp_snn.training import calibrate, fit

REWARD = RateCoded()


def updates(net: nn.Module) -> dict[str, Tensor]:
    """The update of every weight (biases are left out)."""
    return {
        name: parameter.grad.flatten().clone()
        for name, parameter in net.named_parameters()
        if parameter.grad is not None and parameter.dim() > 1
    }


def exact(lfp: TemporalLFP, batch: Batch, rewards: Tensor) -> dict[str, Tensor]:
    """The updates of exact LFP."""
    lfp.forward(batch.x)
    lfp.backward(rewards)
    return updates(lfp.net)


def online(
    lfp: TemporalLFP, batch: Batch, rewards: Tensor, carry: float | None
) -> dict[str, Tensor]:
    """The updates of online LFP with the same rewards."""
    assert isinstance(batch.x, Spikes)
    session = lfp.online(carry=carry)
    for t in range(len(rewards)):
        session.step(batch.x.window(t, t + 1)[0])
        session.learn(rewards[t])
    session.collect()
    return updates(lfp.net)


def step_rewards(lfp: TemporalLFP, batch: Batch) -> Tensor:
    """The rewards of the learner ``online_lfp``."""
    spikes, seen, rewards = lfp.forward(batch.x, record=False), None, []
    for t, now in enumerate(spikes):
        reward, seen = REWARD.step(now, batch.labels, seen)
        rewards.append(reward * (t + 1) / len(spikes))
    return torch.stack(rewards)


def factors(lfp: TemporalLFP, batch: Batch) -> dict[str, float]:
    """The factors ``m_k g_{k-1} / g_k`` over the decay, where a neuron spikes, by neuron."""
    assert isinstance(batch.x, Spikes)
    session, before = lfp.online(), dict[str, Tensor]()
    sums: dict[str, list[Tensor]] = {}
    for t in range(batch.x.steps):
        session.step(batch.x.window(t, t + 1)[0])
        run = session._last
        assert run is not None
        for stage in session.program.spiking():
            assert isinstance(stage, TracedNeurons)
            gain, handed, _ = run.kept[stage]
            if stage.name in before:
                factor = handed * before[stage.name] / gain / stage.neurons.module.beta
                sums.setdefault(stage.name, []).append(factor[stage.spikes(run)[0] > 0])
            before[stage.name] = gain
    return {name: float(torch.cat(found).mean()) for name, found in sums.items()}


def rows(lfp: TemporalLFP, batch: Batch, when: str) -> Iterator[list[str]]:
    """A row of cosines for every layer."""
    rewards = step_rewards(lfp, batch)
    same = exact(lfp, batch, rewards)
    whole = exact(lfp, batch, REWARD(lfp.forward(batch.x, record=False), batch.labels))
    without, carried = (online(lfp, batch, rewards, carry) for carry in (0.0, None))
    shares = list(factors(lfp, batch).values())
    for k, name in enumerate(same):
        pairs = ((without, same), (carried, same), (carried, whole), (same, whole))
        cosines = (torch.cosine_similarity(a[name], b[name], 0) for a, b in pairs)
        yield [when, name, *(f"{float(c):.3f}" for c in cosines), f"{shares[k]:.2f}"]


def main() -> None:
    """Read the arguments, measure, print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--root", required=True, help="folder of N-MNIST")
    parser.add_argument("--network", choices=sorted(NETWORKS), default="mlp")
    parser.add_argument("--beta", type=float, default=0.9)
    parser.add_argument("--epochs", type=at_least_zero, default=5, help="of the training; 0: none")
    parser.add_argument("--samples", type=at_least_one, default=50)
    options = parser.parse_args()

    splits = load("nmnist", options.root)
    batch = next(Loader(splits.train, options.samples, "shuffle", 0).epoch(0))
    network = NETWORKS[options.network]
    torch.manual_seed(0)
    net = build(
        network.model,
        splits.train.feature_shape,
        len(splits.train.classes),
        beta=options.beta,
        **network.options,
    )
    lfp = TemporalLFP(net, RULE)
    calibrate(lfp, batch)
    table = Table(
        "",
        "weights",
        "no carry",
        "online",
        "online, whole reward",
        "exact, whole reward",
        "factor / decay",
    )
    for row in rows(lfp, batch, "start"):
        table.add_row(*row)
    if options.epochs:
        fit(net, splits, epochs=options.epochs, calibrate=None)
        for row in rows(lfp, batch, f"{options.epochs} epochs"):
            table.add_row(*row)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
