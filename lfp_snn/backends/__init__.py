"""The kernels behind the engine, one package or module for each backend.

``torch`` is the reference and runs everywhere.
"""
