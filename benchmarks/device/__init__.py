"""A training step on a GPU, its memory and an epoch, beside other toolkits and the roofline.

    python -m benchmarks device --device cuda --tests --out records
    python -m benchmarks device --device cpu --small

One command for a machine that has a GPU: the tests that need one, the networks of the table in
docs/results/speed.md with every contender (eager, as a CUDA graph, under AMP), one linear layer
with neurons over 512 to 16384 of them, and epochs of ``fit``. Each row is written as it is
measured.
"""

from benchmarks.device.command import main

__all__ = ["main"]
