"""Pruning: which weights can go, and do networks of one learner lose less by it than another's?

criteria   a score for every weight: its size, the relevance that goes through it, chance
ranking    the order in which weights go, and a network without the first of them
curve      test accuracy over the share that is gone
findings   learners side by side, over seeds, and what may be concluded
figures    the plots
report     the page
"""
