"""How the threads of a machine are shared out."""

from __future__ import annotations

import pytest

from lfp_snn.analysis.study.resources import resources, usable_cores


@pytest.mark.parametrize(
    ("asked", "jobs", "threads"), [("6", 1, 6), ("6", 2, 3), ("2,1", 1, 2), ("1", 4, 1)]
)
def test_omp_num_threads_is_heard(
    asked: str, jobs: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert resources(jobs, None).threads == threads
    assert resources(jobs, 5).threads == 5


@pytest.mark.parametrize("asked", ["", "0", "all"])
def test_what_says_nothing_is_passed_over(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert resources(1, None).threads == usable_cores()
