"""Kernels for CUDA devices, in Triton: one launch per population and pass, fused over time.

Products of synapses stay with cuBLAS and cuDNN (:mod:`lfp_snn.backends.torch`, folded over time and
batch); this package has what those libraries have no kernel for. Importing it needs Triton;
:func:`lfp_snn.backends.support.unavailable` says whether it can be imported, and why not.
"""
