"""Measurements of this project and, where that makes sense, of its peers; not installed with it.

Each module here answers one question, says in its docstring what is measured how, and has a
``main``. ``python -m benchmarks`` lists them and ``python -m benchmarks NAME ...`` runs one, from a
checkout with the development installation.
"""
