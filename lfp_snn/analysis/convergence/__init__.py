"""Studies of how a rule converges: reward over steps, and how near its update is to a gradient.

Every rule trains networks of several depths with several seeds.

spec      the section of a config: rules, depths, what updates are held against
study     every rule at every depth, as arms of a study
probe     a learner that notes its rewards and the direction of its updates
seed      one training, probed
findings  what was found, and what may be concluded
figures   the plots
report    the page
"""
