"""Learning rules side by side: tuned alike, run over the same seeds, compared with statistics.

spec      the section of a config: learners, their settings, what is tuned and over what
study     the learners as arms of a study
seed      one training of a learner, and what is measured on it
session   a whole comparison, from its study to its report
findings  what was found, as tables and in words
figures   the plots
report    the page
"""
