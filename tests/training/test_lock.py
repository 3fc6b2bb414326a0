from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lfp_snn.errors import RunError
from lfp_snn.training.lock import locked

PARENT = """
import subprocess, sys, time
from pathlib import Path
from lfp_snn.training.lock import locked

with locked(Path(sys.argv[1])) as lock:
    child = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)", "worker"], pass_fds=[lock.fileno()]
    )
    print(child.pid, flush=True)
    time.sleep(60)
"""


def test_the_message_names_who_has_it(tmp_path: Path) -> None:
    named = rf"in use by process {os.getpid()} on \S+ since 20"
    with locked(tmp_path), pytest.raises(RunError, match=named), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="the system tells nobody's files")
def test_a_child_that_outlives_who_took_it_is_named(tmp_path: Path, repository: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path)]
    with subprocess.Popen(command, cwd=repository, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
    try:
        held = rf"in use by process {child} \(.*worker\) since 20\S+ \S+, "
        told = held + f"which process {parent.pid}, now ended"
        with pytest.raises(RunError, match=told), locked(tmp_path):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
    for _ in range(100):  # until the system has taken it back
        try:
            with locked(tmp_path):
                return
        except RunError:
            time.sleep(0.05)
    pytest.fail("the lock is still held")
