"""DVS128 Gesture, all of it: 11 gestures before a real event camera, at 128 x 128 pixels.

    lfp-snn data fetch dvs_gesture --to FOLDER
    python examples/dvs_gesture.py FOLDER

FOLDER holds ibmGestureTrain and ibmGestureTest. For one GPU: what a step keeps for its way back is
24 bytes a neuron step there. On a CPU take --halvings 4 --width 0.25 and --factor 4.

Measured: nothing of accuracy; the recordings were not at hand. What a training step of a network of
this size costs is measured in docs/results/speed.md, on input that was made up.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from lfp_snn import fit
from lfp_snn.data import load
from lfp_snn.models import build


def main(arguments: Sequence[str] | None = None) -> float:
    """Train and test; gives the test accuracy."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("root", help="folder of DVS128 Gesture")
    parser.add_argument(
        "--factor", type=int, default=1, help="pixels are merged so many by so many"
    )
    parser.add_argument("--halvings", type=int, default=5, help="convolutions with their pool")
    parser.add_argument("--width", type=float, default=1.0, help="channels, relative to the source")
    parser.add_argument("--steps", type=int, default=20, help="time steps of a recording")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument(
        "--validation", type=float, default=0.125, help="share of the training part"
    )
    given = parser.parse_args(arguments)

    smaller = [{"name": "downsample", "factor": given.factor}] if given.factor > 1 else []
    splits = load(
        "dvs_gesture",
        root=given.root,
        steps=given.steps,
        preprocess=smaller,
        validation=given.validation,
    )
    shape, classes = splits.train.feature_shape, len(splits.train.classes)
    size = {"width": given.width, "halvings": given.halvings}
    result = fit(
        build("dvs_gesture_net", shape, classes, **size),
        splits,
        # Credit goes through the statistics of batch norms too; without, early layers learn little.
        learner={"name": "lfp", "statistics": "through"},
        epochs=given.epochs,
        batch_size=given.batch_size,
        seed=0,
    )
    print(f"test accuracy {result.test_accuracy:.1%} of {result.samples['test']} recordings")
    return result.test_accuracy


if __name__ == "__main__":
    main()
