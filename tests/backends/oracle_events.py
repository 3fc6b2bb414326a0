"""Slow float64 reference of one spiking layer: loops over samples, time and units.

Written from the equations of the rule (the docstring of ``lfp_snn.lif``), not from the kernels.
"""

from dataclasses import dataclass, field

import numpy as np

from lfp_snn.backends.events.geometry import ConvShape

Routes = dict[tuple[int, ...], list[tuple[tuple[int, int], float]]]


@dataclass
class Cell:
    """A population: constants per unit, and the variant of its dynamics."""

    beta: np.ndarray
    theta: np.ndarray
    reset: str = "subtract"
    delay: bool = True
    eps: float = 1e-6


@dataclass
class Run:
    """What a forward pass over currents [B, T, N] shows."""

    spikes: np.ndarray
    w: np.ndarray
    v: np.ndarray
    p: np.ndarray
    state: np.ndarray
    lengths: np.ndarray = field(default_factory=lambda: np.zeros(0))


def run(
    currents: np.ndarray,
    cell: Cell,
    lengths: np.ndarray | None = None,
    state: np.ndarray | None = None,
) -> Run:
    """Spikes and membranes, step by step."""
    batch, steps, units = currents.shape
    lengths = np.full(batch, steps) if lengths is None else lengths
    spikes, w, v, p = (np.zeros(currents.shape) for _ in range(4))
    state = np.zeros((batch, units)) if state is None else state.astype(np.float64).copy()
    for b in range(batch):
        for t in range(steps):
            for j in range(units):
                beta, theta, last = cell.beta[j], cell.theta[j], state[b, j]
                if t >= lengths[b]:
                    w[b, t, j] = last
                    continue
                r = last > theta
                kept = 0.0 if cell.reset == "zero" and cell.delay and r else last
                total = beta * kept + currents[b, t, j]
                u = total - theta * r if cell.reset == "subtract" else total
                s = u > theta
                new = u
                if not cell.delay and cell.reset == "subtract":
                    new = u - theta * (int(s) - int(r))
                if not cell.delay and cell.reset == "zero":
                    new = (1 - s) * u
                spikes[b, t, j], v[b, t, j], p[b, t, j], w[b, t, j] = s, kept, total, new
                state[b, j] = new
    return Run(spikes, w, v, p, state, lengths)


def credit(shown: Run, relevance: np.ndarray, cell: Cell) -> np.ndarray:
    """``n`` for the relevance [B, T, N] that arrives at the spikes."""
    n = np.zeros_like(relevance)
    batch, _, units = relevance.shape
    for b in range(batch):
        for j in range(units):
            m = 0.0
            for t in reversed(range(shown.lengths[b])):
                v, p = shown.v[b, t, j], shown.p[b, t, j]
                n[b, t, j] = (relevance[b, t, j] + m) / (abs(v) + abs(p - v) + cell.eps)
                m = n[b, t, j] * cell.beta[j] * v
    return n


def conv_matrix(shape: ConvShape, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The convolution as a matrix [outputs units, input units], and the weight at each entry."""
    (h, wd), (oh, ow) = shape.size, shape.out_size
    cin, cout = shape.channels // shape.groups, shape.outputs // shape.groups
    which = np.full((shape.outputs, oh, ow, shape.channels, h, wd), -1)
    for co in range(shape.outputs):
        for ci in range(cin):
            for oy in range(oh):
                for ox in range(ow):
                    for ky in range(shape.kernel[0]):
                        for kx in range(shape.kernel[1]):
                            y = oy * shape.stride[0] + ky * shape.dilation[0] - shape.padding[0]
                            x = ox * shape.stride[1] + kx * shape.dilation[1] - shape.padding[1]
                            if 0 <= y < h and 0 <= x < wd:
                                c = co // cout * cin + ci
                                flat = np.ravel_multi_index((co, ci, ky, kx), weight.shape)
                                which[co, oy, ox, c, y, x] = flat
    which = which.reshape(shape.units, -1)
    return np.where(which >= 0, weight.reshape(-1)[which], 0.0), which


def pool(
    spikes: np.ndarray, kernel: int, stride: int, padding: int, maximum: bool
) -> tuple[np.ndarray, Routes]:
    """Pooled maps, and per window the list of (unit, factor) that its credit goes to."""
    batch, steps, channels, h, w = spikes.shape
    oh, ow = ((n + 2 * padding - kernel) // stride + 1 for n in (h, w))
    out = np.zeros((batch, steps, channels, oh, ow))
    routes: Routes = {}
    for b, t, c, oy, ox in np.ndindex(*out.shape):
        units = [
            (y, x)
            for y in range(oy * stride - padding, oy * stride - padding + kernel)
            for x in range(ox * stride - padding, ox * stride - padding + kernel)
            if 0 <= y < h and 0 <= x < w
        ]
        values = [spikes[b, t, c, y, x] for y, x in units]
        if maximum:
            out[b, t, c, oy, ox] = max(values)
            routes[b, t, c, oy, ox] = [(units[int(np.argmax(values))], 1.0)]
        else:
            out[b, t, c, oy, ox] = sum(values) / kernel**2
            routes[b, t, c, oy, ox] = [(u, 1 / kernel**2) for u in units]
    return out, routes


def pool_back(routes: Routes, credit: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The credit of the pooled maps, handed to the units of the maps."""
    given = np.zeros(shape)
    for (b, t, c, oy, ox), way in routes.items():
        for (y, x), factor in way:
            given[b, t, c, y, x] += factor * credit[b, t, c, oy, ox]
    return given
