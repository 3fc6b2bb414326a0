"""``lfp-snn cp``: copies of configs, as they are or in full."""

from __future__ import annotations

from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lfp_snn.cli.shipped import find_config
from lfp_snn.errors import RunError
from lfp_snn.later import later
from lfp_snn.wholefiles import write_whole

if TYPE_CHECKING:
    from lfp_snn.analysis import experiments
    from lfp_snn.training import configtext
else:
    experiments = later("lfp_snn.analysis.experiments")
    configtext = later("lfp_snn.training.configtext")

__all__ = ["copy"]


def copy(config: str, dest: Path | None, full: bool) -> None:
    """Copy a config; see :func:`lfp_snn.cli.declared.cp`."""
    source = find_config(config)
    text = _in_full(source) if full else source.read_text(encoding="utf-8")
    target = dest or Path(source.name)
    if target.is_dir():
        target /= source.name
    try:
        write_whole(target, text.encode(), new=True)
    except FileExistsError:
        raise RunError(f"{target} exists already; name another file.") from None
    except OSError as error:
        raise RunError(f"{target} cannot be written: {error.strerror}.") from error
    typer.echo(f"copied to {target}")


def _in_full(path: Path) -> str:
    """Every field of a config, under the comment at the head of the file."""
    head = takewhile(lambda line: line.startswith("#"), path.read_text("utf-8").splitlines())
    return configtext.commented(
        experiments.load_any(path, []), [line.removeprefix("#").strip() for line in head]
    )
