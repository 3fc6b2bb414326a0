"""Explanations: what each input event did for an output, and whether such a picture can be trusted.

The engine that trains explains: relevance that enters at the output spikes is sent back through
layers and time, and each input event keeps its share.

The default rule is :class:`~lfp_snn.rules.Norm`. ``Epsilon(conserving=True)`` conserves relevance
exactly, but turns its sign around where a current is negative, and is a little less faithful in
event flipping (``benchmarks/faithfulness.py``, N-MNIST, three models each, area of the class's
share of output spikes): 0.558 against 0.563 for the MLP and 0.232 against 0.241 for the CSNN. Norm
loses 3 and 7 % of the relevance there. Surrogate gradient times input has 0.546 and 0.267: it is
behind for the MLP and ahead for the CSNN, and ahead for both by the area of accuracy. For contrasts
of two classes LFP is ahead or level by the area of the share, and by that of accuracy ahead for the
CSNN, behind for the MLP. The rule was chosen on these very recordings; the order of the rules is
not tested on others.
"""
