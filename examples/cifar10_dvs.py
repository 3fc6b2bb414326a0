"""CIFAR10-DVS, all of it: images of CIFAR-10 moved before a real event camera, 10 classes.

    lfp-snn data fetch cifar10_dvs --to FOLDER
    python examples/cifar10_dvs.py FOLDER --augment

FOLDER holds <class>/<image>.aedat4. No split was published: a fifth tests, and the draw is kept
beside the data. For one GPU; on a CPU take --width 0.125.

Measured: nothing; the recordings were not at hand. What VGGs of nine layers read on N-MNIST, with
and without batch norm and beside a surrogate gradient, is in docs/results/comparisons.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from lfp_snn import fit
from lfp_snn.data import load
from lfp_snn.models import build

#: Acts on events, in training alone; follows from seed, epoch and recording.
AUGMENTATION = [{"name": "flip"}, {"name": "shift"}, {"name": "drop_event"}]


def main(arguments: Sequence[str] | None = None) -> float:
    """Train and test; gives the test accuracy."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("root", help="folder of CIFAR10-DVS")
    parser.add_argument("--width", type=float, default=0.5, help="channels, relative to VGG-11")
    parser.add_argument("--steps", type=int, default=10, help="time steps of a recording")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--augment", action="store_true", help="flip, shift, drop events")
    parser.add_argument(
        "--validation", type=float, default=0.125, help="share of the training part"
    )
    given = parser.parse_args(arguments)

    splits = load(
        "cifar10_dvs",
        root=given.root,
        steps=given.steps,
        augment=AUGMENTATION if given.augment else [],
        validation=given.validation,
    )
    shape, classes = splits.train.feature_shape, len(splits.train.classes)
    result = fit(
        build("vgg11", shape, classes, width=given.width),
        splits,
        learner={"name": "lfp", "statistics": "through"},  # of batch norms
        epochs=given.epochs,
        batch_size=32,
        seed=0,
        workers=2,  # threads that read ahead
    )
    print(f"test accuracy {result.test_accuracy:.1%} of {result.samples['test']} recordings")
    return result.test_accuracy


if __name__ == "__main__":
    main()
