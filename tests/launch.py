"""Programs in several processes, as ``torchrun`` starts them."""

from __future__ import annotations

import os
import subprocess
import sys


def torchrun(processes: int, *command: object) -> subprocess.CompletedProcess[str]:
    """Run a program in so many processes, one thread each."""
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    return subprocess.run(
        [sys.executable, *launch, *map(str, command)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
