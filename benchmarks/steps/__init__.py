"""The cost of a training step: ours, beside other toolkits on the same network and input.

**What is timed.** One step is a forward pass over all T, the reward or loss, the backward pass and
the optimizer (Adam). Every contender starts from the same weights, calibrated so that each
population fires alike, takes the same batch, and uses the same number of threads. Steps are
interleaved (A B C A B C ...), so that whatever else the machine does falls on all; the first ones
are a warm-up and are left out. Figures are medians, with the range beside them. The learning rate
is next to nothing: a step costs what it always does, and nobody drifts off to other firing rates.

**What is not.** Each contender gets the input in the form it takes, made before the clock starts:
ours the :class:`~lfp_snn.Spikes` that the loader yields, the others a dense ``[T, B, ...]``. So
the dense frames that the others need cost them nothing here.

**Memory.** A fresh process for each contender loads its kernels on a tiny problem, then takes up
weights and input; from there to the peak of its resident size over three steps is what counts.
"""

from __future__ import annotations


def main() -> None:
    """Read the arguments and measure."""
    from benchmarks.steps.command import app

    app(prog_name="python -m benchmarks steps")
