"""``python -m tools.results``: collects, measures what lacks, and says what there is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.tools.results.made import comparison_folder, kept_table, run_folder
from tools.results.__main__ import main
from tools.results.collecting import CollectError
from tools.results.measuring import Measuring
from tools.results.records import Records

END = "<!-- end of results -->"


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    (folder / "records").mkdir(parents=True)
    (folder / "records" / "commands.yaml").write_text(
        "pair: lfp-snn compare made data.root=there\n"
        "seeds: lfp-snn train made data.root=there\n"
        "absent: lfp-snn train made data.root=elsewhere\n"
    )
    (folder / "results.md").write_text(
        f"# Page\n\n| typed |\n| - |\n\n<!-- results: others -->\n{END}\n"
    )
    return folder


def test_a_finished_folder_is_collected_and_shown(
    docs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = comparison_folder(tmp_path / "pair", {"lfp": [0.9, 0.9]})
    given = ["--docs", str(docs), "collect", "new", str(folder), "--load", "1", "2"]
    assert main(given) == 2
    assert "give its --command" in capsys.readouterr().err
    assert main([*given, "--command", "lfp-snn compare new"]) == 0
    assert Records(docs / "records").commands["new"] == "lfp-snn compare new"
    assert "### `new`\n\n| | published rule (epsilon 0.1) |" in (docs / "results.md").read_text()
    capsys.readouterr()
    assert main([*given, "--command", "lfp-snn compare other"]) == 2
    assert "expected that of --command, 'lfp-snn compare other'" in capsys.readouterr().err
    assert main(["--docs", str(docs)]) == 0
    told = capsys.readouterr().out
    assert "  new: 2026-01-02, lfp-snn compare new\nno record yet:\n  pair: " in told
    assert told.endswith("typed, no record:\n  docs/results.md:3: Page\n")


def test_what_lacks_is_run_once_and_goes_on(
    docs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "there").mkdir()
    out = tmp_path / "out"
    run_folder(out / "seeds-0", 0, 0.7)  # finished before
    (out / "seeds-1").mkdir()  # stopped before
    called: list[str] = []

    def call(self: Measuring, module: Sequence[str], log: Path) -> None:
        called.append(" ".join(module))
        folder = Path(module[-1])
        if "compare" in module:
            comparison_folder(folder, {"lfp": [0.9, 0.9]})
        elif folder.name == "seeds-2" and len(called) < 4:
            raise CollectError("the disk is full")
        else:
            if folder.exists():
                folder.rmdir()
            run_folder(folder, int(folder.name[-1]), 0.8)

    monkeypatch.setattr(Measuring, "_call", call)
    given = ["--docs", str(docs), "measure", "--root", str(tmp_path), "--out", str(out)]
    assert main(given) == 1
    said = capsys.readouterr().out
    assert said.endswith(
        f"it lacks:\nseeds: the disk is full\nabsent: no elsewhere in {tmp_path.resolve()}\n"
    )
    assert "### `pair`" in (docs / "results.md").read_text()
    assert main(given) == 1
    start = "lfp_snn train made data.root=there seed="
    assert called == [
        f"lfp_snn compare made data.root=there --out {out / 'pair'}",
        f"{start}1 --resume --out {out / 'seeds-1'}",
        f"{start}2 --out {out / 'seeds-2'}",
        f"{start}2 --out {out / 'seeds-2'}",
    ]
    assert Records(docs / "records").lacking == ["absent"]


def test_a_benchmark_is_run_and_what_it_printed_is_kept(tmp_path: Path) -> None:
    measuring = Measuring(tmp_path, tmp_path / "out")
    record = measuring.run("made", "python -m benchmarks --help")
    assert record.kind == "printed"
    assert record.lines[0].startswith("python -m benchmarks [")
    assert record.machine.load is not None
    with pytest.raises(CollectError, match=r"no benchmark is called 'absent'.*made\.log"):
        measuring.run("made", "python -m benchmarks absent")
    with pytest.raises(CollectError, match="made: make cake leaves no record"):
        measuring.run("made", "make cake")


def test_the_table_of_a_benchmark_is_kept_with_its_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []

    def call(self: Measuring, module: Sequence[str], log: Path) -> None:
        called.append(" ".join(module))
        log.write_text("printed\n")
        if len(called) == 1:
            Path(module[2]).write_text(json.dumps(kept_table(["lfp", [1.0, 0.5, 1.5]])))

    monkeypatch.setattr(Measuring, "_call", call)
    measuring = Measuring(tmp_path, tmp_path / "out")
    record = measuring.run("made", "python -m benchmarks made --seeds 2")
    assert record.kind == "table"
    assert record.rows == [["lfp", [1.0, 0.5, 1.5]]]
    assert called == [f"benchmarks --json {tmp_path / 'out' / 'made.json'} made --seeds 2"]
    again = measuring.run("made", "python -m benchmarks made")  # and leaves no table this time
    assert again.kind == "printed"
