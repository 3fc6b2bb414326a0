"""A process that reads mutated files, one after the other, and says what came of each.

    python -m tests.fuzz.worker FOLDER SEED FIRST LAST STEP

Writes a line of JSON before it reads an input and one afterwards, so that whoever started it knows
at which it crashed. Memory is what the process takes above what it had (the peak of resident
memory, reset before each input); time is that of the processor, so that a busy machine is no
finding, less what the sound file takes.
"""

from __future__ import annotations

import gc
import json
import os
import random
import resource
import shutil
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

from lfp_snn.errors import LfpSnnError
from tests.fuzz.mutate import mutated
from tests.fuzz.seeds import Seed, make

ADDRESS_SPACE = 12 << 30
LONGEST_SENTENCE = 2000


def _memory(line: str) -> int:
    """Bytes of a line of /proc/self/status."""
    for each in Path("/proc/self/status").read_text().splitlines():
        if each.startswith(line):
            return int(each.split()[1]) << 10
    raise RuntimeError(f"no {line}")


def _tried(seed: Seed, folder: Path) -> dict[str, Any]:
    """What reading came to: `outcome` is read, refused, or the traceback of what was not caught."""
    Path("/proc/self/clear_refs").write_text("5")
    before, began = _memory("VmRSS"), time.process_time()
    try:
        seed.read(folder)
        outcome = "read"
    except LfpSnnError as error:
        text = str(error)
        # What the machine alone has refused was asked for.
        outcome = "memory" if "takes more memory" in text else "refused"
        if len(text) > LONGEST_SENTENCE:
            outcome = f"a sentence of {len(text)} characters: {text[:200]}"
    except BaseException:
        outcome = traceback.format_exc()
    return {
        "outcome": outcome,
        "seconds": time.process_time() - began,
        "bytes": _memory("VmHWM") - before,
    }


def input_of(
    seeds: list[Seed], root: Path, seed: int, number: int, scratch: Path
) -> tuple[Seed, bytes]:
    """The input of that number: its kind, and the content of the file."""
    rng = random.Random(f"{seed}/{number}")
    chosen = rng.choices(seeds, [each.weight for each in seeds])[0]
    data = (root / chosen.kind.replace(":", "-") / chosen.file).read_bytes()
    return chosen, mutated(chosen.structure, data, rng, scratch)


def main() -> None:
    """Read the inputs FIRST, FIRST + STEP ... below LAST."""
    folder = Path(sys.argv[1])
    seed, first, last, step = map(int, sys.argv[2:])
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # names in any script
    os.environ["LFP_SNN_CACHE"] = str(folder / "cache")
    root, place = folder / "seeds", folder / "now"
    shutil.rmtree(root, ignore_errors=True)
    seeds = make(root)
    plain: dict[str, float] = {}
    for each in seeds:
        for _ in range(2):  # the first loads what it needs
            found = _tried(each, root / each.kind.replace(":", "-"))
        if found["outcome"] != "read":
            raise RuntimeError(f"{each.kind} cannot be read: {found['outcome']}")
        plain[each.kind] = found["seconds"]
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    for number in range(first, last, step):
        chosen, data = input_of(seeds, root, seed, number, folder / "scratch")
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(root / chosen.kind.replace(":", "-"), place)
        (place / chosen.file).write_bytes(data)
        print(json.dumps({"number": number, "kind": chosen.kind}), flush=True)
        found = _tried(chosen, place)
        found["seconds"] -= plain[chosen.kind]
        print(json.dumps(found), flush=True)
        shutil.rmtree(folder / "cache", ignore_errors=True)
        if number % 64 == 0:
            gc.collect()


if __name__ == "__main__":
    main()
