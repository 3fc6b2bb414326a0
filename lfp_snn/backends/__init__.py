"""The kernels behind the engine.

``torch`` is the reference and runs everywhere.
"""
