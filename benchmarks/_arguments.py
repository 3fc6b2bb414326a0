"""Numbers as arguments of benchmarks, refused by argparse where a benchmark cannot take them."""

from __future__ import annotations

import argparse

__all__ = ["at_least_one", "at_least_zero"]


def at_least_one(text: str) -> int:
    """The whole number that an argument says, such as so many seeds.

    Raises:
        argparse.ArgumentTypeError: it is none, or below one.
    """
    return _whole(text, 1)


def at_least_zero(text: str) -> int:
    """The whole number that an argument says, where none at all is a choice.

    Raises:
        argparse.ArgumentTypeError: it is none, or below zero.
    """
    return _whole(text, 0)


def _whole(text: str, least: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise argparse.ArgumentTypeError(f"{text!r} given; expected a whole number from {least} on")
    return number
