"""Configurations: reading, overriding, and saying what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfp_snn.errors import ConfigError
from lfp_snn.learners.lfp import LFPOptions
from lfp_snn.training.config import Config, Settings, pick_device
from lfp_snn.training.configfile import (
    apply_overrides,
    dump_config,
    load_config,
    make_config,
    parse_yaml,
)
from lfp_snn.training.optim import SGD, CosineSchedule

MINIMAL = {"name": "x", "data": {"name": "digits"}, "model": {"name": "mlp"}}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "x.yaml"
    path.write_text("name: x\ndata: {name: digits}\nmodel: {name: mlp}\n")
    return path


def test_defaults_are_filled_in(file: Path) -> None:
    config = load_config(file)
    assert config == make_config(Config, MINIMAL)
    assert config.epochs >= 1
    assert isinstance(config.learner, LFPOptions)
    assert config.data.options()["steps"] == 25


def test_overrides_come_before_the_check(file: Path) -> None:
    overrides = ["optimizer.name=sgd", "optimizer.lr=1e-2", "model.hidden=[8, 4]", "clip=null"]
    config = load_config(file, overrides)
    assert config.optimizer == SGD(lr=0.01)
    assert config.model.options()["hidden"] == [8, 4]
    assert config.clip is None


@pytest.mark.parametrize("learner", ["lfp", "online_lfp"])
@pytest.mark.parametrize("key", ["learner.rule", "learner.reward", "optimizer", "schedule"])
def test_a_section_without_a_name_is_the_one_that_is_taken_where_there_is_none(
    file: Path, learner: str, key: str
) -> None:
    """An option of the rule alone once named another rule: learner.rule.eps the published one."""
    named = f"learner.name={learner}"
    assert load_config(file, [named, f"{key}={{}}"]) == load_config(file, [named])


def test_an_option_of_the_rule_is_one_of_the_default_rule(file: Path) -> None:
    for override in ("learner.rule.eps=0.05", "learner.rule.gate=window"):
        learner = load_config(file, [override]).learner
        assert isinstance(learner, LFPOptions) and learner.rule.name == "rescale"


def test_another_name_drops_the_options_of_the_old_one() -> None:
    given = {"schedule": {"name": "one_cycle", "warmup": 0.1}}
    changed = apply_overrides(given, ["schedule.floor=1e-5", "schedule.name=cosine"])
    assert changed == {"schedule": {"name": "cosine", "floor": 1e-5}}
    assert given == {"schedule": {"name": "one_cycle", "warmup": 0.1}}
    assert make_config(Settings, changed).schedule == CosineSchedule(floor=1e-5)


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("epochz=3", "epochz is no known key, did you mean epochs?"),
        ("lr=3", "lr is no known key, did you mean optimizer.lr?"),
        ("model.hiden=[3]", "model.hiden is no known key, did you mean model.hidden?"),
        ("learner.rule.epz=1", "learner.rule.epz is no known key, did you mean learner.rule.eps?"),
        ("data.stps=3", "data.stps is no known key, did you mean data.steps?"),
        ("qqq=3", "qqq is no known key, known are "),
        ("epochs=0", "epochs is 0, expected a number greater than or equal to 1"),
        ("epochs=2.5", "epochs is 2.5, expected a valid integer"),
        ("epochs=true", "epochs is True, expected a valid integer"),
        ("optimizer.lr=-1", "optimizer.lr is -1, expected a number greater than 0"),
        ("optimizer.lr=.nan", "optimizer.lr is nan, expected a finite number"),
        ("optimizer.lr=fast", "optimizer.lr is 'fast', expected a valid number"),
        ("calibrate=0.7", "calibrate is 0.7, expected a number less than 0.5"),
        ("device=tpu", "device is 'tpu', expected 'auto', 'cpu' or 'cuda'"),
        ("data.steps=0", "data.steps is 0, expected a number greater than or equal to 1"),
        ("learner.rule={name: epsilon, eps: -1}", "Epsilon.eps is -1.0; expected a positive"),
        ("schedule.name=cosin", "schedule must be one of .* did you mean cosine?"),
        ("model=mlp", "'mlp', expected a mapping with a name, the model, such as {name: mlp}"),
        ("optimizer=addam", "expected a mapping with a name, the optimizer, such as {name: adam}"),
        ("optimizer=qqq", "expected a mapping with a name, the optimizer: one of "),
        ("model.beta.x=1", "beta, which is 0.9 and no section"),
        ("name=../up", "name is '../up', expected a word of letters, digits, "),
        ("train.epochs=3", "train is no known key, did you mean epochs?"),
        ("data.train.steps=3", "data.train is {'steps': 3}, expected a valid integer"),
        ("data.name=DIGITS", "'DIGITS', but the dataset .* did you mean digits?"),
        ("data.classes=[a]", "is \\['a'\\], expected a list of at least 2, not of 1"),
        ("transfer=run", "transfer is 'run', expected a mapping of keys"),
        ("epochs", "should read key=value"),
        ("=3", "should read key=value"),
        ("epochs=[3", "override 'epochs=\\[3', line 1.* no valid YAML"),
    ],
)
def test_mistakes_are_named(file: Path, override: str, problem: str) -> None:
    file.write_text(file.read_text().replace("{name: mlp}", "{name: mlp, beta: 0.9}"))
    with pytest.raises(ConfigError, match=problem.replace("?", r"\?")):
        load_config(file, [override])


def test_every_mistake_is_told_with_where_it_stands(file: Path) -> None:
    def message(*overrides: str) -> str:
        with pytest.raises(ConfigError) as caught:
            load_config(file, overrides)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    changed = message("epochs=0", "batch_size=0")
    assert changed.startswith(f"epochs=0 batch_size=0 (changes of {file}): ")
    assert "epochs is 0" in changed and "batch_size is 0" in changed
    file.write_text(file.read_text() + "\nepochs: 0\nbatch_size: 0\n")
    own = message("clip=2.0")
    assert own.startswith(f"{file}: ") and "changes of" not in own
    assert "epochs is 0" in own and "batch_size is 0" in own
    assert message("epochs=-1").startswith(f"{file}: ")  # it stands wrong without the change, too


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [1\nb: 2\n", "line 2, column 2: this is no valid YAML"),
        ("epochs: 1\nepochs: 2\n", "line 2, column 1.*'epochs' stands twice"),
        ("- 1\n", "holds a list; expected a mapping"),
        ("", "holds nothing; expected a mapping"),
        ("!!python/object:os.system {}\n", "no valid YAML"),
        ("epochs: 1\n", "name is missing; data is missing; model is missing"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=f"broken.yaml.*{problem}"):
        load_config(path)


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no config file .*nowhere"):
        load_config(tmp_path / "nowhere.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "binary.yaml")


@pytest.mark.parametrize("text", ["1e-3", "1E-3", "0.001", "1.0e-3", ".001"])
def test_numbers_as_people_write_them(text: str) -> None:
    assert parse_yaml(f"lr: {text}", "x") == {"lr": 0.001}


@given(
    lr=st.floats(1e-12, 1e3),
    epochs=st.integers(1, 10**6),
    patience=st.none() | st.integers(1, 99),
    hidden=st.lists(st.integers(1, 5000), max_size=4),
)
def test_what_is_written_reads_back_equal(
    lr: float, epochs: int, patience: int | None, hidden: list[int]
) -> None:
    given_config = {
        **MINIMAL,
        "model": {"name": "mlp", "hidden": hidden},
        "optimizer": {"name": "adam", "lr": lr},
        "epochs": epochs,
        "patience": patience,
    }
    config = make_config(Config, given_config)
    text = dump_config(config)
    assert make_config(Config, parse_yaml(text, "x")) == config
    assert dump_config(make_config(Config, parse_yaml(text, "x"))) == text


def test_shipped_configs_are_valid(repository: Path) -> None:
    # Comparisons, sweeps and studies have a section more, and are held to theirs in tests/analysis.
    shipped = [
        path
        for path in sorted((repository / "configs").glob("*.yaml"))
        if not path.stem.startswith(("compare_", "sweep_", "convergence_"))
    ]
    assert {path.stem for path in shipped} >= {"digits", "nmnist_mlp", "nmnist_csnn", "mnist_mlp"}
    for path in shipped:
        assert load_config(path).name == path.stem


def test_device_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert pick_device("auto").type == "cpu"
    with pytest.raises(ConfigError, match="device=cpu"):
        pick_device("cuda")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert pick_device("auto").type == "cuda"
