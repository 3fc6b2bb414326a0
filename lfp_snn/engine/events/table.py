"""The kernels of the events backend: which stages they serve, under which rules."""

from __future__ import annotations

from functools import partial

from lfp_snn.backends.events.formulas import SHARINGS, SPLITS
from lfp_snn.engine.events.convolution import EventConvolution
from lfp_snn.engine.events.linear import EventLinear
from lfp_snn.engine.events.normed_convolution import EventNormedConvolution
from lfp_snn.engine.events.normed_linear import EventNormedLinear
from lfp_snn.engine.events.pool import EventPool
from lfp_snn.engine.events.stage import EventNeurons
from lfp_snn.engine.kernels import Kernel, Table
from lfp_snn.rules import CONTRIBUTION, Active

__all__ = ["TABLE"]

#: Credit of a list is one number for each spike in it.
_SPIKES: tuple[Active, ...] = ("spikes",)
_listed = partial(Kernel, active=_SPIKES)
#: Of spikes, or of the open gates that the neurons below ask for.
_GATED: tuple[Active, ...] = ("spikes", "gate")
_layer = partial(Kernel, splits=SPLITS, sharings=SHARINGS, active=_GATED)
#: Its kernel does not keep the membranes, as an output must.
_convolution = partial(_layer, make=EventConvolution.of, as_output=False)

#: Under a rule that tells signs apart the weights count as they are without the norm.
_normed = partial(
    Kernel,
    make=EventNormedConvolution.of,
    splits=SPLITS,
    sharings=(CONTRIBUTION.name,),
    active=_GATED,
    as_output=False,
)

#: Rows that take in more come first. Neurons that learn their decay or threshold are in none, nor
#: are those whose spikes are graded, and pools whose windows are dilated.
TABLE: Table = (
    _layer("linear", ("Linear", "Leaky"), EventLinear.of),
    *(
        _layer("linear, norm", ("Linear", norm, "Leaky"), EventNormedLinear.of)
        for norm in ("BatchNorm", "BatchNormTT", "LayerNorm", "GroupNorm")
    ),
    _convolution("convolution, pool", ("Convolution", "Leaky", "MaxPool")),
    _convolution("convolution, pool", ("Convolution", "Leaky", "AvgPool")),
    _convolution("convolution", ("Convolution", "Leaky")),
    _normed("convolution, norm, pool", ("Convolution", "BatchNorm", "Leaky", "MaxPool")),
    _normed("convolution, norm, pool", ("Convolution", "BatchNorm", "Leaky", "AvgPool")),
    _normed("convolution, norm", ("Convolution", "BatchNorm", "Leaky")),
    Kernel("neurons", ("Leaky",), EventNeurons.of, splits=SPLITS),
    _listed("pool", ("MaxPool",), EventPool.of, on_lists=True),
    _listed("pool", ("AvgPool",), EventPool.of, on_lists=True),
)
