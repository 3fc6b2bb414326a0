"""How many spikes does another order of additions flip?

    python -m benchmarks flips --root datasets/NMNIST

Sums in float32 depend on their order, so that a membrane which lies on the threshold may end up on
its other side. Counts the spikes of every population that differ between the events backend and the
reference on the same recordings and weights, and how far the feedback of a layer is apart.
"""

import argparse
from pathlib import Path

import torch

from benchmarks._arguments import at_least_one
from lfp_snn import TemporalLFP
from lfp_snn.data import load
from lfp_snn.models import build
from lfp_snn.rewards import RateCoded
from lfp_snn.rules import Epsilon
from lfp_snn.training import calibrate


def main() -> None:
    """Print a row per population and per parameter."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--root", type=Path, help="folder of N-MNIST; else digits are simulated")
    parser.add_argument("--samples", type=at_least_one, default=100)
    arguments = parser.parse_args()
    name = "digits" if arguments.root is None else "nmnist"
    splits = load(name, arguments.root, steps=25)
    batch = splits.train.batch(range(arguments.samples))
    for model, options in (("mlp", {"hidden": [1000]}), ("csnn", {})):
        torch.manual_seed(0)
        net = build(model, splits.train.feature_shape, 10, **options)
        calibrate(TemporalLFP(net), batch)
        spikes, feedback = {}, {}
        for backend in ("torch", "events"):
            lfp = TemporalLFP(net, rule=Epsilon(0.1), backend=backend)
            out = lfp.forward(batch.x)
            spikes[backend] = lfp.layer_spikes()
            lfp.backward(RateCoded()(out, batch.labels))
            feedback[backend] = {
                key: p.grad.clone() for key, p in net.named_parameters() if p.grad is not None
            }
        for layer, reference in spikes["torch"].items():
            flips = int((spikes["events"][layer] != reference).sum())
            total = int(reference.sum())
            print(f"{model} neuron {layer}: {flips} of {total} spikes differ")
        for key, reference in feedback["torch"].items():
            apart = float((feedback["events"][key] - reference).norm() / reference.norm())
            print(f"{model} feedback of {key}: apart by {apart:.1e} of its norm")


if __name__ == "__main__":
    main()
