"""Learning rules side by side: tuned alike, run over the same seeds, compared with statistics.

plan        what a config asks for: learners, their settings, what is tuned and over what
tuning      the search, in Optuna
cells       one training of a comparison, and what is measured on it
worker      the process in which a cell or a trial runs
jobs        several of them at a time, watched
run         the search, then the seeds; what is finished stays finished
session     a whole comparison or sweep, from its config to its report
measures    sparsity, synaptic operations, convergence
statistics  means, intervals, paired differences
results     what came out, as tables and in words
figures     the plots
report      the page
"""
