"""The scans of :mod:`lfp_snn.lif` over time, each as one kernel.

A program owns a block of columns, one for each neuron of each sample, and walks them through all T
steps with the membrane (or ``M``) in registers. Every input is read once and every output written
once: the membrane before a step is that which the step after it has read. Sums and membranes are
float32 (float64 for float64 networks), whatever the type of the currents.

The order of operations is that of the reference. They must be launched without fused
multiply-adds (``enable_fp_fusion=False``), which round differently: a membrane near its threshold
would spike on one device and not on the other.
"""

# Triton reads annotations and globals of a kernel itself: no postponed annotations here.
import triton
import triton.language as tl

__all__ = ["credit_kernel", "forward_kernel"]


@triton.jit
def forward_kernel(  # type: ignore[no-untyped-def]
    currents,
    beta,
    theta,
    state,
    lengths,
    spikes,
    membranes,
    final,
    steps,
    columns,
    units,
    RESET: tl.constexpr,
    DELAY: tl.constexpr,
    CONSTANT: tl.constexpr,
    BETAS: tl.constexpr,
    THETAS: tl.constexpr,
    HAS_STATE: tl.constexpr,
    HAS_LENGTHS: tl.constexpr,
    FLOAT: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Run neurons: ``I`` [T, columns] (or [1, columns]) to spikes (bool), membranes, and the last.

    ``BETAS`` and ``THETAS`` say whether there is one constant for each of the ``units`` neurons.
    """
    column = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = column < columns
    if BETAS:
        decay = tl.load(beta + column % units, mask=inside, other=0)
    else:
        decay = tl.load(beta)
    if THETAS:
        threshold = tl.load(theta + column % units, mask=inside, other=0)
    else:
        threshold = tl.load(theta)
    if HAS_STATE:
        w = tl.load(state + column, mask=inside, other=0)
    else:
        w = tl.zeros([BLOCK], FLOAT)
    if HAS_LENGTHS:
        end = tl.load(lengths + column // units, mask=inside, other=0)
    if CONSTANT:
        current = tl.load(currents + column, mask=inside, other=0).to(FLOAT)
    at = column  # 64 bits wide: T times the columns may be more than 32 count
    for t in range(steps):
        if not CONSTANT:
            current = tl.load(currents + at, mask=inside, other=0).to(FLOAT)
        pending = w > threshold
        kept = w
        if RESET == "zero" and DELAY:
            kept = tl.where(pending, 0.0, w)
        u = decay * kept + current
        if RESET == "subtract":
            u = tl.where(pending, u - threshold, u)
        fired = u > threshold
        following = u
        if not DELAY:
            if RESET == "subtract":
                following = tl.where(fired & (pending == 0), u - threshold, u)
                following = tl.where(pending & (fired == 0), u + threshold, following)
            if RESET == "zero":
                following = tl.where(fired, 0.0, u)
        if HAS_LENGTHS:
            alive = t < end
            fired = fired & alive
            following = tl.where(alive, following, w)
        tl.store(spikes + at, fired, mask=inside)
        tl.store(membranes + at, following, mask=inside)
        w = following
        at += columns
    tl.store(final + column, w, mask=inside)


@triton.jit
def _epsilon_step_back(  # type: ignore[no-untyped-def]
    at,
    previous,
    current,
    m,
    arrived,
    spikes,
    n,
    decay,
    threshold,
    inside,
    RESET: tl.constexpr,
    DELAY: tl.constexpr,
    FORM: tl.constexpr,
    FLOAT: tl.constexpr,
    EPS: tl.constexpr,
):
    """Write ``n_t`` and return ``M_t``."""
    if FORM == "spikes":
        # Credit counts at spikes alone; elsewhere it is not even read.
        fired = tl.load(spikes + at, mask=inside, other=0) != 0
        relevance = tl.load(arrived + at, mask=inside & fired, other=0).to(FLOAT)
    else:
        relevance = tl.load(arrived + at, mask=inside, other=0).to(FLOAT)
    kept = previous
    if RESET == "zero" and DELAY:
        kept = tl.where(previous > threshold, 0.0, previous)
    decayed = decay * kept
    credit = (relevance + m) / (tl.abs(kept) + tl.abs(decayed + current - kept) + EPS)
    tl.store(n + at, credit, mask=inside)
    return credit * decayed


@triton.jit
def _rescaled_step_back(  # type: ignore[no-untyped-def]
    at,
    previous,
    current,
    handed,
    arrived,
    n,
    decay,
    threshold,
    inside,
    RESET: tl.constexpr,
    DELAY: tl.constexpr,
    FORM: tl.constexpr,
    CARRY: tl.constexpr,
    FLOAT: tl.constexpr,
    EPS: tl.constexpr,
):
    """Write ``n_t`` and return the numerator of what the step before takes of it."""
    pending = previous > threshold
    kept = previous
    if RESET == "zero" and DELAY:
        kept = tl.where(pending, 0.0, previous)
    decayed = decay * kept
    u = decayed + current
    if RESET == "subtract":
        u = tl.where(pending, u - threshold, u)
    distance = tl.abs(u - threshold)
    endless = distance == float("inf")  # a threshold that is never reached
    opened = inside
    if FORM == "positive":
        opened = inside & ((u > 0) | endless)
    if FORM == "window":
        opened = inside & ((distance < threshold) | endless)
    # Where the gate is shut credit is not even read.
    credit = tl.load(arrived + at, mask=opened, other=0).to(FLOAT)
    if FORM != "membrane":
        credit = tl.where(endless, credit, 1 / (distance + threshold + EPS) * credit)
    if CARRY == "reference":
        handed = handed / (tl.abs(kept) + tl.abs(decayed + current - kept) + EPS)
    if RESET == "zero" and not DELAY:
        handed = tl.where(u > threshold, 0.0, handed)
    credit += handed
    tl.store(n + at, credit, mask=inside)
    left = decay
    if CARRY == "reference":
        left = decayed
    elif RESET == "zero" and DELAY:
        left = tl.where(pending, 0.0, decay)
    return left * credit


@triton.jit
def _step_back(  # type: ignore[no-untyped-def]
    at,
    previous,
    current,
    m,
    arrived,
    spikes,
    n,
    decay,
    threshold,
    inside,
    RESET: tl.constexpr,
    DELAY: tl.constexpr,
    FORM: tl.constexpr,
    CARRY: tl.constexpr,
    FLOAT: tl.constexpr,
    EPS: tl.constexpr,
):
    """Go one step backwards by the rule that a form belongs to."""
    if FORM == "relevance" or FORM == "spikes":
        handed = _epsilon_step_back(
            at, previous, current, m, arrived, spikes, n, decay, threshold, inside,
            RESET, DELAY, FORM, FLOAT, EPS,
        )  # fmt: skip
    else:
        handed = _rescaled_step_back(
            at, previous, current, m, arrived, n, decay, threshold, inside,
            RESET, DELAY, FORM, CARRY, FLOAT, EPS,
        )  # fmt: skip
    return handed


@triton.jit
def credit_kernel(  # type: ignore[no-untyped-def]
    arrived,
    spikes,
    membranes,
    currents,
    beta,
    theta,
    state,
    carried,
    n,
    handed,
    steps,
    last,
    columns,
    units,
    RESET: tl.constexpr,
    DELAY: tl.constexpr,
    CONSTANT: tl.constexpr,
    BETAS: tl.constexpr,
    THETAS: tl.constexpr,
    HAS_STATE: tl.constexpr,
    HAS_CARRIED: tl.constexpr,
    FORM: tl.constexpr,
    CARRY: tl.constexpr,
    FLOAT: tl.constexpr,
    EPS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Run credit: from what ``arrived`` [T, columns] to ``n`` and what is handed on [columns].

    ``last`` is where the last step begins. ``FORM`` says what arrived. LFP-epsilon
    (:func:`lfp_snn.lif.credit`): "relevance", or credit of the "spikes", ``R = s c``. Rescale
    (:func:`lfp_snn.lif.rescale`): credit of spikes that passes where the gate "positive" or
    "window" is open, or everywhere ("open"), or credit of the "membrane".
    """
    column = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = column < columns
    if BETAS:
        decay = tl.load(beta + column % units, mask=inside, other=0)
    else:
        decay = tl.load(beta)
    if THETAS:
        threshold = tl.load(theta + column % units, mask=inside, other=0)
    else:
        threshold = tl.load(theta)
    if HAS_CARRIED:
        m = tl.load(carried + column, mask=inside, other=0)
    else:
        m = tl.zeros([BLOCK], FLOAT)
    current = tl.load(currents + column, mask=inside, other=0).to(FLOAT)
    first = current
    at = column + last
    for _ in range(steps - 1):
        if not CONSTANT:
            current = tl.load(currents + at, mask=inside, other=0).to(FLOAT)
        previous = tl.load(membranes + at - columns, mask=inside, other=0)
        m = _step_back(
            at, previous, current, m, arrived, spikes, n, decay, threshold, inside,
            RESET, DELAY, FORM, CARRY, FLOAT, EPS,
        )  # fmt: skip
        at -= columns
    if HAS_STATE:
        previous = tl.load(state + column, mask=inside, other=0)
    else:
        previous = tl.zeros([BLOCK], FLOAT)
    m = _step_back(
        column, previous, first, m, arrived, spikes, n, decay, threshold, inside,
        RESET, DELAY, FORM, CARRY, FLOAT, EPS,
    )  # fmt: skip
    tl.store(handed + column, m, mask=inside)
