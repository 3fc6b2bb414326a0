"""The activity at which the dense product beats the kernels on events.

    python -m benchmarks crossover

A step of one layer is timed, a linear layer and two convolutions (forward, feedback, and credit of
its input) as events and by way of torch's dense product, in turn, over the share of active inputs.
The activity at which the two cross is what ``dense`` in lfp_snn/engine/events/layer.py stands for.
"""

import argparse
import os
import statistics
import time

import snntorch as snn
import torch
from torch import nn

from benchmarks._arguments import at_least_one
from lfp_snn import Spikes, TemporalLFP
from lfp_snn.engine.events.layer import EventLayer
from lfp_snn.rules import Epsilon

#: Input of a frame, and the synapse.
LAYERS: dict[str, tuple[tuple[int, ...], nn.Module]] = {
    "Linear 2312-1000": ((2312,), nn.Linear(2312, 1000)),
    "Linear 800-10": ((800,), nn.Linear(800, 10)),
    "Conv2d 2-12, 34x34": ((2, 34, 34), nn.Conv2d(2, 12, 5)),
    "Conv2d 12-32, 15x15": ((12, 15, 15), nn.Conv2d(12, 32, 5)),
    "Conv2d 64-128, 12x12": ((64, 12, 12), nn.Conv2d(64, 128, 3)),
}
ACTIVITIES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.85, 1.0)


def neuron() -> snn.Leaky:
    """A neuron behind the layer that is measured."""
    return snn.Leaky(beta=0.9, init_hidden=True)


def layer_alone(synapse: nn.Module, feature: tuple[int, ...]) -> TemporalLFP:
    """The layer behind neurons that hand its input on, so that credit of it is wanted."""
    outputs = synapse(torch.zeros(1, *feature))[0].numel()
    net = nn.Sequential(synapse, neuron(), nn.Flatten(), nn.Linear(outputs, 10), neuron())
    return TemporalLFP(net, rule=Epsilon(0.1), backend="events")


def step(lfp: TemporalLFP, x: Spikes, share: float) -> float:
    """The seconds of a step in which the layer takes lists up to ``share`` active."""
    lfp.forward(x, record=False)  # makes the program, and warms the buffers
    layer = lfp._program.nodes[0].stage
    assert isinstance(layer, EventLayer)
    layer.dense = share
    start = time.perf_counter()
    spikes = lfp.forward(x)
    lfp.backward(torch.ones_like(spikes), input_relevance=True)
    return time.perf_counter() - start


def main() -> None:
    """Print a row per layer and activity."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=at_least_one, default=5)
    parser.add_argument("--batch", type=at_least_one, default=25)
    parser.add_argument("--steps", type=at_least_one, default=25)
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    torch.manual_seed(0)
    print(f"T={arguments.steps}, batch {arguments.batch}, load {os.getloadavg()[0]:.1f}")
    for name, (feature, synapse) in LAYERS.items():
        lfp = layer_alone(synapse, feature)
        for activity in ACTIVITIES:
            shape = (arguments.steps, arguments.batch, *feature)
            x = Spikes.from_dense((torch.rand(shape) < activity).float())
            times: dict[float, list[float]] = {1.0: [], 0.0: []}
            for _ in range(arguments.rounds + 1):
                for share, seconds in times.items():
                    seconds.append(step(lfp, x, share))
            events, dense = (1e3 * statistics.median(s[1:]) for s in times.values())
            print(
                f"{name:22}{activity:6.0%}  events {events:7.1f} ms  dense {dense:7.1f} ms  "
                f"events / dense {events / dense:5.2f}"
            )


if __name__ == "__main__":
    main()
