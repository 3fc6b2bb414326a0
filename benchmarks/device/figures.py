"""The figure of one linear layer and its neurons."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from benchmarks.device.cases import LAYERS
from benchmarks.device.measure import DeviceRow
from lfp_snn.analysis.style import STYLES, WIDTH, new_figure, style

__all__ = ["growth_of_layers"]

UNITS = {case.name: case.shape[0] for case in LAYERS}


def growth_of_layers(rows: Sequence[DeviceRow]) -> Figure:
    """A figure of time and peak memory of a step over the number of neurons, all logarithmic.

    The dotted lines are what the roof of the device allows for the calls of a contender.

    Args:
        rows: the rows of all contenders and widths; those that did not run are left out.
    """
    ran = [row for row in rows if row.seconds]
    names = list(dict.fromkeys(row.contender for row in ran))
    with style():
        figure = new_figure(WIDTH, 3.8)
        times, peaks = figure.subplots(1, 2)
        for (colour, dash), name in zip(STYLES * 3, names, strict=False):
            own = [row for row in ran if row.contender == name]
            plain = {"color": colour, "linestyle": dash, "marker": ".", "label": name}
            for axes, what, unit, kind in (
                (times, "median", 1e3, plain),
                (times, "least", 1e3, {"color": colour, "linestyle": ":"}),
                (peaks, "peak", 2**-20, plain),
            ):
                known = [row for row in own if getattr(row, what) is not None]
                if known:
                    widths = [UNITS[row.case] for row in known]
                    axes.plot(widths, [unit * getattr(row, what) for row in known], **kind)
        for axes, label in ((times, "training step [ms]"), (peaks, "peak of a step [MiB]")):
            if axes.lines:  # peaks need not be measured
                axes.set_xscale("log", base=2)
                axes.set_yscale("log")
            axes.set_xlabel("neurons")
            axes.set_ylabel(label)
            axes.xaxis.set_major_formatter("{x:g}")
        times.legend(fontsize=7)
        return figure
