r"""The energy of a network, estimated (not measured) from counts of its operations.

Two tables of published constants:

- **45 nm CMOS**, arithmetic alone (no memory, no control): Horowitz, *Computing's energy problem
  (and what we can do about it)*, ISSCC 2014, figure 1.1.9.
- **Loihi**, 14 nm, with its memories, simulated before there was silicon: Davies et al., *Loihi: a
  neuromorphic manycore processor with on-chip learning*, IEEE Micro 38(1), 2018, table 2.

**What is counted.** Let :math:`A_l` be the effective synaptic operations of synapse l for a sample
(pairs of an active input and a nonzero weight, over all steps), :math:`D_l` the dense ones, and N
the neurons times the steps that they run. Forwards, a binary input costs an addition and any other
a product more; a neuron costs a product (decay), and three additions (current, reset, comparison).

**A step of training**, per sample, beside the forward pass:

======================  ==================  ====================  ================================
rule                    weights             credit of the inputs  neurons, each step backwards
======================  ==================  ====================  ================================
LFP, event-driven       :math:`A_l`         :math:`A_l`, l > 1    :math:`D, n, M`: 3 products
                                                                  (one a division), 4 additions
BPTT, zeros skipped     :math:`A_l`         :math:`D_l`, l > 1    surrogate, decay, reset: 5
                                                                  products, 4 additions
BPTT, dense             :math:`D_l`         :math:`D_l`, l > 1    as above
======================  ==================  ====================  ================================

LFP reads the credit only at active inputs, as :math:`R = x c` vanishes elsewhere. A surrogate
derivative does not vanish at silent neurons, so BPTT needs the gradient of every one of them,
though it can skip silent inputs in the gradient of the weights. Frameworks compute both, and the
forward pass, densely: the last line, which is what is usually run. Credit multiplies real numbers:
a product and an addition each. The optimizer's update is the same for all and left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["HOROWITZ_45NM", "LOIHI", "Energy", "SynapseCount", "estimate"]


@dataclass(frozen=True)
class Arithmetic:
    """The energy of float32 arithmetic, in joules."""

    add: float
    multiply: float


@dataclass(frozen=True)
class Neuromorphic:
    """The energy of the operations of a neuromorphic chip, in joules."""

    synaptic_operation: float
    neuron_update_active: float
    neuron_update_inactive: float


#: Horowitz 2014, figure 1.1.9: FP add 32 bit 0.9 pJ, FP mult 32 bit 3.7 pJ.
HOROWITZ_45NM = Arithmetic(add=0.9e-12, multiply=3.7e-12)

#: Davies et al. 2018, table 2: synaptic spike operation 23.6 pJ (minimum), neuron update 81 pJ
#: active and 52 pJ inactive, at 0.75 V.
LOIHI = Neuromorphic(23.6e-12, 81e-12, 52e-12)


@dataclass(frozen=True)
class SynapseCount:
    """The synaptic operations of one synapse, per sample.

    Attributes:
        name: the path of the synapse.
        effective: the pairs of an active input and a nonzero weight, summed over the steps.
        dense: the pairs of an input and a weight.
        binary: whether its inputs are all 0 or 1, so that no product is needed.
        from_input: whether it takes the input of the network, which needs no credit.
    """

    name: str
    effective: float
    dense: float
    binary: bool
    from_input: bool


@dataclass(frozen=True)
class Energy:
    """Estimated energies per sample, in joules.

    Attributes:
        inference_45nm: the arithmetic of the event-driven forward pass.
        inference_dense_45nm: the arithmetic of that pass with zeros computed too.
        inference_loihi: the synaptic operations and neuron updates on Loihi.
        lfp_step_45nm: the forward pass and feedback of LFP, event-driven.
        bptt_sparse_step_45nm: the forward pass and gradient of BPTT, skipping what zeros allow.
        bptt_dense_step_45nm: the forward pass and gradient of BPTT as frameworks compute it.
    """

    inference_45nm: float
    inference_dense_45nm: float
    inference_loihi: float
    lfp_step_45nm: float
    bptt_sparse_step_45nm: float
    bptt_dense_step_45nm: float


def estimate(
    synapses: Sequence[SynapseCount], neuron_steps: float, membrane_updates: float
) -> Energy:
    """Estimate energies per sample.

    Args:
        synapses: the counts of all synapses.
        neuron_steps: the number of neurons times the steps that they run.
        membrane_updates: the number of these that changed the membrane (Loihi's active updates).
    """
    add, multiply = HOROWITZ_45NM.add, HOROWITZ_45NM.multiply
    mac = add + multiply
    forward = sum(s.effective * (add if s.binary else mac) for s in synapses)
    dense = sum(s.dense * mac for s in synapses)
    neurons = neuron_steps * (multiply + 3 * add)
    weights = forward  # x n is n itself where x is 1
    credit = sum(s.effective * mac for s in synapses if not s.from_input)
    credit_dense = sum(s.dense * mac for s in synapses if not s.from_input)
    lfp_neurons = neuron_steps * (3 * multiply + 4 * add)
    bptt_neurons = neuron_steps * (5 * multiply + 4 * add)
    still = neuron_steps - membrane_updates
    return Energy(
        inference_45nm=forward + neurons,
        inference_dense_45nm=dense + neurons,
        inference_loihi=sum(s.effective for s in synapses) * LOIHI.synaptic_operation
        + membrane_updates * LOIHI.neuron_update_active
        + still * LOIHI.neuron_update_inactive,
        lfp_step_45nm=forward + neurons + weights + credit + lfp_neurons,
        bptt_sparse_step_45nm=forward + neurons + weights + credit_dense + bptt_neurons,
        bptt_dense_step_45nm=2 * dense + neurons + credit_dense + bptt_neurons,
    )
