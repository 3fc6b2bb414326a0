"""Checks a built site: every link and picture leads somewhere, and nothing is fetched from outside.

``python -m tools.links site`` prints what is wrong, and ends with an error if anything is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

__all__ = ["Document", "faults", "main"]

#: Where a page names what a browser then fetches by itself.
_FETCHED = {"img": "src", "script": "src", "iframe": "src", "source": "src", "link": "href"}
#: Words of docstrings that should have been turned into something else.
_RAW = (":class:`", ":func:`", ":meth:`", ":mod:`", ":math:`", ".. math::", "=====", r"\(")


class Document(HTMLParser):
    """What a page links to, what it fetches, and the places in it that can be linked to."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.places: set[str] = {""}
        self.words: list[str] = []
        self._code = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        """Notes what a tag names."""
        given = {name: value or "" for name, value in attrs}
        self.places |= {given[key] for key in ("id", "name") if key in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if (key := _FETCHED.get(tag)) in given and given.get("rel") != "canonical":
            self.fetched.append(given[str(key)])
        self._code += tag in ("code", "pre", "script", "annotation")

    def handle_endtag(self, tag: str) -> None:
        """Notes that code has ended."""
        self._code -= tag in ("code", "pre", "script", "annotation")

    def handle_data(self, data: str) -> None:
        """Notes text that is no code."""
        if not self._code:
            self.words.append(data)


def faults(site: Path) -> Iterator[str]:
    """What is wrong with a site, a line each."""
    documents = {
        path.resolve(): Document(path.read_text(encoding="utf-8"))
        for path in sorted(site.rglob("*.html"))
        if path.name != "404.html"  # its links are those of the root of a server
    }
    for path, document in documents.items():
        page = path.relative_to(site.resolve()).as_posix()
        for link in dict.fromkeys([*document.links, *document.fetched]):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file():
                yield f"{page}: {link} leads nowhere"
            elif target in documents and unquote(parts.fragment) not in documents[target].places:
                yield f"{page}: {link} is no place of that page"
        for link in document.fetched:
            if urlsplit(link).netloc:
                yield f"{page}: {link} is fetched from outside"
        text = " ".join(document.words)
        yield from (f"{page}: {raw} stands there as it is" for raw in _RAW if raw in text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Check a site, by default ``site``."""
    given = sys.argv[1:] if arguments is None else arguments
    site = Path(given[0] if given else "site")
    found = list(faults(site))
    pages = sum(1 for _ in site.rglob("*.html"))
    print("\n".join(found) or f"{pages} pages: every link leads somewhere")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
