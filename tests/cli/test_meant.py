"""What is written as what it is not: the sentence that says how to write it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Cli


@pytest.mark.parametrize(
    ("line", "told"),
    [
        # a command that stands elsewhere
        ("hub ls", "There is no command hub here; did you mean lfp-snn ls hub?"),
        ("config ls", "did you mean lfp-snn ls configs?"),
        ("models", "did you mean lfp-snn ls models?"),
        ("run digits", "did you mean lfp-snn train?"),
        ("convert a.txt a.bin", "did you mean lfp-snn data convert?"),
        ("data train digits", "did you mean lfp-snn train?"),
        # an option that is a setting
        (
            "train digits --seed 3",
            "--seed is no option of lfp-snn train; seed is a setting: write s",
        ),
        ("train digits --seed=3", "write seed=3."),
        ("train digits --lr 0.1", "optimizer.lr is a setting: write optimizer.lr=0.1."),
        ("train digits --clip 3", "write clip=3."),
        ("train digits --root FOLDER", "write data.root=FOLDER."),
        ("train digits --data.root FOLDER", "write data.root=FOLDER."),
        ("train digits --batch-size 3", "write batch_size=3."),
        ("train digits --model csnn", "model.name is a setting: write model.name=csnn."),
        ("train digits --epochz 3", "did you mean epochs=3?"),
        ("train digits --device", "write device=VALUE."),
        ("compare compare_digits --seed 3", "write seed=3, or did you mean --seeds?"),
        ("evaluate hub:digits --device cpu", "no option of lfp-snn evaluate; device is a setting"),
        # a setting that is an option
        ("train digits out=x", "out is an option of lfp-snn train: write --out x."),
        ("train digits resume=true", "write --resume."),
        ("compare compare_digits seeds=3", "write --seeds 3."),
        ("export hub:digits to=nir", "write --to nir."),
        ("explain hub:digits sample=3", "write --sample 3."),
        # a word that is no change
        ("train digits seed 3", "seed is a setting: write seed=3."),
        ("export hub:digits nir", "nir belongs to an option of lfp-snn export: write --to nir."),
        ("predict hub:digits a.bin b.bin", "takes one recording, and b.bin is another: call it on"),
        ("evaluate hub:digits here.bin", "takes no recording, and here.bin is a file: lfp-snn pre"),
        ("train digits other.yaml", "takes one config or run, and other.yaml is another"),
        ("train digits epochs", "'epochs' should read key=value"),
        # a name for another command
        (
            "compare digits",
            "without a section compare; did you mean lfp-snn compare compare_digits?",
        ),
        ("sweep digits", "did you mean lfp-snn sweep sweep_digits?"),
        ("train compare_digits", "run it with lfp-snn compare compare_digits."),
        ("evaluate digits", "There is no run digits; did you mean hub:digits?"),
        ("predict here.bin hub:digits", "here.bin is a file and no run directory: the run comes f"),
    ],
)
def test_what_was_meant_is_told(cli: Cli, tmp_path: Path, line: str, told: str) -> None:
    (tmp_path / "here.bin").touch()
    done = cli(*line.split())
    assert done.exit_code == 2, (done.output, done.exception)
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert told in done.stderr


@pytest.mark.parametrize("line", ["train digits --stlye paper", "trian digits", "ls --seed 3"])
def test_what_the_parser_knows_it_tells_itself(cli: Cli, line: str) -> None:
    done = cli(*line.split())
    assert done.exit_code == 2 and done.stderr.startswith("Usage: ")


@pytest.mark.parametrize("line", ["ls bogus", "export RUN --to bogus"])
def test_a_word_of_a_few_is_told_without_the_words_of_a_library(cli: Cli, line: str) -> None:
    done = cli(*line.split())
    assert done.exit_code == 2 and "Value error" not in done.stderr
    assert "'bogus' is not one of" in done.stderr


def test_a_setting_of_the_name_of_an_option_is_a_setting(cli: Cli) -> None:
    """``data`` is a section of a config, and an option of explain."""
    done = cli("explain", "hub:digits", "data=nmnist")
    assert "is an option" not in done.stderr


def test_a_change_may_be_longer_than_a_name_of_a_file(cli: Cli) -> None:
    change = f"data.classes=[{', '.join(['0'] * 200)}]"
    assert "File name too long" not in cli("validate", "digits", change).stderr
    assert "should read key=value" in cli("train", "digits", "e" * 300).stderr


def test_a_key_of_data_and_model_is_found_in_its_section(cli: Cli) -> None:
    assert "did you mean data.steps?" in cli("validate", "digits", "steps=5").stderr
    assert "did you mean model.hidden?" in cli("validate", "digits", "hidden=[5]").stderr
    told = cli("validate", "compare_digits", "trials=2").stderr
    assert "did you mean compare.search.trials?" in told
