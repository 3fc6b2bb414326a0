"""How well networks of users learn digits: LFP and the surrogate, both through one call of fit.

    python -m benchmarks own_networks [--seeds 2] [--peaks 0.003 0.01] [--only WORD ...]

The networks are those of `benchmarks/_nets`: snntorch's examples and common kinds, each in its own
style, on the digits of scikit-learn (1197 train, 300 validate, 300 test), shown for ten steps (to
alpha neurons for 25). LFP has its default rule and reward, the surrogate its default loss and
derivative and no clip; both begin calibrated, and take as many steps of Adam on batches of 50 under
one cycle of the learning rate over six epochs, whose peak is chosen for each, where there are
several, by the validation accuracy of the first seed. The weights of the epoch that validates best
are tested.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from typing import Any

import torch
from snntorch import spikegen

import lfp_snn
from benchmarks._arguments import at_least_one
from benchmarks._nets.case import STEPS, UserNetwork
from benchmarks._nets.examples import EXAMPLES
from benchmarks._nets.loops import LOOPS
from benchmarks._nets.operations import OPERATIONS
from benchmarks._tables import PrintedColumn, Table
from benchmarks.tutorials import Part, pixels

GROUPS = {"examples": EXAMPLES, "loops": LOOPS, "operations": OPERATIONS}
LEARNERS: dict[str, dict[str, Any]] = {
    "lfp": {},
    "surrogate": {"learner": {"name": "surrogate"}, "clip": None},
}


def parts(case: UserNetwork) -> tuple[Part, Part, Part]:
    """The digits in the form that a network takes, to train, validate and test."""
    train, val, test = pixels(*((1, 8, 8) if case.takes == "map" else (64,)))
    return given(case, train), given(case, val), given(case, test)


def given(case: UserNetwork, part: Part) -> Part:
    """Images as they are, or as spikes ``[B, T, 64]`` at the rates of their pixels, drawn once."""
    if case.takes != "spikes":
        return part
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return spikegen.rate(part[0], num_steps=STEPS).transpose(0, 1), part[1]


def train(case: UserNetwork, learner: str, peak: float, seed: int) -> tuple[float, float]:
    """The accuracies of a training on the validation and the test part, in percent."""
    torch.manual_seed(seed)
    result = lfp_snn.fit(
        case.make(),
        *parts(case),
        steps=case.steps,
        layout="BT" if case.takes == "spikes" else None,
        epochs=case.epochs,
        optimizer={"lr": peak},
        seed=seed,
        device="cpu",
        progress=False,
        **LEARNERS[learner],
    )
    return 100 * result.val_accuracy, 100 * result.test_accuracy


def trainings(
    case: UserNetwork, learner: str, seeds: int, peaks: Sequence[float]
) -> tuple[float, list[float]]:
    """The best peak of the learning rate by the first seed, and the test accuracies of all."""
    first = {peak: train(case, learner, peak, 0) for peak in peaks}
    peak = max(first, key=lambda each: first[each][0])
    others = [train(case, learner, peak, seed)[1] for seed in range(1, seeds)]
    return peak, [first[peak][1], *others]


def main() -> None:
    """Train all, and print a row as soon as its seeds are done."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=at_least_one, default=2)
    parser.add_argument("--of", nargs="*", default=list(GROUPS), choices=list(GROUPS))
    parser.add_argument("--peaks", nargs="*", type=float, default=[3e-3, 1e-2])
    parser.add_argument("--only", nargs="*", help="words of the names of networks")
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = Table(
        "of",
        "network",
        PrintedColumn("LFP, %", "seeds"),
        PrintedColumn("surrogate, %", "seeds"),
        PrintedColumn("LFP - surrogate, points", sign=True),
        PrintedColumn("peaks of the learning rate", "each", digits=None),
    )
    for group in options.of:
        for case in GROUPS[group]:
            if options.only and not any(word in case.name for word in options.only):
                continue
            (one, lfp), (other, its) = (
                trainings(case, learner, options.seeds, options.peaks) for learner in LEARNERS
            )
            gap = statistics.fmean(lfp) - statistics.fmean(its)
            table.row(group, case.name, lfp, its, gap, [one, other])


if __name__ == "__main__":
    main()
