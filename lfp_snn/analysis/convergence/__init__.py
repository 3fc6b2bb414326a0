"""How a rule converges: reward over steps, and whether its update looks like a gradient, by layer.

Every rule trains networks of several depths with several seeds. A comparison's machinery
(:mod:`lfp_snn.analysis.compare`) runs the cells; finished ones stay finished.

plan       what a config asks for: rules, depths, what updates are held against
probe      a learner that notes its rewards and the direction of its updates
cells      one training, probed
session    the whole grid, from its config to its report
results    what came out, and what may be concluded
figures    the plots
report     the page
"""
