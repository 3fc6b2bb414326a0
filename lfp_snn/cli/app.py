"""The command ``lfp-snn``: its parts put together, and errors that a user can mend told in a line.

Exit codes: 0 done; 2 a mistake that the user can mend, told in one line; 130 and 143 stopped by
Ctrl-C or SIGTERM with everything saved.
"""

from __future__ import annotations

import errno
import gc
import logging
import os
import signal
import sys
from io import TextIOWrapper
from typing import Annotated, Any

import typer

from lfp_snn import __version__
from lfp_snn.cli.declared import COMMANDS
from lfp_snn.cli.declared_data import COMMANDS as DATA_COMMANDS
from lfp_snn.cli.meant import MeantCommand, MeantGroup
from lfp_snn.errors import Interrupted, LfpSnnError
from lfp_snn.wording import by_config

__all__ = ["app", "main"]

_NAME = 200  # characters of a name in a message


class _Commands(MeantGroup):
    """Group of commands; it tells errors that a user can mend in a line, without a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command, and turn an error into a line and an exit code."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):  # names of files need not be text to be shown
                stream.reconfigure(errors="backslashreplace")
        logging.getLogger("lfp_snn").addHandler(logging.NullHandler())  # commands tell it all
        try:
            with by_config():
                return super().invoke(ctx)
        except typer.Exit:  # a RuntimeError, though nothing went wrong
            raise
        except LfpSnnError as error:
            raise _told(str(error), error) from error
        except UnicodeEncodeError as error:
            # Linux names files with any bytes; Python keeps those that are no text as surrogates.
            if not _is_foreign(error.object):
                raise
            raise _told(
                f"The name {error.object[:_NAME]!a} is not UTF-8 and cannot be written: "
                "rename the file or folder.",
                error,
            ) from error
        except KeyboardInterrupt as error:
            raise _told("Stopped.", Interrupted("", signal.SIGINT)) from error
        except OSError as error:
            if error.errno == errno.EPIPE:  # nobody reads what is printed; no mistake
                raise
            named = f"{error.filename}: " if error.filename else ""
            raise _told(f"{named}{error.strerror or error}.", error) from error
        except (MemoryError, RuntimeError) as error:
            from lfp_snn.training.outofmemory import of_memory  # torch is there already

            if not of_memory(error):
                raise
            raise _told(
                "Memory ran out: make batch_size, data.train or the network smaller.", error
            ) from error


def _is_foreign(text: str) -> bool:
    """Whether a name has bytes that are no UTF-8."""
    return any("\udc80" <= letter <= "\udcff" for letter in text)


def _told(message: str, error: BaseException) -> typer.Exit:
    """Print one line for an error; gives its exit code."""
    rank = os.environ.get("RANK")  # of several processes that train together
    where = "error" if rank is None else f"error in process {rank}"
    typer.echo(f"{where}: {' '.join(message.split())}", err=True)
    return typer.Exit(error.code if isinstance(error, Interrupted) else 2)


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train spiking networks on event data without surrogate gradients.",
)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


_data = typer.Typer(
    cls=MeantGroup, no_args_is_help=True, help="Look at recordings, check and convert them."
)
for _group, _commands in ((app, COMMANDS), (_data, DATA_COMMANDS)):
    for _name, _command in _commands.items():
        _group.command(_name, cls=MeantCommand)(_command)
app.add_typer(_data, name="data")


def main() -> None:
    """The entry point of the command ``lfp-snn``."""
    # What modules define stays, and looking through it for garbage takes long, while it is imported
    # and once more at the end. Collection begins with the work of a command (``arguments.runs``).
    gc.disable()
    try:
        app()
    finally:
        if not gc.isenabled():
            gc.freeze()
