"""Learners that descend a loss: against hand-written loops and the definitions of their sources."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import snntorch as snn
import torch
from snntorch import functional, surrogate
from torch import Tensor, nn

from lfp_snn.data import Batch
from lfp_snn.errors import ConfigError
from lfp_snn.learners import LEARNERS, Learner
from lfp_snn.learners.losses import (
    LOSSES,
    SMOOTHED,
    SURROGATES,
    LossName,
    SurrogateName,
    make_loss,
    make_surrogate,
    step,
)
from lfp_snn.learners.unrolled import Unrolled
from lfp_snn.models import build
from lfp_snn.spikes import Spikes
from lfp_snn.training import Settings
from lfp_snn.training.configfile import make_config

STEPS, BATCH, UNITS, CLASSES = 7, 8, 12, 3


def make_net(hidden: tuple[int, ...] = (9,)) -> nn.Sequential:
    torch.manual_seed(0)
    return build("mlp", (UNITS,), CLASSES, hidden=list(hidden), scale=4.0)


def stages(net: nn.Sequential) -> tuple[Any, ...]:
    return tuple(net)


def make_batch(seed: int = 1, lengths: Tensor | None = None) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    x = (torch.rand(STEPS, BATCH, UNITS, generator=generator) < 0.4).float()
    labels = torch.randint(0, CLASSES, (BATCH,), generator=generator)
    return Batch(Spikes.from_dense(x), labels, lengths)


def make_learner(name: str, net: nn.Module, **options: Any) -> Learner:
    kind = LEARNERS[name]
    return kind.from_options(net, kind.Options.model_validate({"name": name, **options}))


def gradients(net: nn.Module) -> list[Tensor]:
    return [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in net.parameters()]


def by_hand(net: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """A pass as in snntorch's tutorials."""
    for module in net.modules():
        if isinstance(module, snn.Leaky):
            module.reset_mem()
    out = [net(frame) for frame in x]
    return torch.stack([s for s, _ in out]), torch.stack([m for _, m in out])


def dense(batch: Batch) -> Tensor:
    assert isinstance(batch.x, Spikes)
    return batch.x.dense()


@pytest.mark.parametrize(
    ("loss", "make", "looks_at"),
    [
        ("ce_count_loss", functional.ce_count_loss, 0),
        ("ce_rate_loss", functional.ce_rate_loss, 0),
        ("mse_count_loss", functional.mse_count_loss, 0),
        ("ce_temporal_loss", functional.ce_temporal_loss, 0),
        ("ce_max_membrane_loss", functional.ce_max_membrane_loss, 1),
        ("mse_membrane_loss", functional.mse_membrane_loss, 1),
    ],
)
def test_surrogate_is_a_handwritten_loop_bit_for_bit(loss: str, make: Any, looks_at: int) -> None:
    """Ten steps of Adam. Gradients are sums over the batch, losses means: by a power of two that
    is the very same sequence of roundings, with Adam's eps scaled alike."""
    ours, theirs = make_net(), make_net()
    options = {"loss": loss, "surrogate": "fast_sigmoid", "slope": 10.0, "unroll": "steps"}
    learner = make_learner("surrogate", ours, **options)
    for module in theirs.modules():
        if isinstance(module, snn.Leaky):
            module.spike_grad = surrogate.fast_sigmoid(slope=10.0)
    first = torch.optim.Adam(ours.parameters(), lr=1e-2, eps=1e-8 * BATCH)
    second = torch.optim.Adam(theirs.parameters(), lr=1e-2, eps=1e-8)
    function = make()
    for seed in range(10):
        batch = make_batch(seed)
        result = learner.feedback(batch)
        first.step()

        out = by_hand(theirs, dense(batch))
        value = function(out[looks_at], batch.labels.clone())
        second.zero_grad()
        value.backward()
        second.step()
        assert result.reward == pytest.approx(value.item(), rel=1e-6)
        assert torch.equal(result.classes, out[0].sum(0).argmax(-1))
    weights = zip(ours.parameters(), theirs.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in weights)
    start = make_net().parameters()
    assert not any(torch.equal(a, b) for a, b in zip(ours.parameters(), start, strict=True))


def outputs_of(steps: int = STEPS, outputs: int = CLASSES) -> tuple[Unrolled, Tensor]:
    """Spikes and membranes of some outputs, with room for gradients, and labels."""
    draw = torch.Generator().manual_seed(0)
    spikes = (torch.rand(steps, BATCH, outputs, generator=draw) < 0.4).double()
    membranes = torch.randn(steps, BATCH, outputs, generator=draw, dtype=torch.float64)
    labels = torch.randint(CLASSES, (BATCH,), generator=draw)
    return Unrolled(spikes.requires_grad_(), membranes.requires_grad_()), labels


def test_tet_of_spikes_is_snntorchs_rate_loss_and_bptt_descends_it() -> None:
    one, two, batch = make_net(), make_net(), make_batch()
    first = make_learner("surrogate", one, loss="ce_rate_loss").feedback(batch)
    options = {"loss": "tet_loss", "loss_options": {"so_far": False}}
    second = make_learner("surrogate", two, **options).feedback(batch)
    assert first.reward == pytest.approx(second.reward, rel=1e-6)
    for a, b in zip(gradients(one), gradients(two), strict=True):
        assert a.any()
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "options"),
    [("tet_loss", {}), ("tet_loss", {"so_far": False}), ("tet_membrane_loss", {})],
)
def test_tet_is_the_mean_of_every_step_of_a_sample_by_hand(
    name: LossName, options: dict[str, bool]
) -> None:
    out, labels = outputs_of()
    lengths = torch.tensor([3, 7, 5, 7, 1, 2, 4, 6])
    whole = Unrolled(out.spikes, out.membranes, lengths)
    loss = make_loss(name, {"a": 2.0, **options}, 0.2)
    seen = out.spikes if name == "tet_loss" else out.membranes
    expected = []
    for b, steps in enumerate(lengths.tolist()):
        targets = labels[b].expand(steps)
        own = seen[:steps, b]
        if name == "tet_loss" and not options:
            own = torch.stack([own[: t + 1].sum(0) for t in range(steps)])
        each = nn.functional.cross_entropy(2 * own, targets, label_smoothing=0.2)
        expected.append(each)
    value = loss(whole, labels)
    torch.testing.assert_close(value, torch.stack(expected).mean(), rtol=1e-12, atol=0)
    (slope,) = torch.autograd.grad(value, seen)
    for b, steps in enumerate(lengths.tolist()):
        assert slope[:steps, b].any() and not slope[steps:, b].any()


@pytest.mark.parametrize(
    ("name", "logits"),
    [
        ("ce_count_loss", lambda out: out.spikes.sum(0)),
        ("ce_max_membrane_loss", lambda out: out.membranes.amax(0)),
    ],
)
def test_smoothed_labels_are_those_of_torchs_cross_entropy(name: LossName, logits: Any) -> None:
    out, labels = outputs_of()
    value = make_loss(name, {}, 0.3)(out, labels)
    expected = nn.functional.cross_entropy(logits(out), labels, label_smoothing=0.3)
    torch.testing.assert_close(value, expected, check_dtype=False)
    (ours,) = torch.autograd.grad(value, getattr(out, LOSSES[name][1]), retain_graph=True)
    (theirs,) = torch.autograd.grad(expected, getattr(out, LOSSES[name][1]))
    torch.testing.assert_close(ours, theirs)


def test_smoothed_labels_of_populations_are_those_of_classes() -> None:
    out, labels = outputs_of(outputs=2 * CLASSES)
    options = {"population_code": True, "num_classes": CLASSES}
    value = make_loss("ce_count_loss", options, 0.3)(out, labels)
    counts = out.spikes.sum(0).reshape(BATCH, CLASSES, 2).sum(-1)
    expected = nn.functional.cross_entropy(counts, labels, label_smoothing=0.3)
    torch.testing.assert_close(value, expected, check_dtype=False)


@pytest.mark.parametrize("name", sorted(set(LOSSES) - set(SMOOTHED)))
def test_labels_of_other_losses_are_not_smoothed(name: LossName) -> None:
    with pytest.raises(ConfigError, match=f"smoothing is 0.1, but {name} is no cross-entropy"):
        make_config(Settings, {"learner": {"name": "dfa", "loss": name, "smoothing": 0.1}})


def test_truncated_bptt_cuts_at_the_stretches() -> None:
    net, reference, batch = make_net(), make_net(), make_batch()
    result = make_learner("surrogate", net, truncate=3).feedback(batch)
    x, total = dense(batch), 0.0
    for module in reference.modules():
        if isinstance(module, snn.Leaky):
            module.reset_mem()
    for start in (0, 3, 6):
        for module in reference.modules():
            if isinstance(module, snn.Leaky):
                module.mem = module.mem.detach()
        spikes = torch.stack([reference(frame)[0] for frame in x[start : start + 3]])
        loss = nn.functional.cross_entropy(spikes.sum(0), batch.labels, reduction="sum")
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.item() / BATCH
    assert result.reward == pytest.approx(total)
    for got, expected in zip(gradients(net), gradients(reference), strict=True):
        assert torch.allclose(got, expected, rtol=1e-5, atol=1e-6)
    whole = make_net()
    make_learner("surrogate", whole).feedback(batch)
    assert not torch.allclose(gradients(net)[0], gradients(whole)[0])


def test_truncating_at_t_changes_nothing() -> None:
    one, two, batch = make_net(), make_net(), make_batch()
    make_learner("surrogate", one).feedback(batch)
    make_learner("surrogate", two, truncate=STEPS).feedback(batch)
    assert all(torch.equal(a, b) for a, b in zip(gradients(one), gradients(two), strict=True))


@pytest.mark.parametrize("name", ["surrogate", "dfa", "ottt", "rstdp"])
def test_what_lies_beyond_a_samples_end_does_not_matter(name: str) -> None:
    lengths = torch.tensor([3, 7, 5, 7, 1, 2, 4, 6])
    batch = make_batch(lengths=lengths)
    assert isinstance(batch.x, Spikes)
    cut = batch.x.dense() * (torch.arange(STEPS)[:, None] < lengths)[..., None]
    noisy = torch.where(cut == batch.x.dense(), cut, torch.ones_like(cut))
    one, two = make_net(), make_net()
    make_learner(name, one).feedback(Batch(Spikes.from_dense(cut), batch.labels, lengths))
    make_learner(name, two).feedback(Batch(Spikes.from_dense(noisy), batch.labels, lengths))
    for a, b in zip(gradients(one), gradients(two), strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-7)
    assert any(bool(g.any()) for g in gradients(one))


def test_step_gradient_is_zero_where_snntorchs_defaults_are_not() -> None:
    net, batch = make_net(), make_batch()
    result = make_learner("step_gradient", net).feedback(batch)
    assert all(float(g.abs().max()) == 0 for g in gradients(net))
    assert result.reward > 0
    plain = make_net()
    make_learner("surrogate", plain).feedback(batch)
    assert all(bool(g.any()) for g in gradients(plain))


def test_the_step_is_strict_and_flat() -> None:
    x = torch.tensor([-1.0, 0.0, 1e-30, 2.0], requires_grad=True)
    y = step(x)
    y.sum().backward()  # type: ignore[no-untyped-call]
    assert y.tolist() == [0, 0, 1, 1]
    assert x.grad is not None and x.grad.tolist() == [0, 0, 0, 0]


def test_dfa_replaces_the_way_back_by_random_weights() -> None:
    """The last layer learns as in BPTT, the hidden one from e_t B, here by hand."""
    net, reference, batch = make_net(), make_net(), make_batch()
    learner = make_learner("dfa", net)
    make_learner("surrogate", reference).feedback(batch)
    learner.feedback(batch)
    ours, theirs = gradients(net), gradients(reference)
    assert torch.allclose(ours[2], theirs[2], rtol=1e-5, atol=1e-6)  # the last layer is BPTT's
    assert torch.allclose(ours[3], theirs[3], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(ours[0], theirs[0])

    hand = make_net()
    for module in hand.modules():
        if isinstance(module, snn.Leaky):
            module.reset_mem()
    first, hidden, second, last = stages(hand)
    spikes, inner = [], []
    for frame in dense(batch):
        inner.append(hidden(first(frame)))
        spikes.append(last(second(inner[-1].detach()))[0])
    outputs = torch.stack(spikes)
    loss = nn.functional.cross_entropy(outputs.sum(0), batch.labels, reduction="sum")
    (error,) = torch.autograd.grad(loss, outputs)
    generator = torch.Generator().manual_seed(0)
    random = torch.randn(CLASSES, 9, generator=generator) / CLASSES**0.5
    torch.stack(inner).backward(error @ random)  # type: ignore[no-untyped-call]
    assert first.weight.grad is not None
    assert torch.allclose(ours[0], first.weight.grad, rtol=1e-5, atol=1e-6)


def test_dfas_random_weights_stay() -> None:
    batch = make_batch()
    one, two, other = make_net(), make_net(), make_net()
    learner = make_learner("dfa", one)
    learner.feedback(batch)
    learner.feedback(batch)
    make_learner("dfa", two).feedback(batch)
    make_learner("dfa", other, feedback_seed=5).feedback(batch)
    assert torch.allclose(gradients(one)[0], gradients(two)[0])
    assert not torch.allclose(gradients(one)[0], gradients(other)[0])


@pytest.mark.parametrize("evidence", ["spikes", "counts"])
def test_ottt_is_the_spatial_gradient_times_a_trace(evidence: str) -> None:
    """Written out for two layers: delta_t of each layer, and the trace of its input."""
    net, hand, batch = make_net(), make_net(), make_batch()
    result = make_learner("ottt", net, evidence=evidence).feedback(batch)
    first, hidden, second, last = stages(hand)
    beta = 0.9
    for neuron in (hidden, last):
        neuron.reset_mem()
    expected = [torch.zeros_like(p) for p in hand.parameters()]
    traces = [torch.zeros(BATCH, UNITS), torch.zeros(BATCH, 9)]
    counts, total = torch.zeros(BATCH, CLASSES), 0.0
    for frame in dense(batch):
        hidden.mem, last.mem = hidden.mem.detach(), last.mem.detach()
        below = first(frame)
        inner = hidden(below)
        above = second(inner)
        spikes = last(above)[0]
        counts = counts.detach() + spikes
        seen = counts if evidence == "counts" else spikes
        loss = nn.functional.cross_entropy(seen, batch.labels, reduction="sum") / STEPS
        deltas = torch.autograd.grad(loss, [below, above])
        total += loss.item() / BATCH
        traces = [beta * t + x.detach() for t, x in zip(traces, (frame, inner), strict=True)]
        for k, (delta, trace) in enumerate(zip(deltas, traces, strict=True)):
            expected[2 * k] += delta.T @ trace
            expected[2 * k + 1] += delta.sum(0)
    assert result.reward == pytest.approx(total, rel=1e-5)
    for got, want in zip(gradients(net), expected, strict=True):
        assert torch.allclose(got, want, rtol=1e-4, atol=1e-6)


def test_ottt_of_a_single_layer_without_reset_is_bptt() -> None:
    """Then the trace is the whole derivative through time, and nothing is left out."""
    torch.manual_seed(0)
    one = build("mlp", (UNITS,), CLASSES, hidden=[], scale=4.0, reset="none")
    torch.manual_seed(0)
    two = build("mlp", (UNITS,), CLASSES, hidden=[], scale=4.0, reset="none")
    batch = make_batch()
    make_learner("ottt", one, evidence="spikes").feedback(batch)
    make_learner("surrogate", two, loss="ce_rate_loss").feedback(batch)
    assert torch.allclose(gradients(one)[0], gradients(two)[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["surrogate", "dfa", "ottt", "step_gradient", "rstdp"])
def test_neurons_of_others_are_left_alone(name: str) -> None:
    other = snn.Leaky(beta=0.9, init_hidden=True)
    other(torch.ones(2, 3))
    before = other.mem.clone()
    net = make_net()
    make_learner(name, net).feedback(make_batch())
    assert torch.equal(other.mem, before)
    for module in net.modules():
        if isinstance(module, snn.Leaky):
            assert float(module.mem.abs().max()) == 0 and not module.mem.requires_grad


@pytest.mark.parametrize("name", ["surrogate", "dfa", "ottt", "step_gradient", "rstdp"])
def test_evaluation_firing_and_training_firing_agree(name: str) -> None:
    net, batch = make_net(), make_batch()
    learner = make_learner(name, net)
    result = learner.feedback(batch)
    prediction = learner.predict(batch)
    assert torch.equal(result.classes, prediction.classes)
    assert learner.engine.firing_rates.keys() == result.firing.keys()
    for key, rate in learner.engine.firing_rates.items():
        assert rate == pytest.approx(result.firing[key])


@pytest.mark.parametrize("name", ["surrogate", "dfa", "ottt"])
def test_frozen_layers_get_nothing(name: str) -> None:
    net = make_net()
    net[0].requires_grad_(False)
    make_learner(name, net).feedback(make_batch())
    first, bias, *rest = [p.grad for p in net.parameters()]
    assert first is None and bias is None and all(g is not None for g in rest)


@pytest.mark.parametrize("name", ["surrogate", "dfa", "ottt", "rstdp"])
def test_convolutions_learn_too(name: str) -> None:
    torch.manual_seed(0)
    net = build("csnn", (2, 16, 16), CLASSES, scale=4.0)
    x = (torch.rand(4, 3, 2, 16, 16) < 0.3).float()
    make_learner(name, net).feedback(Batch(Spikes.from_dense(x), torch.tensor([0, 1, 2])))
    weights = [p for p in net.parameters() if p.dim() > 1]
    assert all(p.grad is not None and bool(p.grad.any()) for p in weights)


def test_names_and_tables_agree() -> None:
    assert set(get_args(LossName)) == set(LOSSES)
    assert set(get_args(SurrogateName)) == set(SURROGATES)


@pytest.mark.parametrize("name", get_args(SurrogateName))
def test_every_surrogate_is_a_step_forwards(name: SurrogateName) -> None:
    spike = make_surrogate(name, None)
    x = torch.tensor([-1.0, 0.5, 2.0], requires_grad=True)
    y = spike(x)
    assert y.tolist() == [0, 1, 1]
    y.sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None and bool(x.grad.any())


@pytest.mark.parametrize(
    ("learner", "message"),
    [
        ({"name": "surrogate", "surrogate": "atn"}, r"'surrogate'\] is 'atn', expected 'atan'"),
        ({"name": "surrogate", "surrogate": "straight_through", "slope": 2.0}, "no slope to set"),
        ({"name": "surrogate", "loss_options": {"rate": 1.0}}, "ce_count_loss does not take"),
        ({"name": "surrogate", "smoothing": 1.0}, r"smoothing'\] is 1.0, .*less than 1"),
        ({"name": "ottt", "trace": 1.0}, "a number less than 1"),
        ({"name": "rstdp", "a_minus": 0.5}, "a number less than or equal to 0"),
        ({"name": "surogate"}, "did you mean surrogate"),
    ],
)
def test_mistakes_are_told(learner: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_config(Settings, {"learner": learner})
