"""What a training step costs under each rule, on events and on torch, interleaved.

    python -m benchmarks rule_steps [--root DATA] [--repeats 15] [--threads 2] [--networks csnn]
                                    [--updates 14]

Forward and backward of mlp (2312-1000-10, batch 100) and csnn (batch 50) at T=25, calibrated to 5 %
of the neurons firing: median and least wall time in ms, and processor time of all threads, which
tells more on a busy machine (with OMP_WAIT_POLICY=passive). With ``--updates`` each network is
measured after so many updates by Adam under its own rule, all by the batch that is measured; an
epoch of 700 recordings has 7 (mlp) or 14 (csnn). Input is real N-MNIST if DATA/NMNIST is there,
else DVS-digits. A rule that a backend does not know is left out. Under ``rescale`` the reward is
credit, also where the output is silent.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

from benchmarks._arguments import at_least_one, at_least_zero
from benchmarks._tables import PrintedColumn, Table
from benchmarks.steps.problem import NETWORKS, Problem, pose, recorded
from lfp_snn import TemporalLFP
from lfp_snn.errors import NetworkError
from lfp_snn.rewards import RateCoded
from lfp_snn.rules import AlphaBeta, Epsilon, Gamma, Norm, Pass, Rescale, Rule, ZPlus

RULES: dict[str, Rule] = {
    "epsilon": Epsilon(0.1),
    "norm": Norm(),
    "pass": Pass(),
    "gamma": Gamma(0.25, eps=0.1),
    "alpha-beta": AlphaBeta(2, 1, eps=0.1),
    "z+": ZPlus(eps=0.1),
    "rescale": Rescale(),
    "rescale, decay": Rescale(carry="decay"),
    "rescale, window": Rescale(gate="window"),
}


def contenders(problem: Problem, rules: list[str], backends: list[str]) -> dict[str, TemporalLFP]:
    """An engine for every rule and backend that goes together."""
    found = {}
    for name in rules:
        for backend in backends:
            try:
                found[f"{name}, {backend}"] = TemporalLFP(problem.build(), RULES[name], backend)
            except NetworkError:
                continue
    return found


def step(lfp: TemporalLFP, problem: Problem) -> tuple[float, float, float]:
    """The milliseconds of the pass forwards, the pass backwards, and of processor time for both."""
    used, start = time.process_time(), time.perf_counter()
    reward = RateCoded(at_silence=isinstance(lfp.rule, Rescale))
    spikes = lfp.forward(problem.x)
    between = time.perf_counter()
    lfp.backward(reward(spikes, problem.labels), as_credit=reward.is_credit)
    end = time.perf_counter()
    return 1e3 * (between - start), 1e3 * (end - between), 1e3 * (time.process_time() - used)


def trained(lfp: TemporalLFP, problem: Problem, updates: int) -> TemporalLFP:
    """The engine after some updates of its network by its own feedback."""
    optimizer = torch.optim.Adam(lfp.parameters(), lr=0.003)
    for _ in range(updates):
        step(lfp, problem)
        torch.nn.utils.clip_grad_norm_(lfp.parameters(), 3.0)
        optimizer.step()
    return lfp


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path("datasets"))
    parser.add_argument("--repeats", type=at_least_one, default=15)
    parser.add_argument("--threads", type=at_least_one, default=2)
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--rules", nargs="*", default=list(RULES), choices=list(RULES))
    parser.add_argument("--backends", nargs="*", default=["events", "torch"])
    parser.add_argument("--updates", type=at_least_zero, default=0)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    titles = ("forward, ms", "backward, ms", "processor time, ms")
    table = Table("network", "rule, backend", *(PrintedColumn(each, "median") for each in titles))
    for network in args.networks:
        batch, source = recorded(args.root, NETWORKS[network].batch)
        problem = pose(NETWORKS[network], batch, source)
        engines = contenders(problem, args.rules, args.backends)
        engines = {name: trained(lfp, problem, args.updates) for name, lfp in engines.items()}
        times: dict[str, list[tuple[float, float, float]]] = {name: [] for name in engines}
        for _ in range(args.repeats + 2):
            for name, lfp in engines.items():
                times[name].append(step(lfp, problem))
        for name, measured in times.items():
            table.row(network, name, *(list(each) for each in zip(*measured[2:], strict=True)))


if __name__ == "__main__":
    main()
