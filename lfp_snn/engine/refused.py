"""What has no rule, by name, and in one sentence what to do instead."""

from __future__ import annotations

import snntorch as snn
from torch import nn

__all__ = ["NO_RULE", "refusal"]

_AT_ONCE = (
    "runs over all T steps in one call and never resets, where TemporalLFP takes a network of one "
    "step and runs over T itself: put {} in its place"
)
_MEMBRANE = "snn.Leaky(beta, reset_mechanism='none', init_hidden=True)"
_GATED = (
    "multiplies values that the network computed (its gates), so that its membrane is no sum of "
    "what was kept and what arrived: take snn.RLeaky or snn.RSynaptic, which recur as well"
)
#: Modules of snntorch for which there can be no rule, and why.
REFUSED: dict[type[nn.Module], str] = {
    snn.LeakyParallel: _AT_ONCE.format(f"nn.Linear(input_size, hidden_size) and {_MEMBRANE}")
    + " (whose membranes may be negative, those of LeakyParallel are rectified)",
    snn.LinearLeaky: _AT_ONCE.format(f"nn.Linear and {_MEMBRANE}"),
    snn.StateLeaky: _AT_ONCE.format(_MEMBRANE),
    snn.SLSTM: _GATED,
    snn.SConv2dLSTM: _GATED,
}

#: Modules of torch with a memory that its users take for spiking networks' sake, and the same.
REFUSED |= dict.fromkeys((nn.LSTM, nn.GRU, nn.LSTMCell, nn.GRUCell), _GATED)
REFUSED |= dict.fromkeys(
    (nn.RNN, nn.RNNCell),
    "keeps a state that is no membrane: take snn.RLeaky, which recurs and spikes",
)
REFUSED[nn.MultiheadAttention] = (
    "is several layers in one: write q, k and v as nn.Linear layers, and their attention as "
    "F.scaled_dot_product_attention(q, k, v), which have rules"
)
REFUSED[nn.Embedding] = (
    "looks up by whole numbers, which are no spikes: encode the input one-hot, "
    "F.one_hot(tokens, num_embeddings).float(), and put nn.Linear(num_embeddings, embedding_dim, "
    "bias=False) in its place"
)
REFUSED |= dict.fromkeys(
    (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer),
    "is several layers in one: write it with nn.Linear, nn.LayerNorm and "
    "F.scaled_dot_product_attention(q, k, v), which have rules",
)
#: Where other simulators define their neurons, and what to do instead.
FOREIGN = {
    "spikingjelly.activation_based.neuron": "is a neuron of SpikingJelly: put "
    "snn.Leaky(beta=1 - 1 / tau, reset_mechanism='zero', reset_delay=False, init_hidden=True) in "
    "its place, and snn.Leaky(beta=1.0, ...) in that of IFNode (docs/from_spikingjelly.md)",
    "norse.torch.module": "is a module of Norse: put snn.Leaky(beta, init_hidden=True) in its "
    "place, with beta = 1 - dt * tau_mem_inv",
    "sinabs.layers": "is a layer of sinabs: put snn.Leaky(beta=exp(-1 / tau_mem), "
    "reset_mechanism='subtract', reset_delay=False, init_hidden=True) in its place",
}


def refusal(module: nn.Module) -> str | None:
    """Say why there is no rule for a module and what to do instead; None if nothing is known."""
    path = type(module).__module__ + "."
    foreign = (why for package, why in FOREIGN.items() if path.startswith(package + "."))
    return REFUSED.get(type(module)) or next(foreign, None)


_STEP = "compares values; a step is lfp_snn.activations.Step(threshold)"
_CHOICE = "chooses by values; write it with torch.maximum, x.amax(dim) or a softmax"
_SPREAD = "divides by what it computed; nn.LayerNorm and nn.GroupNorm have a rule"
#: Functions, and methods by name, for which there is no rule, and what to do instead.
NO_RULE: dict[str, str] = {
    **dict.fromkeys(("gt", "lt", "ge", "le", "greater", "less", "heaviside"), _STEP),
    **dict.fromkeys(("argmax", "argmin", "topk", "sort", "argsort", "median", "kthvalue"), _CHOICE),
    **dict.fromkeys(
        (
            "std",
            "var",
            "std_mean",
            "var_mean",
            "norm",
            "vector_norm",
            "normalize",
            "cosine_similarity",
        ),
        _SPREAD,
    ),
    **dict.fromkeys(("min", "amin"), "takes a minimum; write -(-x).amax(dim)"),
    "minimum": "takes a minimum; write -torch.maximum(-a, -b)",
    **dict.fromkeys(
        ("pow", "square"), "takes a power of values; write whole ones as products, x * x"
    ),
    "abs": "takes the size of values; write F.relu(x) + F.relu(-x)",
    "prod": "multiplies the values of an axis; write a * b",
    "prelu": "is called as a function; hold an nn.PReLU and call that",
    "logical_or": "takes values for truth; write torch.maximum(a, b)",
    "logical_and": "takes values for truth; write a * b",
    "logical_not": "takes values for truth; write 1 - x",
    "addcmul": "does two things at once; write a + value * b * c",
    "baddbmm": "does two things at once; write a + b @ c",
    "addmm": "does two things at once; write a + b @ c",
    "log_softmax": "takes a logarithm; leave that to the loss, as FromLoss(nn.CrossEntropyLoss())",
    "batch_norm": "is called as a function; hold an nn.BatchNorm1d or nn.BatchNorm2d and call that",
    "instance_norm": "is called as a function; hold an nn.InstanceNorm2d and call that",
    "embedding": "looks up by whole numbers; give one-hot spikes to nn.Linear(num_embeddings, "
    "embedding_dim, bias=False)",
    "multi_head_attention_forward": "is several layers in one call; write q, k and v as nn.Linear, "
    "and F.scaled_dot_product_attention(q, k, v)",
}
