"""Files that nobody meant: every reader is handed thousands of them, and none may mind.

Whatever is in a file, it is read or refused in a sentence, within 2 s and 512 MB above what the
sound file takes. A few hundred inputs are tried by default; `-m slow` tries 20 000. What is found
is tried again alone with ``python -m tests.fuzz.worker FOLDER SEED NUMBER NUMBER+1 1``.
"""

from __future__ import annotations

import collections
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("h5py")
pytest.importorskip("nir")
pytest.importorskip("lz4")
pytest.importorskip("zstandard")

REPOSITORY = Path(__file__).resolve().parents[2]
MOST_SECONDS, MOST_BYTES = 2.0, 512 << 20
SEED = 2026
PATIENCE_S = 60  # for one input


def worker(folder: Path, first: int, last: int, step: int = 1) -> Iterator[dict[str, Any]]:
    """What came of each input; a process that dies is replaced, and its death is an outcome."""
    folder.mkdir(exist_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    while first < last:
        arguments = [str(folder), *map(str, (SEED, first, last, step))]
        with (folder / "log").open("w+") as log, subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.worker", *arguments],
            cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, stderr=log, text=True,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            begun: dict[str, Any] | None = None
            for line in process.stdout:
                said = json.loads(line)
                if begun is None:
                    begun = said
                else:
                    yield begun | said
                    first, begun = begun["number"] + step, None
            process.wait()
            log.seek(0)
            told = log.read()[-2000:]
        if begun is not None:
            crash = f"crash (exit code {process.returncode}) {told}"
            yield {**begun, "outcome": crash, "seconds": 0.0, "bytes": 0}
            first = begun["number"] + step
        else:
            assert process.returncode == 0, told


def findings(outcomes: Iterator[dict[str, Any]]) -> tuple[collections.Counter[str], list[str]]:
    """How many inputs came to what, and what must not be."""
    counts: collections.Counter[str] = collections.Counter()
    found = []
    for each in outcomes:
        outcome = each["outcome"]
        good = outcome in ("read", "refused")
        counts[outcome if good else outcome.split(" ", 1)[0]] += 1
        if each["seconds"] > MOST_SECONDS:
            counts["slow"] += 1
            good = False
        if each["bytes"] > MOST_BYTES:
            counts["large"] += 1
            good = False
        if not good:
            found.append(
                f"{each['number']} {each['kind']}: {each['seconds']:.2f} s, "
                f"{each['bytes'] >> 20} MB, {outcome}"
            )
    return counts, found


def test_a_few_hundred_inputs(tmp_path: Path) -> None:
    counts, found = findings(worker(tmp_path, 0, 300))
    assert not found, "\n".join(found)
    assert counts["refused"] > 100 and counts["read"] > 20, counts


@pytest.mark.slow
def test_twenty_thousand_inputs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counts, found = findings(worker(tmp_path, 300, 20_300))
    with capsys.disabled():
        print(f"\n{sum(counts[name] for name in ('read', 'refused'))} inputs: {dict(counts)}")
    assert not found, "\n".join(found)


def test_it_sees_what_it_looks_for() -> None:
    """A crash, a traceback, memory and time are told apart from what is well."""
    well: dict[str, Any] = {"kind": "k", "number": 0, "outcome": "refused", "seconds": 0.1}
    well["bytes"] = 1 << 20
    ill: list[dict[str, Any]] = [
        {"outcome": "crash (exit code -11)"},
        {"outcome": "Traceback (most recent call last)"},
        {"outcome": "memory"},
        {"seconds": 2.1},
        {"bytes": 600 << 20},
    ]
    counts, found = findings(iter([well, *({**well, **each} for each in ill)]))
    assert len(found) == len(ill) and counts["slow"] == counts["large"] == 1
