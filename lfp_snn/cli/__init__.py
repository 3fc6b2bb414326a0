"""The command line ``lfp-snn``."""

from lfp_snn.cli.commands import app, main

__all__ = ["app", "main"]
