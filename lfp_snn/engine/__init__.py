"""The engine: trace a network of snntorch neurons, run it over time, send credit back.

============= ===========================================================================
module        what it holds
============= ===========================================================================
temporal      ``TemporalLFP``, what users call
observed      what a network saw in its last pass, and how it is shown
paper         the method of the paper, by one name
network       a traced network before anything runs: stages, rules, kernels
layers        a population with what feeds it, as users see it
structure     the program of a network, for each mode and shape of its input
guesses       shapes of an input on which a network is tried out before there is one
identity      by what a network is found to be as it was before
as_step       one time step of a network as a module, whatever its forward does
recording     runs a forward on an example and notes what it calls
copying       copies of modules, also of those that hold graphs of autograd
draws         whether a forward draws random numbers
calls         the calls that a recording notes
held          what a module holds in containers and plain objects
user_code     what a user's functions and classes take of closures, defaults and globals
undisturbed   runs a module and leaves no trace of that on it
computed      refuses what a module computes in a way that has no rule
made          weights that a layer computes from other parameters, pruned ones for instance
derived       the tensors that a forward computes from those of the network, whatever its input is
examples      what modules give while a forward is recorded: shapes without content
unrolled      recognises one time step in a recording
one_step      that step, as the calls that it makes
crossings     what is told of steps that do more than hand on the states of neurons
slices        the frames of single steps in a sequence that a forward loops over
readings      what a forward that loops over time may make of the record of its output
behind        layers behind such a loop that take what its last step gave
alike         what stands outside of a loop over time, and is the same at each step
signature     by what two steps are the same
tracing       turns one step into a program of stages
supported     the modules and functions that may be called
functions     functions that do what a module does, or are written out as others
refused       what has no rule, by name, and what to do instead
check         steps a module beside the engine, and compares
linear_map    stages of functions that are linear in each value they take
graph         a program of stages
graphed       records a training step as a CUDA graph, and replays it
chunked       runs a long sequence chunk by chunk
online        runs a stream step by step and learns while it runs
losses        a loss of the output in the place of a reward
traces        the stages of a stream: traces in place of the way back through time
traced_stages stages without neurons that learn from traces
excerpt       a part of a network, to tell how often one population fires
execute       runs a program forwards and backwards
inputs        checks of what a user hands in
table         a program as text
stage         what a stage is
tape          what a forward pass leaves for the way back
stopwatch     what each stage takes
feedback      the sums of what parameters learn, in one process or over several
synapses      stages that hold weights: linear layers, convolutions
norms         normalisations: the base class, and the ones over a single sample
batch_norms   normalisations over a batch, over all its steps or step by step
shapes        stages without weights: pools, reshapes, dropout
merges        stages in which branches meet: sum, concatenation, maximum
means         means over axes of a sample
neurons       what all neurons share, and leaky ones
stepped       the other neurons: with further states, or a synapse of their own
recurrent     the synapse through which neurons hear their own spikes
units         stages of units without a state: activations, and the values of a readout
options       how the engine runs a network: kernels, memory, numbers
kernels       which kernel serves which stage
kernel_tables the kernels of each backend, by its name
events        synapses, neurons and pools on lists of spikes, for the CPU
triton        the kernels for CUDA devices, and leaky neurons on scans
fused         a population on a device with its norm and its pool, in one launch a direction
fixed         neurons that compute in whole numbers
exchange      what the processes of a training tell each other
============= ===========================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lfp_snn.later import lazily

if TYPE_CHECKING:
    from lfp_snn.engine.graphed import make_graphed
    from lfp_snn.engine.paper import published
    from lfp_snn.engine.temporal import TemporalLFP

__all__ = ["TemporalLFP", "make_graphed", "published"]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "TemporalLFP": "lfp_snn.engine.temporal",
        "make_graphed": "lfp_snn.engine.graphed",
        "published": "lfp_snn.engine.paper",
    },
)
