"""Event-driven kernels for CPUs (numba): pure functions on numpy arrays, no engine."""
