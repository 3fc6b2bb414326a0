"""The analysis of runs: figures, reports, comparisons, explanations, pruning, exchange.

Each part is imported by its own name, ``from lfp_snn.analysis.report import write_report``: most
load libraries that the others do without.
"""
