"""The examples run, on tiny stand-ins of their data in the official layout."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from lfp_snn.models import build
from tests.conftest import REPOSITORY
from tests.data.helpers import write_nmnist
from tools.results.records import Records, RunsRecord

FOLDER = REPOSITORY / "examples"
SMALL = ["--epochs", "1", "--validation", "0.3"]


def _script(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _nmnist(root: Path) -> None:
    digits = [str(digit) for digit in range(10)]
    write_nmnist(root, dict.fromkeys(digits, 4), dict.fromkeys(digits, 1))


def _published(name: str) -> Callable[[Path], object]:
    layouts = pytest.importorskip("tests.data.published.test_layouts", exc_type=ImportError)
    made: Callable[[Path], object] = getattr(layouts, name)
    return made


@pytest.mark.parametrize(
    ("name", "layout", "small"),
    [
        ("nmnist", "nmnist", ["--steps", "4"]),
        ("shd", "shd", ["--hidden", "16", "--bin-ms", "50"]),
        ("dvs_gesture", "gesture", ["--factor", "4", "--halvings", "3", "--width", "0.1",
                                    "--steps", "3"]),
        ("cifar10_dvs", "cifar", ["--width", "0.1", "--steps", "2", "--augment"]),
    ],
)  # fmt: skip
def test_an_example_trains(
    name: str,
    layout: str,
    small: Sequence[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "data"
    (_nmnist if layout == "nmnist" else _published(layout))(root)
    accuracy = _script(name).main([str(root), *SMALL, *small])
    assert 0 <= accuracy <= 1
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith(f"test accuracy {accuracy:.1%} of ")


def test_every_script_says_what_was_measured_and_is_listed() -> None:
    scripts = sorted(FOLDER.glob("*.py"))
    listed = (FOLDER / "README.md").read_text(encoding="utf-8")
    for path in scripts:
        text = path.read_text(encoding="utf-8")
        assert "\nMeasured: " in text
        assert len(text.splitlines()) <= 80
        assert f"]({path.name})" in listed
    assert len(scripts) == 4


def test_the_figure_of_nmnist_is_that_of_its_record() -> None:
    record = Records(REPOSITORY / "docs" / "records").kept["train_nmnist_csnn"]
    assert isinstance(record, RunsRecord)
    low, high = 100 * min(record.test), 100 * max(record.test)
    figure = f"{100 * sum(record.test) / len(record.test):.1f} % ({low:.1f} to {high:.1f})"
    script = _script("nmnist")
    assert figure in script.__doc__
    assert str(script.make_net()) == str(build("csnn", (2, 34, 34), 10))
