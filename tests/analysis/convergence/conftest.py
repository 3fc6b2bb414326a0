"""The network of the training tests."""

from tests.training.conftest import net

__all__ = ["net"]
