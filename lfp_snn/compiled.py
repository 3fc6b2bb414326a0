"""Loops that numba compiles when they are first called, so that importing them needs no numba."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from threading import RLock
from typing import Any

__all__ = ["compiled"]

_MAKING = RLock()  # threads that put batches together may be the first to call


class _Compiled:
    """A function in plain loops, and what numba makes of it once it is called."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._made: Any = None
        update_wrapper(self, function)

    def __call__(self, *arguments: Any) -> Any:
        """Call the compiled function."""
        return (self._made or self.made())(*arguments)

    def made(self) -> Any:
        """The function of numba; those that it calls are made first, and stand in their module."""
        import numba  # here, for it takes a sixth of a second to import

        with _MAKING:
            if self._made is None:
                names = self._function.__globals__
                for name in self._function.__code__.co_names:
                    if isinstance(called := names.get(name), _Compiled):
                        names[name] = called.made()
                self._made = numba.njit(cache=True, nogil=True)(self._function)
        return self._made


def compiled(function: Callable[..., Any]) -> Any:
    """Let numba compile a function when it is first called, and keep the result on disk.

    Args:
        function: a function of numbers and arrays, which may call others like it but not itself.
    """
    return _Compiled(function)
