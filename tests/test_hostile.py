"""Small files made to harm, each of which once crashed a reader or took gigabytes.

They lie in ``tests/data/hostile``: never open them with another program. The command line is called
with each, in a process beside this one that may crash, and must end in one sentence with exit code
2, within 2 s (of the processor) and 512 MB above what an empty command takes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

pytest.importorskip("h5py")
pytest.importorskip("nir")

HERE = Path(__file__).parent / "data" / "hostile"
MOST_SECONDS, MOST_BYTES = 2.0, 512 << 20
#: Calls of the command line, one after the other; what each came to, a line of JSON.
PROGRAM = """
import json, sys, time
from pathlib import Path
from typer.testing import CliRunner
from importlib import import_module
from lfp_snn.cli import app
from lfp_snn.cli.declared import COMMANDS
from lfp_snn.cli.declared_data import COMMANDS as DATA_COMMANDS

# What a command imports, an empty one takes as well.
for command in (*COMMANDS.values(), *DATA_COMMANDS.values()):
    import_module(command.work.partition(":")[0])

for arguments in json.loads(sys.argv[1]):
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak of memory
    began = time.process_time()
    result = CliRunner().invoke(app, arguments)
    seconds = time.process_time() - began
    status = Path("/proc/self/status").read_text()
    size = int(status.split("VmHWM:")[1].split()[0]) << 10
    print(json.dumps([result.exit_code, result.stderr, seconds, size]), flush=True)
"""


class Outcome(NamedTuple):
    """Exit code, what was said, seconds of the processor, and bytes at the peak."""

    code: int
    told: str
    seconds: float
    size: int


def _braille(name: str) -> Callable[[Path], list[object]]:
    """A pickle in the place of the dataset `braille`."""

    def arguments(folder: Path) -> list[object]:
        if (HERE / name).is_dir():
            return ["train", "braille", f"data.root={HERE / name}"]
        (folder / name).mkdir()
        place = folder / name / "tutorial5_braille_spiking_data.pkl.gz"
        place.write_bytes((HERE / name).read_bytes())
        return ["train", "braille", f"data.root={folder / name}"]

    return arguments


def _recording(name: str) -> Callable[[Path], list[object]]:
    return lambda folder: ["data", "info", HERE / name]


def _network(folder: Path) -> list[object]:
    (folder / "links.nir").write_bytes((HERE / "links.h5").read_bytes())
    return ["import", folder / "links.nir"]


#: Arguments for each file, and what must be said.
CASES: dict[str, tuple[Callable[[Path], list[object]], str]] = {
    "CRASH-sign-3abb4c02": (_recording("CRASH-sign-3abb4c02"), "values are of the type 65535"),
    "bool.npz": (_recording("bool.npz"), "has no events"),
    "cell-huge.mat": (_recording("cell-huge.mat"), "more than there is room for"),
    "links.h5": (_recording("links.h5"), "in two places"),
    "links.nir": (_network, "in two places"),
    "memory.h5": (_recording("memory.h5"), "would unpack to 2048 MiB"),
    "nested.mat": (_recording("nested.mat"), "arrays lie one in the other"),
    "struct-huge.mat": (_recording("struct-huge.mat"), "more than there is room for"),
    "braille-pointer": (_braille("braille-pointer"), "is no pickle of plain data"),
    "braille-out-of-bounds": (_braille("braille-out-of-bounds"), "is no pickle of plain data"),
    "braille-doubled": (_braille("braille-doubled"), "lists one in the other"),
    "ndarray-object.pkl": (_braille("ndarray-object.pkl"), "an array by its size alone"),
    "ndarray-huge.pkl": (_braille("ndarray-huge.pkl"), "an array by its size alone"),
    "shd-labels": (
        lambda folder: ["train", "digits", f"data={{name: shd, root: {HERE / 'shd-labels'}}}"],
        "labels of the shape (30000000,) for 1 recordings",
    ),
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """What an empty command and each file came to, as far as the process lived."""
    folder = tmp_path_factory.mktemp("hostile")
    calls = [["--version"], *([*map(str, make(folder))] for make, _ in CASES.values())]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(calls)],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "LFP_SNN_CACHE": str(folder / "cache")},
        timeout=300,
        check=False,
    )
    lines = [Outcome(*json.loads(line)) for line in done.stdout.splitlines()]
    return dict(zip(["empty", *CASES], lines, strict=False))


def test_every_file_is_tried() -> None:
    assert {path.name for path in HERE.iterdir()} == CASES.keys() - {"links.nir"}


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_in_a_sentence(name: str, outcomes: dict[str, Outcome]) -> None:
    assert name in outcomes, f"the process crashed at {list(CASES)[len(outcomes) - 1]}"
    found, empty = outcomes[name], outcomes["empty"]
    assert found.code == 2, found
    assert found.told.startswith("error: ") and found.told.count("\n") == 1, found.told
    assert CASES[name][1] in found.told
    assert found.seconds < empty.seconds + MOST_SECONDS
    assert found.size < empty.size + MOST_BYTES
