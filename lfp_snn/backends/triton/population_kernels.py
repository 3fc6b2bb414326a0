"""A population in one pass: its norm with given statistics, the scan over T, and the max pool.

A program owns a block of windows of the pool (single neurons where there is none) and walks them
through time, ``CHUNK`` steps at a time: the currents of a chunk are loaded at once, and its
membranes stay in registers. Forwards nothing of a neuron is written but its membrane at the border
of each chunk; the spikes of a window, 8 steps to a byte, leave. Backwards, the chunks are taken
from the last to the first: from the membrane at its border each is run once more, and then credit
goes back through it. So a neuron step moves its current twice, its credit at most and its ``n``
once, half a byte of borders each way, and a bit of a spike. To keep membranes instead would take
four bytes more to write, and could not give the currents back where a norm must have them.

A column is one neuron of one sample, ``[B, C, H, W]`` flattened; the members of a window lie along
axis 0 of all tiles, the windows of a block along axis 1.
"""

# Triton reads annotations and globals of a kernel itself: no postponed annotations here.
import triton
import triton.language as tl

from lfp_snn.backends.triton.steps import compared, counted, step, step_back

__all__ = ["CHUNK", "backward_kernel", "forward_kernel", "unpack_kernel"]

#: Steps whose membranes are in registers at once; their spikes fill a byte.
CHUNK = tl.constexpr(8)


@triton.jit
def _windows(  # type: ignore[no-untyped-def]
    windows, height, width, down, along, high, wide,
    HIGH: tl.constexpr, WIDE: tl.constexpr, MEMBERS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The columns of a block of windows, those that are there, and the place of each window.

    A map of ``height`` x ``width`` has ``down`` x ``along`` windows of ``HIGH`` x ``WIDE`` members,
    of which ``high`` x ``wide`` are pooled; a pool leaves those out that reach beyond its end.
    """
    window = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)[None, :]
    member = tl.arange(0, MEMBERS)[:, None]
    if HIGH * WIDE == 1:
        column = window + member
        inside = column < windows
        return column, inside, window, window < windows
    map_, rest = window // (down * along), window % (down * along)
    row, place = rest // along, rest % along
    y, x = row * HIGH + member // WIDE, place * WIDE + member % WIDE
    inside = (window < windows) & (member < HIGH * WIDE) & (y < height) & (x < width)
    pooled = (window < windows) & (row < high) & (place < wide)
    return (map_ * height + y) * width + x, inside, (map_ * high + row) * wide + place, pooled


@triton.jit
def _first(fired, MEMBERS: tl.constexpr):  # type: ignore[no-untyped-def]
    """The member of each window that its pool takes: the first that spiked, else the first."""
    member = tl.arange(0, MEMBERS)[:, None]
    first = tl.min(tl.where(fired, member, MEMBERS), axis=0, keep_dims=True)
    return tl.where(first == MEMBERS, 0, first)


@triton.jit
def forward_kernel(  # type: ignore[no-untyped-def]
    currents, mean, scale, shift, beta, theta, state, lengths, spikes, borders, final, counts,
    steps, columns, windows, pooled, units, space, height, width, down, along, high, wide,
    RESET: tl.constexpr, DELAY: tl.constexpr, CONSTANT: tl.constexpr,
    BETAS: tl.constexpr, THETAS: tl.constexpr, NORMED: tl.constexpr,
    HAS_STATE: tl.constexpr, HAS_LENGTHS: tl.constexpr,
    HIGH: tl.constexpr, WIDE: tl.constexpr, MEMBERS: tl.constexpr,
    FLOAT: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Run neurons: ``x`` [T, columns] to spikes [T / 8, pooled], borders, last membranes, counts.

    ``NORMED``: the current is ``(x - mean) * scale + shift``, one of each for a channel of
    ``space`` units. ``counts`` [programs] gets the number of spikes of a program's neurons.
    """
    column, inside, place, taken = _windows(
        windows, height, width, down, along, high, wide, HIGH, WIDE, MEMBERS, BLOCK
    )
    unit = column % units
    decay, threshold = tl.load(beta), tl.load(theta)
    if BETAS:
        decay = tl.load(beta + unit, mask=inside, other=0)
    if THETAS:
        threshold = tl.load(theta + unit, mask=inside, other=0)
    if NORMED:
        centre = tl.load(mean + unit // space, mask=inside, other=0)
        slope = tl.load(scale + unit // space, mask=inside, other=0)
        offset = tl.load(shift + unit // space, mask=inside, other=0)
    w = tl.zeros([MEMBERS, BLOCK], FLOAT)
    if HAS_STATE:
        w = tl.load(state + column, mask=inside, other=0)
    until = tl.where(inside, steps, 0)
    end = until
    if HAS_LENGTHS:
        end = tl.load(lengths + column // units, mask=inside, other=0)
    number = tl.zeros([MEMBERS, BLOCK], tl.int32)
    first = tl.full((), 0, tl.int64)  # T times the columns may be more than 32 bits count
    for _ in range(tl.cdiv(steps, CHUNK)):
        given = ()
        for k in tl.static_range(CHUNK):
            from_ = currents + column
            if not CONSTANT:
                from_ += (first + k) * columns
            x = tl.load(from_, mask=first + k < until, other=0).to(FLOAT)
            if NORMED:
                x = (x - centre) * slope + offset
            given = given + (x,)  # type: ignore[assignment]  # noqa: RUF005
        bits = tl.zeros([1, BLOCK], tl.int32)
        for k in tl.static_range(CHUNK):
            alive = first + k < end
            fired, following = step(w, given[k], decay, threshold, RESET, DELAY)
            fired &= alive
            w = tl.where(alive, following, w)
            number += fired.to(tl.int32)
            bits |= tl.max(fired.to(tl.int32), axis=0, keep_dims=True) << k
        chunk = first // CHUNK
        tl.store(spikes + chunk * pooled + place, bits.to(tl.uint8), mask=taken)
        first += CHUNK
        tl.store(borders + chunk * columns + column, w, mask=first < until)
    tl.store(final + column, w, mask=inside)
    tl.store(counts + tl.program_id(0), tl.sum(tl.sum(number, axis=1), axis=0))


@triton.jit
def backward_kernel(  # type: ignore[no-untyped-def]
    arrived, currents, mean, inverse, gamma, shift, common, slope,
    beta, theta, state, lengths, borders, carried, n, handed, sums,
    steps, columns, windows, pooled, units, space, height, width, down, along, high, wide,
    RESET: tl.constexpr, DELAY: tl.constexpr, CONSTANT: tl.constexpr,
    BETAS: tl.constexpr, THETAS: tl.constexpr, NORMED: tl.constexpr,
    HAS_STATE: tl.constexpr, HAS_LENGTHS: tl.constexpr, HAS_CARRIED: tl.constexpr,
    WRITES: tl.constexpr, SUMS: tl.constexpr, THROUGH: tl.constexpr,
    FORM: tl.constexpr, CARRY: tl.constexpr, EPS: tl.constexpr,
    HIGH: tl.constexpr, WIDE: tl.constexpr, MEMBERS: tl.constexpr,
    FLOAT: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Run credit: from what ``arrived`` [T, pooled] to ``n`` [T, columns], and what is handed on.

    ``WRITES``: ``n`` is written, as it is at the input of the norm if there is one: with its
    statistics fixed, or ``THROUGH`` them, where a channel loses ``common + hat * slope``. ``SUMS``:
    the sums over T of ``n`` and of ``n * hat``, at the output of the norm, go to [2, columns].
    """
    column, inside, place, taken = _windows(
        windows, height, width, down, along, high, wide, HIGH, WIDE, MEMBERS, BLOCK
    )
    member = tl.arange(0, MEMBERS)[:, None]
    unit = column % units
    decay, threshold = tl.load(beta), tl.load(theta)
    if BETAS:
        decay = tl.load(beta + unit, mask=inside, other=0)
    if THETAS:
        threshold = tl.load(theta + unit, mask=inside, other=0)
    if NORMED:
        channel = unit // space
        centre = tl.load(mean + channel, mask=inside, other=0)
        spread = tl.load(inverse + channel, mask=inside, other=0)
        grown = tl.load(gamma + channel, mask=inside, other=0)
        offset = tl.load(shift + channel, mask=inside, other=0)
        if THROUGH:
            mean_n = tl.load(common + channel, mask=inside, other=0)
            mean_product = tl.load(slope + channel, mask=inside, other=0)
    start = tl.zeros([MEMBERS, BLOCK], FLOAT)
    if HAS_STATE:
        start = tl.load(state + column, mask=inside, other=0)
    m = tl.zeros([MEMBERS, BLOCK], FLOAT)
    if HAS_CARRIED:
        m = tl.load(carried + column, mask=inside, other=0)
    until = tl.where(inside, steps, 0)
    end = until
    if HAS_LENGTHS:
        end = tl.load(lengths + column // units, mask=inside, other=0)
    total = tl.zeros([MEMBERS, BLOCK], FLOAT)
    product = tl.zeros([MEMBERS, BLOCK], FLOAT)
    begin = tl.where(inside, 0, steps)
    chunks = tl.cdiv(steps, CHUNK)
    first = tl.full((), 0, tl.int64) + (chunks - 1) * CHUNK
    for _ in range(chunks):
        border = borders + (first // CHUNK - 1) * columns + column
        w = tl.where(begin < first, tl.load(border, mask=begin < first, other=0), start)
        given = ()
        for k in tl.static_range(CHUNK):
            from_ = currents + column
            if not CONSTANT:
                from_ += (first + k) * columns
            x = tl.load(from_, mask=first + k < until, other=0).to(FLOAT)
            given = given + (x,)  # type: ignore[assignment]  # noqa: RUF005
        before = ()
        for k in tl.static_range(CHUNK):
            before = before + (w,)  # type: ignore[assignment]  # noqa: RUF005
            current = given[k]  # type: ignore[var-annotated]
            if NORMED:
                current = (current - centre) * (spread * grown) + offset
            _, following = step(w, current, decay, threshold, RESET, DELAY)
            w = tl.where(first + k < end, following, w)
        for k in tl.static_range(CHUNK - 1, -1, -1):
            here = first + k < until
            alive = first + k < end
            current = given[k]
            if NORMED:
                current = (current - centre) * (spread * grown) + offset
            _, _, _, u = compared(before[k], current, decay, threshold, RESET, DELAY)
            counts = here
            if FORM == "spikes":
                counts = alive & counted(u, threshold, FORM)
            elif FORM == "positive" or FORM == "window":
                counts = here & counted(u, threshold, FORM)
            counts &= taken
            if HIGH * WIDE > 1:
                counts &= member == _first(alive & (u > threshold), MEMBERS)
            asked = tl.max(counts.to(tl.int32), axis=0, keep_dims=True) > 0
            from_ = arrived + (first + k) * pooled + place
            credit = tl.load(from_, mask=asked, other=0).to(FLOAT)
            credit, left = step_back(
                before[k], current, m, tl.where(counts, credit, 0.0), decay, threshold,
                RESET, DELAY, FORM, CARRY, EPS,
            )  # fmt: skip
            m = tl.where(here, left, m)
            credit = tl.where(here, credit, 0.0)
            if NORMED:
                hat = (given[k] - centre) * spread
                if SUMS:
                    total += credit
                    product += credit * hat
                if THROUGH:
                    lost = tl.where(alive, mean_n + hat * mean_product, 0.0)
                    credit = (credit * grown - lost) * spread
                else:
                    credit *= spread * grown
            if WRITES:
                to = n + (first + k) * columns + column
                tl.store(to, credit.to(n.dtype.element_ty), mask=here)
        first -= CHUNK
    tl.store(handed + column, m, mask=inside)
    if SUMS:
        tl.store(sums + column, total, mask=inside)
        tl.store(sums + columns + column, product, mask=inside)


@triton.jit
def unpack_kernel(  # type: ignore[no-untyped-def]
    packed, spikes, steps, columns, BLOCK: tl.constexpr
):
    """Spikes [T / 8, columns], 8 steps to a byte, to 0 and 1 [T, columns]."""
    column = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = column < columns
    until = tl.where(inside, steps, 0)
    first = tl.full((), 0, tl.int64)
    for _ in range(tl.cdiv(steps, CHUNK)):
        bits = tl.load(packed + first // CHUNK * columns + column, mask=inside, other=0)
        for k in tl.static_range(CHUNK):
            to = spikes + (first + k) * columns + column
            value = ((bits.to(tl.int32) >> k) & 1).to(tl.float32)  # holds both in any type
            tl.store(to, value.to(spikes.dtype.element_ty), mask=first + k < until)
        first += CHUNK
