"""Errors that a user can mend.

Every message is one sentence that names the file, key or module, says what was found, what is
expected and what to do. The command line prints it without a traceback and exits with code 2.
"""

from importlib.util import find_spec


class LfpSnnError(Exception):
    """The base of every error that the user can mend."""


class NetworkError(LfpSnnError):
    """The network cannot be traced, or one of its stages has no rule."""


class ShapeError(LfpSnnError):
    """A tensor has another shape, type, device or content than the stage that takes it expects."""


class NotFiniteError(ShapeError):
    """NaN or infinity where a number is expected: in an input, a reward, a membrane, feedback."""


class ConfigError(LfpSnnError):
    """A configuration has an unknown key or a value out of range."""


class OtherOutputError(ConfigError):
    """A reward or a loss is made for another kind of output than the network has."""


class DataError(LfpSnnError):
    """A recording, a folder or a dataset cannot be read or does not hold what it should."""


class RunError(LfpSnnError):
    """A run directory cannot be made, written, read or resumed."""


class Interrupted(RunError, SystemExit):
    """Training was asked to stop, and did so with everything saved.

    A script that does not catch it ends without a traceback, with the exit code that shells give a
    program which the signal stopped: 130 after Ctrl-C, 143 after SIGTERM.

    Attributes:
        signum: the number of the signal that asked for it.
        code: the exit code.
    """

    code: int

    def __init__(self, message: str, signum: int) -> None:
        super().__init__(message)
        self.signum = signum
        self.code = 128 + signum


def require(package: str, extra: str) -> None:
    """Say how to install a package that an extra brings.

    Raises:
        NetworkError: the package is not installed.
    """
    if find_spec(package) is None:
        raise NetworkError(
            f"This needs the package {package}, which is not installed: "
            f"pip install 'lfp_snn[{extra}]'."
        )
