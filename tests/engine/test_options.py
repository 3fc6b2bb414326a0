"""How the engine runs, as one object that is handed on."""

from dataclasses import fields
from inspect import signature
from typing import Any

import pytest
import torch

from lfp_snn import TemporalLFP
from lfp_snn.engine.options import EngineOptions
from lfp_snn.errors import NetworkError
from lfp_snn.learners import LEARNERS
from lfp_snn.rules import Epsilon, Update
from tests.engine.compare import mlp, signals, trains


def test_the_keywords_of_an_engine_are_the_options() -> None:
    taken = signature(TemporalLFP).parameters
    for each in fields(EngineOptions):
        assert taken[each.name].default == each.default
    lfp = TemporalLFP(mlp(), memory="chunked", chunk=2, budget=10)
    assert lfp.options == EngineOptions("auto", "chunked", 2, 10)


def test_an_engine_from_options_is_the_one_from_keywords() -> None:
    options = EngineOptions("torch", "chunked", chunk=2)
    torch.manual_seed(0)
    net = mlp()
    engines = [
        TemporalLFP.with_options(net, Epsilon(0.1), options, Update("hebbian")),
        TemporalLFP(net, Epsilon(0.1), "torch", Update("hebbian"), memory="chunked", chunk=2),
    ]
    found = []
    for lfp in engines:
        assert lfp.options == options
        lfp.backward(signals(lfp.forward(trains(5, 3, 6))))
        found.append([p.grad for p in lfp.parameters()])
    for a, b in zip(*found, strict=True):
        assert a is not None and b is not None
        assert torch.equal(a, b)
    assert TemporalLFP.with_options(net).options == EngineOptions()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"backend": "quick"}, r"no backend 'quick'; expected auto, events, torch, triton"),
        ({"memory": "none"}, r"no memory 'none'; expected full, chunked"),
        ({"chunk": 3}, r"chunk is 3 with memory='full'"),
        ({"memory": "chunked", "chunk": 0}, r"chunk is 0"),
        ({"budget": 0}, r"budget is 0"),
        ({"precision": "half"}, r"no precision 'half'; expected exact, tf32, bf16, fp16"),
        ({"precision": "bf16", "backend": "events"}, r"precision is 'bf16' with backend='events'"),
    ],
)
def test_what_does_not_fit_is_refused_when_it_is_built(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        EngineOptions(**wrong)
    with pytest.raises(NetworkError, match=message):
        TemporalLFP(mlp(), **wrong)


@pytest.mark.parametrize("name", sorted(LEARNERS))
def test_every_learner_hands_its_options_to_its_engine(name: str) -> None:
    kind = LEARNERS[name]
    options: dict[str, Any] = {"name": name, "backend": "torch"}
    expected = EngineOptions("torch")
    if name == "lfp":
        options |= {"memory": "chunked", "chunk": 2, "precision": "exact"}
        expected = EngineOptions("torch", "chunked", 2, precision="exact")
    learner = kind.from_options(mlp().float(), kind.Options.model_validate(options))
    assert learner.engine.options == expected
