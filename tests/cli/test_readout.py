"""A network that ends in a readout, from its config to a prediction."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import SMALL, Cli
from tests.cli.test_commands import events

MODEL = """model={name: layers, layers: [flatten, {linear: 16}, {synaptic: {alpha: 0.5}},
{linear: classes}, {readout: {beta: 0.95}}]}""".replace("\n", " ")


def test_a_readout_trains_from_a_config_and_predicts(cli: Cli, tmp_path: Path) -> None:
    small = [change for change in SMALL if "model." not in change]
    trained = cli("train", "digits", *small, MODEL, "--out", "run")
    assert trained.exit_code == 0, trained.output
    # What the network ends in decided, and the run says what that was.
    assert "reward:\n    name: membrane_coded\n" in Path("run/config.yaml").read_text()
    assert cli("train", "digits", *small, MODEL, "--out", "run", "--resume").exit_code == 0
    assert cli("train", "run/config.yaml", "--out", "run", "--resume").exit_code == 0
    assert "is dead" not in trained.output
    recording = tmp_path / "one.bin"
    recording.write_bytes(events(300))
    told = json.loads(cli("predict", "run", recording, "--json").stdout)
    assert told["membranes"][told["class"]] == max(told["membranes"].values())
    assert cli("predict", "run", recording).stdout.splitlines()[1].startswith("membranes  0: ")
    assert cli("evaluate", "run").exit_code == 0
    for command in ("explain", "metrics"):
        refused = cli(command, "run")
        assert refused.exit_code == 2 and "never" in refused.stderr, refused.output
    assert cli("export", "run", "--to", "nir").exit_code == 0
    own, theirs = (
        cli(*words).stdout.split("test accuracy")[1].split("%")[0]
        for words in (("evaluate", "run"), ("import", "run/network.nir", "run/config.yaml"))
    )
    assert own.split() == theirs.split()
    assert "int8 cannot express neuron" in cli("export", "run", "--to", "int8").stderr


def test_a_network_that_ends_in_values_predicts_and_explains_them(cli: Cli, tmp_path: Path) -> None:
    small = [change for change in SMALL if "model." not in change]
    model = "model={name: layers, layers: [flatten, {linear: 16}, lif, {linear: classes}]}"
    assert cli("train", "digits", *small, model, "--out", "run").exit_code == 0
    recording = tmp_path / "one.bin"
    recording.write_bytes(events(300))
    told = json.loads(cli("predict", "run", recording, "--json").stdout)
    assert told["values"][told["class"]] == max(told["values"].values())
    assert not all(float(each).is_integer() for each in told["values"].values())
    explained = cli("explain", "run", recording)
    assert explained.exit_code == 0 and "(value " in explained.stdout, explained.output
    for words in (("metrics", "run"), ("export", "run", "--to", "nir")):
        refused = cli(*words)
        assert refused.exit_code == 2 and "neurons" in refused.stderr, refused.output


def test_a_reward_of_spikes_is_refused(cli: Cli) -> None:
    small = [change for change in SMALL if "model." not in change]
    reward = "learner.reward.name=rate_coded"
    refused = cli("train", "digits", *small, MODEL, reward, "--out", "run")
    assert refused.exit_code == 2
    assert "take one of membrane_coded, tet_readout, membrane_target" in refused.stderr
    assert not Path("run").exists()
