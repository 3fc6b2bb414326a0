"""Messages call a setting what the reader typed: a key of a config, or an argument in Python."""

from __future__ import annotations

import pytest

from lfp_snn.wording import by_config, option, setting


@pytest.mark.parametrize(
    ("key", "given", "config", "python"),
    [
        ("data.root", (), "data.root", "root"),
        ("data.download", (True,), "data.download=true", "download=True"),
        ("calibrate", (None,), "calibrate=null", "calibrate=None"),
        ("learner.rule.eps", (), "learner.rule.eps", "learner['rule']['eps']"),
        ("learner.memory", ("chunked",), "learner.memory=chunked", "learner={'memory': 'chunked'}"),
        ("optimizer.lr", (0.1,), "optimizer.lr=0.1", "optimizer={'lr': 0.1}"),
    ],
)
def test_a_setting(key: str, given: tuple[object, ...], config: str, python: str) -> None:
    assert setting(key, *given) == python
    with by_config():
        assert setting(key, *given) == config
    assert setting(key, *given) == python


def test_an_option() -> None:
    assert (option("out"), option("resume", True)) == ("out", "resume=True")
    with by_config():
        assert (option("out"), option("resume", True)) == ("--out", "--resume")
