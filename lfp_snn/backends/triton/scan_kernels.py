"""The scans of :mod:`lfp_snn.lif` over time, each as one kernel.

A program owns a block of columns, one for each neuron of each sample, and walks them through all T
steps with the membrane (or ``M``) in registers. Every input is read once and every output written
once: the membrane before a step is that which the step after it has read. Sums and membranes are
float32 (float64 for float64 networks), whatever the type of the currents.
"""

# Triton reads annotations and globals of a kernel itself: no postponed annotations here.
import triton
import triton.language as tl

from lfp_snn.backends.triton.steps import compared, counted, step, step_back

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
        fired, following = step(w, current, decay, threshold, RESET, DELAY)
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
def _opened(  # type: ignore[no-untyped-def]
    spikes,
    previous,
    current,
    decay,
    threshold,
    inside,
    RESET: tl.constexpr,
    DELAY: tl.constexpr,
    FORM: tl.constexpr,
):
    """The places where what arrived counts, and is read."""
    opened = inside
    if FORM == "spikes":
        opened = inside & (tl.load(spikes, mask=inside, other=0) != 0)
    if FORM == "positive" or FORM == "window":
        _, _, _, u = compared(previous, current, decay, threshold, RESET, DELAY)
        opened = inside & counted(u, threshold, FORM)
    return opened


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

    ``last`` is where the last step begins; ``FORM`` says what arrived
    (:func:`~lfp_snn.backends.triton.steps.step_back`).
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
        opened = _opened(
            spikes + at, previous, current, decay, threshold, inside, RESET, DELAY, FORM
        )
        credit = tl.load(arrived + at, mask=opened, other=0).to(FLOAT)
        credit, m = step_back(
            previous, current, m, credit, decay, threshold, RESET, DELAY, FORM, CARRY, EPS
        )
        tl.store(n + at, credit, mask=inside)
        at -= columns
    if HAS_STATE:
        previous = tl.load(state + column, mask=inside, other=0)
    else:
        previous = tl.zeros([BLOCK], FLOAT)
    opened = _opened(spikes + column, previous, first, decay, threshold, inside, RESET, DELAY, FORM)
    credit = tl.load(arrived + column, mask=opened, other=0).to(FLOAT)
    credit, m = step_back(
        previous, first, m, credit, decay, threshold, RESET, DELAY, FORM, CARRY, EPS
    )
    tl.store(n + column, credit, mask=inside)
    tl.store(handed + column, m, mask=inside)
