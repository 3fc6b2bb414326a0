"""Arguments of benchmarks: numbers that none can take, and names that there are not."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import benchmarks
from benchmarks import activations, check
from benchmarks._arguments import at_least_one, at_least_zero


def told(
    main: object,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *arguments: str,
) -> str:
    """What a benchmark prints to the error stream when it ends with code 2."""
    assert callable(main)
    monkeypatch.setattr("sys.argv", ["benchmark", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    return capsys.readouterr().err


def test_whole_numbers_are_taken() -> None:
    assert at_least_one("1") == 1 and at_least_zero("0") == 0


@pytest.mark.parametrize("given", ["0", "-1", "1.5", "x"])
def test_too_few_repeats_are_refused(
    given: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = told(check.main, monkeypatch, capsys, f"--repeats={given}")
    assert f"--repeats: '{given}' given; expected a whole number from 1 on" in error


def test_an_unknown_activation_is_told_the_known_ones(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = told(activations.main, monkeypatch, capsys, "--root", "x", "relu", "foo")
    assert "there is no activation 'foo'; there are 'relu', 'tanh'" in error


def test_all_training_samples_are_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []

    class Read(Exception):
        """The config was asked for."""

    def load(_: Path, overrides: list[str]) -> None:
        seen.append(overrides)
        raise Read

    monkeypatch.setattr(activations, "load_config", load)
    for more in ([], ["--train", "7"]):
        monkeypatch.setattr("sys.argv", ["benchmark", "--root", str(tmp_path), *more])
        with pytest.raises(Read):
            activations.main()
    assert seen == [[f"data.root={tmp_path}"], [f"data.root={tmp_path}", "data.train=7"]]


def test_no_benchmark_takes_a_number_without_a_bound() -> None:
    unbounded = [
        f"{path.name}: {ast.unparse(call.args[0])}"
        for path in Path(*benchmarks.__path__).rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("add_argument")
        for given in call.keywords
        if given.arg == "type" and ast.unparse(given.value) == "int"
        if not any(each.arg == "choices" for each in call.keywords)
    ]
    assert not unbounded
