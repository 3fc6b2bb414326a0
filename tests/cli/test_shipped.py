"""Where the shipped configs are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from lfp_snn.cli import shipped
from lfp_snn.errors import ConfigError


def lay_out(root: Path, *files: str) -> Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(f"# {file}\n")
    return root


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (("lfp_snn/configs/a.yaml", "configs/b.yaml", "pyproject.toml"), "lfp_snn/configs/a.yaml"),
        (("lfp_snn/__init__.py", "configs/b.yaml", "pyproject.toml"), "configs/b.yaml"),
        # Somebody else's folder beside an installed package.
        (("lfp_snn/__init__.py", "configs/b.yaml"), None),
    ],
    ids=["wheel", "checkout", "neither"],
)
def test_wheel_then_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: tuple[str, ...], found: str | None
) -> None:
    lay_out(tmp_path, *files)
    monkeypatch.setattr("importlib.resources.files", lambda name: tmp_path / name)
    paths = list(shipped.shipped_configs().values())
    assert paths == ([tmp_path / found] if found else [])


def test_a_path_goes_before_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(lay_out(tmp_path, "digits"))
    assert shipped.find_config("digits") == Path("digits")
    (tmp_path / "digits").unlink()
    assert shipped.find_config("digits").name == "digits.yaml"


def test_what_is_neither_is_an_error() -> None:
    with pytest.raises(ConfigError, match="did you mean nmnist_mlp"):
        shipped.find_config("nmist_mlp.yaml")
    with pytest.raises(ConfigError, match="lfp-snn ls configs lists those"):
        shipped.find_config("qqqqqq")
