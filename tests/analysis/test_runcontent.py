from __future__ import annotations

import numpy as np
import pytest

from lfp_snn.analysis.runcontent import read_run
from lfp_snn.errors import RunError
from tests.analysis.conftest import LAYERS, STEPS, Run, history, sample


def test_reads_what_was_written(make_run: Run) -> None:
    record = read_run(make_run(epochs=3))
    assert record.name == "digits"
    assert record.config["model"] == {"name": "mlp", "hidden": [256]}
    assert record.run["device"] == "cpu"
    assert list(record.history) == history(3)
    assert record.result is not None
    assert record.result["test_accuracy"] == 0.97654
    assert record.sample is not None
    assert list(record.sample.spikes) == list(LAYERS)
    assert (record.sample.label, record.sample.prediction) == (3, 3)
    for name, (units, _) in LAYERS.items():
        assert record.sample.spikes[name].shape == (STEPS, units)
        assert record.sample.spikes[name].dtype == np.bool_
        np.testing.assert_array_equal(record.sample.spikes[name], sample()[f"spikes/{name}"])


def test_unfinished_run_is_read_as_far_as_it_got(make_run: Run) -> None:
    run = make_run(epochs=4, finished=False)
    (run / "sample.npz").unlink()
    record = read_run(run)
    assert record.result is None
    assert record.sample is None
    assert len(record.history) == 4


def test_torn_last_line_is_passed_over(make_run: Run) -> None:
    run = make_run(epochs=4)
    metrics = run / "metrics.jsonl"
    metrics.write_bytes(metrics.read_bytes()[:-30])
    assert [epoch["epoch"] for epoch in read_run(run).history] == [1, 2, 3]


def test_run_killed_before_the_first_epoch(make_run: Run) -> None:
    run = make_run(finished=False)
    (run / "metrics.jsonl").unlink()
    assert read_run(run).history == ()


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.yaml", b"a: [1"),
        ("config.yaml", b"\xff\xfe"),
        ("config.yaml", b"- 1"),
        ("run.json", b"{"),
        ("run.json", b"[]"),
        ("result.json", b'{"a": '),
        ("metrics.jsonl", b'{"epoch": 1\n{"epoch": 2}\n'),
        ("sample.npz", b"not a zip file"),
        ("sample.npz", b""),
    ],
)
def test_broken_file_is_named(make_run: Run, file: str, content: bytes) -> None:
    run = make_run()
    (run / file).write_bytes(content)
    with pytest.raises(RunError, match=file) as caught:
        read_run(run)
    assert "\n" not in str(caught.value)


def test_sample_without_the_spikes_of_a_layer(make_run: Run) -> None:
    run = make_run()
    arrays = sample()
    del arrays["spikes/1"]
    np.savez(run / "sample.npz", **arrays)
    with pytest.raises(RunError, match=r"sample\.npz"):
        read_run(run)


def test_directory_that_is_no_run(make_run: Run) -> None:
    run = make_run()
    (run / "config.yaml").unlink()
    with pytest.raises(RunError, match="not a run directory"):
        read_run(run)
    with pytest.raises(RunError, match="not a run directory"):
        read_run(run / "nowhere")
