"""The names by which a message calls a setting: a key of the config, or an argument in Python.

Whoever trains from a config, as the command line does, mends ``data.root``; whoever calls
:func:`lfp_snn.data.load` or :func:`lfp_snn.fit` mends the argument ``root``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

__all__ = ["as_argument", "by_config", "option", "setting", "speaks_of_config"]

_BY_CONFIG = ContextVar("by_config", default=False)
_UNSET: Any = object()


@contextmanager
def by_config() -> Iterator[None]:
    """Call settings by the keys of a config in a ``with`` block."""
    token = _BY_CONFIG.set(True)
    try:
        yield
    finally:
        _BY_CONFIG.reset(token)


def speaks_of_config() -> bool:
    """Whether messages call settings by the keys of a config."""
    return _BY_CONFIG.get()


def setting(key: str, value: Any = _UNSET) -> str:
    """The name of a setting in a message, or the setting with a value to give it.

    Args:
        key: the key as a config has it, such as ``learner.memory``; in Python that is
            ``learner['memory']``, and ``data.root`` the argument ``root`` of ``load``.
        value: the value to give it; ``learner.memory=chunked``, in Python
            ``learner={'memory': 'chunked'}``.
    """
    if speaks_of_config():
        return key if value is _UNSET else f"{key}={_yaml(value)}"
    if value is not _UNSET:
        return as_argument(key, value)
    argument, *inner = _argument(key)
    return argument + "".join(f"[{part!r}]" for part in inner)


def option(name: str, value: Any = _UNSET) -> str:
    """The name of an option of a command, such as ``--out``; in Python the argument ``out``.

    Args:
        name: the name of both.
        value: the value that the argument takes for what the option says by being there.
    """
    if speaks_of_config():
        return f"--{name}"
    return name if value is _UNSET else as_argument(name, value)


def as_argument(key: str, value: Any) -> str:
    """The argument of a call that gives the setting ``key`` a value.

    What no config could hold, an object, stands there as the choice of one by its name; a list of
    such things is not written out.
    """
    argument, *inner = _argument(key)
    plain = value is None or isinstance(value, bool | int | float | str | list | dict)
    text = repr(value) if plain else "{'name': ...}"
    if isinstance(value, list) and not all(isinstance(each, int | float | str) for each in value):
        text = "[...]"
    for part in reversed(inner):
        text = f"{{{part!r}: {text}}}"
    return f"{argument}={text}"


def _argument(key: str) -> list[str]:
    """The argument and the keys of the mapping in it; the options of data are arguments."""
    return key.removeprefix("data.").split(".")


def _yaml(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
