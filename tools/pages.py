"""Pages that are made when the site is: the API reference, the notebooks, and files of the root.

MkDocs calls the functions whose names begin with ``on_``.
"""

from __future__ import annotations

import ast
import json
import posixpath
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from tools import notebooks

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "lfp_snn"
#: Files that lie elsewhere, and where the site has them.
ELSEWHERE = {
    "datasets/README.md": "datasets.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "README.md": "index.md",
}
SECTIONS = {
    "datasets.md": "Results",
    "changelog.md": "Project",
    "contributing.md": "Project",
    "security.md": "Project",
}
#: What the reference holds, in its order; of a package its own names.
PARTS = (
    *("", "rules", "rewards", "learners", "data", "models", "training", "analysis"),
    *("integrations", "lif", "activations", "norms"),
)
#: Packages whose modules have names that users call, too.
WITH_MODULES = {"learners", "analysis", "integrations"}
_LINK = re.compile(r"\]\((?![a-z]+:|#)([^)\s#]+)(#[^)\s]*)?\)")
_CELL = re.compile(r"<td.*?</td>", re.S)
_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.S)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages that are made into the navigation."""
    assert config.nav is not None
    sections: dict[str, Any] = {name: part for each in config.nav for name, part in each.items()}
    sections["Tutorials"] += [f"tutorials/{path.stem}.md" for path in _tutorials()]
    for page, section in SECTIONS.items():
        title = {"datasets.md": "Datasets"}.get(page, page[:-3].capitalize())
        sections[section].append({title: page})
    sections["API"] = [{title: page} for page, (title, _) in _reference().items()]
    sections["Project"] = sections.pop("Project")
    config.nav = [{name: part} for name, part in sections.items()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add them to the files of the site."""
    for source, page in ELSEWHERE.items():
        if page != "index.md":
            text = relinked((ROOT / source).read_text(encoding="utf-8"), source, page)
            files.append(File.generated(config, page, content=text))
    for path in _tutorials():
        text = notebooks.as_page(json.loads(path.read_text(encoding="utf-8")), path.name)
        files.append(File.generated(config, f"tutorials/{path.stem}.md", content=text))
    for page, (_, text) in _reference().items():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **kwargs: Any) -> str:
    """Links of the repository lead to pages of the site."""
    uri = page.file.src_uri
    return markdown if uri in ELSEWHERE.values() else relinked(markdown, f"docs/{uri}", uri)


def on_page_content(html: str, **kwargs: Any) -> str:
    """Formulas as MathML, which browsers draw by themselves; bars in tables as on a code host."""
    html = _CELL.sub(lambda found: found[0].replace("\\|", "|"), html)
    return _FORMULA.sub(_drawn, html)


def relinked(markdown: str, source: str, page: str) -> str:
    """Links that hold in a file of the repository, as they hold in a page of the site."""

    def link(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), found[1]))
        if target in ELSEWHERE:
            target = ELSEWHERE[target]
        elif target.startswith("docs/"):
            target = target.removeprefix("docs/")
            target = re.sub(r"\.ipynb$", ".md", target)
        elif target.startswith("lfp_snn/"):  # a package: its page of the reference
            target = f"api/{target.removeprefix('lfp_snn/').replace('/', '-')}.md"
        else:
            return found[0]
        return f"]({posixpath.relpath(target, posixpath.dirname(page) or '.')}{found[2] or ''})"

    return _LINK.sub(link, markdown)


def _drawn(found: re.Match[str]) -> str:
    display = "block" if found[2] == "[" else "inline"
    formula = unescape(found[3]).replace(r"\lVert", r"\|").replace(r"\rVert", r"\|")
    return str(convert(formula, display=display))


def _tutorials() -> list[Path]:
    return sorted((ROOT / "docs" / "tutorials").glob("*.ipynb"))


def _reference() -> dict[str, tuple[str, str]]:
    """Title and text of each page of the reference, by its place."""
    pages = {}
    for part in PARTS:
        name = f"lfp_snn.{part}".rstrip(".")
        modules = [name]
        if part in WITH_MODULES:
            modules += _modules(PACKAGE / part, name)
        for page, inside in _by_page(modules, name).items():
            title = page.removeprefix("lfp_snn.")
            parts = [
                _section(module, names, 1 if module == page else 2)
                for module, names in inside.items()
            ]
            text = "\n".join([f"---\ntitle: {title}\n---\n", *parts])
            pages[f"api/{title.replace('.', '-')}.md"] = title, text
    return pages


def _by_page(modules: list[str], package: str) -> dict[str, dict[str, list[str]]]:
    """The names of modules, by the package on whose page they stand."""
    pages: dict[str, dict[str, list[str]]] = {}
    for module in modules:
        parts = module.split(".")
        is_package = (ROOT / Path(*parts)).is_dir()
        page = module if is_package else ".".join(parts[:-1])
        page = module if module == package else page
        known = {name for names in pages.get(page, {}).values() for name in names}
        names = [name for name in _public(module) if name not in known]
        if names or module == page:
            pages.setdefault(page, {})[module] = names
    return pages


def _modules(folder: Path, name: str) -> Iterator[str]:
    for path in sorted(folder.iterdir()):
        if path.is_dir() and (path / "__init__.py").exists():
            yield f"{name}.{path.name}"
            yield from _modules(path, f"{name}.{path.name}")
        elif path.suffix == ".py" and path.stem != "__init__":
            module = f"{name}.{path.stem}"
            if _public(module):
                yield module


def _public(module: str) -> list[str]:
    """What a module lists in ``__all__``."""
    path = ROOT / Path(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return []


def _section(module: str, names: list[str], level: int) -> str:
    """A module of the reference: what it says of itself, and its names."""
    return (
        f"::: {module}\n    options:\n"
        f"      members: {json.dumps(names)}\n      heading_level: {level}\n"
    )
