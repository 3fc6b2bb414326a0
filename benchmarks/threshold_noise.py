"""Thresholds that waver while a network trains: do they help LFP and the surrogate to generalise?

    python -m benchmarks threshold_noise --root datasets/NMNIST --seeds 3

At each step of a training every hidden neuron has the threshold ``theta + sigma * xi``, with a
normal ``xi`` of its own that is the same for all samples and steps of time of the batch, so that
both passes agree on it; validation has the threshold as it is. The tasks are those of the recipes
with fully connected layers, trained by Adam at the rates that ``optimizers`` found. The weights of
the last epoch are read on the validation part; nothing is looked up on the test part.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import snntorch as snn
import torch
from torch import nn

from benchmarks._arguments import at_least_one
from benchmarks._tables import PrintedColumn, Table
from benchmarks.recipes import LEARNERS, planned, trained
from lfp_snn.data import Batch
from lfp_snn.learners import LEARNERS as KNOWN
from lfp_snn.learners import Learner, StepResult

RATE = 0.002  # of both learners on both tasks
LEAST = 0.05  # threshold


def main() -> None:
    """Train, and print a row as soon as its seeds are done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="the folder of N-MNIST")
    parser.add_argument("--seeds", type=at_least_one, default=3)
    parser.add_argument("--tasks", nargs="*", default=["digits", "mlp"], choices=["digits", "mlp"])
    parser.add_argument("--learners", nargs="*", default=list(LEARNERS), choices=list(LEARNERS))
    parser.add_argument("--sigmas", nargs="*", type=float, default=[0.0, 0.1, 0.2, 0.3])
    args = parser.parse_args()
    torch.set_num_threads(1)
    validation = PrintedColumn("validation, %", "seeds")
    table = Table("task", "learner", PrintedColumn("sigma", digits=None), validation)
    changes = ["optimizer.name=adam", f"optimizer.lr={RATE}"]
    for task in args.tasks:
        for learner in args.learners:
            plan = planned(task, learner, args.root)
            plan.pop("optimizer", None)
            for sigma in args.sigmas:
                with wavering(KNOWN[learner], sigma):
                    found = [trained(plan, changes, seed)[0] for seed in range(args.seeds)]
                table.row(task, learner, sigma, found)


@contextmanager
def wavering(kind: type[Learner], sigma: float) -> Iterator[None]:
    """Let the hidden thresholds of a kind of learner waver in each step of training."""
    feedback = kind.feedback

    def noisy(learner: Learner, batch: Batch) -> StepResult:
        held = {each: each.threshold for each in _hidden(learner.net)}
        for neurons, units in _hidden(learner.net).items():
            moved = held[neurons] + sigma * torch.randn(units)
            neurons.threshold = moved.clamp(min=LEAST)
        try:
            return feedback(learner, batch)
        finally:
            for neurons, threshold in held.items():
                neurons.threshold = threshold

    with patch.object(kind, "feedback", noisy if sigma else feedback):
        yield


def _hidden(net: nn.Module) -> dict[snn.Leaky, int]:
    """The hidden neurons, each with the number of outputs of the layer before."""
    found, units = {}, 0
    for module in net.modules():
        if isinstance(module, nn.Linear):
            units = module.out_features
        elif isinstance(module, snn.Leaky):
            found[module] = units
    found.popitem()
    return found


if __name__ == "__main__":
    main()
