from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

SOURCE = '''
from lfp_snn.compiled import compiled

@compiled
def summed(numbers):
    """The sum of all."""
    total = 0.0
    for n in range(len(numbers)):
        total += doubled(numbers[n])
    return total / 2

@compiled
def doubled(number):
    return 2 * number
'''


@pytest.fixture
def loops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of two loops, of which the first calls the second, that nothing has called yet."""
    (tmp_path / "loops_of_a_test.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "loops_of_a_test", raising=False)
    import loops_of_a_test  # type: ignore[import-not-found]

    monkeypatch.delitem(sys.modules, "loops_of_a_test")
    return loops_of_a_test  # type: ignore[no-any-return]


def test_a_loop_calls_another(loops: ModuleType) -> None:
    assert (loops.summed.__name__, loops.summed.__doc__) == ("summed", "The sum of all.")
    assert loops.summed(np.arange(4.0)) == 6
    assert loops.doubled(1.5) == 3


def test_threads_may_be_the_first_to_call(loops: ModuleType) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(loops.summed, [np.full(3, float(n)) for n in range(8)])
    assert list(found) == [3.0 * n for n in range(8)]


def test_what_was_compiled_is_kept_on_disk(loops: ModuleType, tmp_path: Path) -> None:
    loops.summed(np.arange(4.0))
    assert {path.name.split(".")[1].split("-")[0] for path in tmp_path.rglob("*.nbi")} == {
        "summed",
        "doubled",
    }


def test_defining_needs_no_numba() -> None:
    code = f"{SOURCE}\nimport sys; assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
