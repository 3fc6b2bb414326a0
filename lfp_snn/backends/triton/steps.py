"""One time step of a neuron, forwards and backwards: what all scans in Triton are made of.

The order of operations is that of :mod:`lfp_snn.lif`. Kernels must be launched without fused
multiply-adds (``enable_fp_fusion=False``), which round differently: a membrane near its threshold
would spike on one device and not on the other.
"""

# Triton reads annotations and globals of a kernel itself: no postponed annotations here.
import triton
import triton.language as tl

__all__ = ["compared", "counted", "step", "step_back"]


@triton.jit
def compared(  # type: ignore[no-untyped-def]
    previous, current, decay, threshold, RESET: tl.constexpr, DELAY: tl.constexpr
):
    """The pending reset, the kept part, what is left of it, and the membrane ``u``."""
    pending = previous > threshold
    kept = previous
    if RESET == "zero" and DELAY:
        kept = tl.where(pending, 0.0, previous)
    decayed = decay * kept
    u = decayed + current
    if RESET == "subtract":
        u = tl.where(pending, u - threshold, u)
    return pending, kept, decayed, u


@triton.jit
def step(  # type: ignore[no-untyped-def]
    previous, current, decay, threshold, RESET: tl.constexpr, DELAY: tl.constexpr
):
    """Go one step forwards: whether the neurons spike, and their membranes ``w``."""
    pending, _, _, u = compared(previous, current, decay, threshold, RESET, DELAY)
    fired = u > threshold
    following = u
    if not DELAY:
        if RESET == "subtract":
            following = tl.where(fired & (pending == 0), u - threshold, u)
            following = tl.where(pending & (fired == 0), u + threshold, following)
        if RESET == "zero":
            following = tl.where(fired, 0.0, u)
    return fired, following


@triton.jit
def counted(u, threshold, FORM: tl.constexpr):  # type: ignore[no-untyped-def]
    """The places where credit of spikes counts; elsewhere it need not even be read."""
    distance = tl.abs(u - threshold)
    endless = distance == float("inf")  # a threshold that is never reached
    if FORM == "spikes":
        found = u > threshold
    elif FORM == "positive":
        found = (u > 0) | endless
    else:
        found = (distance < threshold) | endless
    return found


@triton.jit
def step_back(  # type: ignore[no-untyped-def]
    previous,
    current,
    handed,
    arrived,
    decay,
    threshold,
    RESET: tl.constexpr,
    DELAY: tl.constexpr,
    FORM: tl.constexpr,
    CARRY: tl.constexpr,
    EPS: tl.constexpr,
):
    """Go one step backwards: the credit ``n``, and what the step before takes of it.

    ``FORM`` says what arrived. LFP-epsilon (:func:`lfp_snn.lif.credit`): "relevance", or credit of
    the "spikes", zero at silence. Rescale (:func:`lfp_snn.lif.rescale`): credit of spikes, zero
    where the gate "positive" or "window" is shut, or everywhere ("open"), or credit of the
    "membrane".
    """
    pending, kept, decayed, u = compared(previous, current, decay, threshold, RESET, DELAY)
    size = tl.abs(kept) + tl.abs(decayed + current - kept) + EPS
    if FORM == "relevance" or FORM == "spikes":
        n = (arrived + handed) / size
        left = n * decayed
    else:
        if FORM != "membrane":
            distance = tl.abs(u - threshold)
            endless = distance == float("inf")
            arrived = tl.where(endless, arrived, 1 / (distance + threshold + EPS) * arrived)
        if CARRY == "reference":
            handed = handed / size
        if RESET == "zero" and not DELAY:
            handed = tl.where(u > threshold, 0.0, handed)
        n = arrived + handed
        factor = decay
        if CARRY == "reference":
            factor = decayed
        elif RESET == "zero" and DELAY:
            factor = tl.where(pending, 0.0, decay)
        left = factor * n
    return n, left
