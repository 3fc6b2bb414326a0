"""A search over the settings of one learner, judged on validation data.

spec      the section of a config: what is searched, and how much
study     the search as the only arm of a study
session   a whole sweep, from its study to its report
findings  trials, the best of them, and which settings mattered
figures   the plot
report    the page
"""
