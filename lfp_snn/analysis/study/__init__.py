"""Studies: many trainings that are looked at together, whatever is asked of them.

spec        what is asked: arms, and what is searched for each
fitting     what is searched for a network of a user, by what it ends in
kinds       what each kind of study says of itself; a kind is registered by its section
session     a whole study: folder, search, seeds
workspace   its folder, which holds one study and belongs to one session or to all that share
resources   processes and threads
state       how far it is
search      the search of every arm, with the trials of Optuna (tuning) kept in a store
seeds       the seeds of every arm, each a training of its own (seedrun)
jobs        several processes at a time, watched
worker      the process in which trials and seeds run
statistics  means, intervals, paired differences
findings    what was found, and what may be concluded
report      the page and the files of that
"""
