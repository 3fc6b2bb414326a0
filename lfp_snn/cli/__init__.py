"""The command line ``lfp-snn``."""

from lfp_snn.cli.app import app, main

__all__ = ["app", "main"]
