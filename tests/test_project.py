from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest
import yaml

import lfp_snn

#: From the bottom to the top; a module may import from its own part and from lines further down.
LAYERS = (
    {"errors", "exclusive", "wording", "later", "compiled", "statistics"},
    {"options", "spikes", "unpacking", "activations", "norms", "wholefiles", "markup", "console"}
    | {"makers"},
    {"lif", "cells", "rules", "rewards", "shipped"},
    {"backends"},
    {"engine", "data", "models"},
    {"learners"},
    {"training"},
    {"integrations", "hub"},
    {"analysis"},
    {"cli"},
    {"__main__"},
)
LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}
MODULE_OF = {"pillow": "PIL", "pyyaml": "yaml", "scikit_learn": "sklearn"}
COMES_WITH = {"llvmlite", "pydantic_core"}  # tied to one version of numba and of pydantic
MATHEMATICS = ("lif", "cells", "rules", "rewards")


def _project(repository: Path) -> dict[str, Any]:
    return tomllib.loads((repository / "pyproject.toml").read_text())


def _modules(repository: Path) -> Iterator[tuple[str, ast.Module]]:
    """Dotted name below lfp_snn and syntax tree of every module of the package but its root."""
    package = repository / "lfp_snn"
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        if name:
            yield name, ast.parse(path.read_text(encoding="utf-8"))


def _imports(tree: ast.Module, name: str) -> Iterator[str]:
    """Dotted names of all that a module imports, at its top or inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"lfp_snn.{name} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_version_is_the_same_everywhere(repository: Path) -> None:
    version = _project(repository)["project"]["version"]
    citation = yaml.safe_load((repository / "CITATION.cff").read_text())
    assert lfp_snn.__version__ == version
    assert citation["version"] == version
    assert f"## [{version}]" in (repository / "CHANGELOG.md").read_text()


def test_readme_begins_with_the_two_commands_and_the_makefile_has_them(repository: Path) -> None:
    readme = (repository / "README.md").read_text()
    targets = set(re.findall(r"^([\w-]+):(?!=)", (repository / "Makefile").read_text(), re.M))
    first_block = readme.split("```")[1]
    assert re.findall(r"^make (\w+)", first_block, re.M) == ["train", "test"]
    named = set(re.findall(r"\bmake ([a-z-]+)", first_block + _code_spans(readme)))
    assert named <= targets


def _code_spans(text: str) -> str:
    return "\n".join(re.findall(r"`([^`\n]+)`", text))


def test_ci_runs_what_the_makefile_has(repository: Path) -> None:
    script = repository / ".ci" / "run"
    assert script.stat().st_mode & 0o100, "it can be executed"
    lines = re.findall(r"^make (.+)", script.read_text(), re.M)
    targets = [word for line in lines for word in line.split() if word.isalpha()]
    assert targets == ["lint", "docs", "notebooks", "test"]


def test_make_triton_runs_every_test_that_waits_for_triton(repository: Path) -> None:
    makefile = (repository / "Makefile").read_text(encoding="utf-8")
    found = re.search(r'^KERNELS := -k "(.+)" (.+)$', makefile, re.M)
    assert found is not None
    words, folders = found[1].split(" or "), [repository / each for each in found[2].split()]
    assert all(folder.is_dir() for folder in folders)
    waits = re.compile(r"unavailable\(\"triton\"|importorskip\(\"triton\"")
    for path in (repository / "tests").rglob("test_*.py"):
        text = path.read_text(encoding="utf-8")
        if waits.search(text):
            by_parameter = re.search(r'pytest\.param\(\s*"triton"', text)  # it stands in the name
            assert by_parameter or any(word in path.stem for word in words), path
            assert any(path.is_relative_to(folder) for folder in folders), path


def test_every_dependency_is_pinned(repository: Path) -> None:
    project = _project(repository)["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    for extra in (
        "data",
        "formats",
        "exchange",
        "onnx",
        "metrics",
        "tensorboard",
        "lightning",
        "docs",
    ):
        asked += project["optional-dependencies"][extra]
    names = {re.split(r"[\[<>=;]", each)[0].lower().replace("-", "_") for each in asked}
    lines = (repository / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    pinned = {name.lower().replace("-", "_") for name in pins}
    assert names - {"lfp_snn"} <= pinned
    assert all(re.fullmatch(r"[\w.]+", version) for version in pins.values())


def test_every_import_is_a_declared_dependency(repository: Path) -> None:
    project = _project(repository)["project"]
    optional = project["optional-dependencies"]
    extras = ("data", "formats", "triton", "peers", "exchange", "onnx", "metrics", "lightning")
    asked = project["dependencies"] + [each for name in extras for each in optional[name]]
    names = {re.split(r"[\[<>=;]", each)[0].lower().replace("-", "_") for each in asked}
    names = {MODULE_OF.get(name, name) for name in names} | COMES_WITH
    names |= sys.stdlib_module_names | {"lfp_snn"}
    foreign = {
        f"lfp_snn.{name} imports {imported}"
        for name, tree in _modules(repository)
        for imported in _imports(tree, name)
        if imported.split(".")[0] not in names
    }
    assert foreign == set()


def test_every_part_has_a_layer(repository: Path) -> None:
    parts = {name.split(".")[0] for name, _ in _modules(repository)}
    assert parts <= set(LEVEL), "give a new part its place in LAYERS"


def test_imports_point_downwards(repository: Path) -> None:
    upwards = []
    for name, tree in _modules(repository):
        own = name.split(".")[0]
        for imported in _imports(tree, name):
            root, _, rest = imported.partition(".")
            part = rest.split(".")[0]
            if root != "lfp_snn" or part in (own, "__version__"):
                continue
            assert part in LEVEL, f"lfp_snn.{name} imports {imported}: name the module it is from"
            same = part in MATHEMATICS and own in MATHEMATICS
            if LEVEL[part] >= LEVEL[own] and not same:
                upwards.append(f"lfp_snn.{name} imports {imported}")
    assert upwards == []


def test_no_imports_go_round_in_a_circle(repository: Path) -> None:
    trees = dict(_modules(repository))
    below: dict[str, set[str]] = {}
    for name, tree in trees.items():
        dotted = (each.removeprefix("lfp_snn.") for each in _imports(tree, name))
        # Names that are no modules are from the module that stands before them.
        found = {each if each in trees else each.rpartition(".")[0] for each in dotted}
        below[name] = (found & set(trees)) - {name}
    tuple(TopologicalSorter(below).static_order())  # raises CycleError, which names the circle


def test_studies_share_what_lies_below_them_and_know_nothing_of_each_other(
    repository: Path,
) -> None:
    studies = {"compare", "sweep", "convergence", "prune"}
    across = [
        f"lfp_snn.{name} imports {imported}"
        for name, tree in _modules(repository)
        for imported in _imports(tree, name)
        if name.startswith("analysis.")
        and (own := name.split(".")[1]) in studies | {"study"}
        and imported.startswith("lfp_snn.analysis.")
        and imported.split(".")[2] in studies - {own}
    ]
    assert across == []


def test_the_mathematics_knows_neither_files_nor_modules(repository: Path) -> None:
    for name, tree in _modules(repository):
        if name in MATHEMATICS:
            foreign = {imported.split(".")[0] for imported in _imports(tree, name)}
            allowed = {"__future__", "abc", "collections", "dataclasses", "math", "torch", "typing"}
            allowed |= {"fnmatch"}  # patterns of layer names
            assert foreign <= allowed | {"typing_extensions", "lfp_snn"}, name
            assert "torch.nn" not in " ".join(_imports(tree, name)), name


def test_tonic_is_imported_in_functions_of_data_only(repository: Path) -> None:
    for name, tree in _modules(repository):
        imported = {each.split(".")[0] for each in _imports(tree, name)}
        if "tonic" in imported:
            assert name.startswith("data."), f"lfp_snn.{name} imports tonic"
            top = ast.Module(
                [n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)], []
            )
            assert "tonic" not in {each.split(".")[0] for each in _imports(top, name)}


def test_importing_the_package_is_silent_and_needs_no_extra() -> None:
    code = (
        "import sys\n"
        "for name in ('tonic', 'triton', 'spikingjelly', 'nir', 'onnx', 'neurobench', 'pytest',\n"
        "             'tensorboard', 'lightning'):\n"
        "    sys.modules[name] = None\n"
        "import lfp_snn, lfp_snn.analysis, lfp_snn.cli, lfp_snn.training\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names of the files in the wheel that the checkout makes."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=repository,
        check=True,
        capture_output=True,
    )
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


def test_wheel_carries_configs_templates_and_types(repository: Path, wheel: set[str]) -> None:
    configs = {f"lfp_snn/configs/{path.name}" for path in (repository / "configs").glob("*.yaml")}
    assert len(configs) >= 4
    assert configs <= wheel
    assert {"lfp_snn/py.typed", "lfp_snn/analysis/templates/report.html"} <= wheel


def test_wheel_carries_the_trained_networks(repository: Path, wheel: set[str]) -> None:
    files = [path for path in (repository / "lfp_snn" / "hub").rglob("*") if path.is_file()]
    shipped = {
        str(path.relative_to(repository)) for path in files if "__pycache__" not in str(path)
    }
    assert len([name for name in shipped if name.endswith(".safetensors")]) >= 3
    assert shipped <= wheel


def test_wheel_carries_nothing_else(wheel: set[str]) -> None:
    outside = {name for name in wheel if not name.startswith(("lfp_snn/", "lfp_snn-"))}
    assert outside == set()
    assert not any("__pycache__" in name for name in wheel)


def test_a_package_that_lists_its_modules_lists_them_all(repository: Path) -> None:
    """A table in the docstring of a package, headed ``module``, has a row for each."""
    listed = {}
    for path in sorted((repository / "lfp_snn").rglob("__init__.py")):
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        if re.search(r"^module +\w", text, re.M):
            rows = set(re.findall(r"^(\w+) +\S", text, re.M)) - {"module"}
            inside = [each for each in path.parent.iterdir() if not each.name.startswith("_")]
            modules = {each.stem for each in inside if each.suffix == ".py" or each.is_dir()}
            listed[path.parent.name] = modules - rows
    assert listed
    assert not {name: missing for name, missing in listed.items() if missing}
