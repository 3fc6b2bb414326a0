"""Arms of studies, and what is searched for them."""

from __future__ import annotations

from typing import Any

from lfp_snn.analysis.study.spec import Arm, Search


def test_an_arm_is_the_same_whatever_of_the_defaults_it_writes() -> None:
    base = {"name": "x", "data": {"name": "digits"}, "model": {"name": "mlp"}}
    written = {**base, "epochs": 20, "optimizer": {"name": "adam", "lr": 0.003}}
    parts: dict[str, Any] = {"name": "lfp", "search": Search(), "tune": {}}
    short = Arm(base=base, **parts)
    assert short.asks_the_same(Arm(base=written, **parts))
    assert not short.asks_the_same(Arm(base={**written, "epochs": 21}, **parts))
    assert not short.asks_the_same(Arm(base=base, **{**parts, "search": Search(trials=3)}))
