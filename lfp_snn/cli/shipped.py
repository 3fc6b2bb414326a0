"""The configurations that come with the package, by name."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from lfp_snn.errors import ConfigError
from lfp_snn.options import nearest
from lfp_snn.shipped import is_shipped, located

__all__ = ["find_config", "find_study", "shipped_configs"]


def shipped_configs() -> dict[str, Path]:
    """The paths of the shipped configurations by name: in the wheel, or in the checkout."""
    package = Path(str(resources.files("lfp_snn")))
    folder = package / "configs"
    if not folder.is_dir() and (package.parent / "pyproject.toml").is_file():
        folder = package.parent / "configs"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_config(given: str) -> Path:
    """The file that is meant by a path, the name of a shipped configuration, or ``hub:NAME``.

    Raises:
        ConfigError: there is neither such a file nor such a name.
        RunError: it is ``hub:NAME``, and no shipped network has that name.
    """
    if is_shipped(given):
        return located(given) / "config.yaml"
    path = Path(given)
    if path.is_file():
        return path
    shipped = shipped_configs()
    if given in shipped:
        return shipped[given]
    if (path / "config.yaml").is_file():
        raise ConfigError(
            f"{given} is a run, and its config is {path / 'config.yaml'}; a training that was "
            f"stopped goes on with lfp-snn train {path / 'config.yaml'} --out {path} --resume"
        )
    # A file that is only missing is no slip of a name, which differs by a letter or two.
    guess = nearest(path.stem, shipped, cutoff=0.75)
    hint = f"did you mean {guess}?" if guess else "lfp-snn ls configs lists those that are shipped."
    raise ConfigError(f"There is no config file {given}; {hint}")


def find_study(given: str, section: str, overrides: Sequence[str]) -> Path:
    """The config of a study that is meant, as :func:`find_config` finds it.

    Args:
        given: what the user named.
        section: the section that makes a config one of the study, and its command.
        overrides: the changes of the config, which may bring the section.

    Raises:
        ConfigError: there is no such file; or it has no such section, and another shipped one has.
    """
    from lfp_snn.training.configfile import read_mapping  # all options come with it

    path, other = find_config(given), f"{section}_{Path(given).stem.removeprefix('hub:')}"
    has = section in read_mapping(path) or any(each.startswith(section) for each in overrides)
    if not has and other in shipped_configs():
        raise ConfigError(
            f"{given} is the config of one training, without a section {section}; did you mean "
            f"lfp-snn {section} {other}?"
        )
    return path
