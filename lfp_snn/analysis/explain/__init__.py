"""Explanations: what each input event did for an output, and how faithful such a picture is.

The engine that trains explains: relevance that enters at the outputs is sent back through
layers and time, and each input event keeps its share.

The default rule is :class:`~lfp_snn.rules.Norm`, and ``lfp-snn explain`` takes the mean over copies
of a recording that lack a random quarter of its events
(:class:`~lfp_snn.analysis.explain.smooth.SmoothExplainer`). Both were chosen by event flipping on
models and recordings that are not reported on: norm was the best of 11 rules or level with it, for
an MLP and a CSNN, and smoothing raised every rule. What that is worth on other recordings, beside
surrogate gradient times input, is in docs/results/explanations.md. ``Epsilon(conserving=True)``
conserves relevance exactly, where norm loses 1 to 7 %, but turns its sign around where a current is
negative, and is a little less faithful.
"""
