"""The documentation as a site: configuration of Sphinx (https://www.sphinx-doc.org/en/master/usage/configuration.html). Its
search needs neither a server nor a network. Pages stay as they are read in the tree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from sphinx.application import Sphinx

_ROOT = Path(__file__).parents[2]
#: The folders of `docs`, in the order of the side bar; others follow by their names.
_PARTS = {"profiles": "Profiles", "reference": "Reference", "software": "Real software",
          "bench": "Numbers", "adr": "Decisions"}  # fmt: skip

project = html_title = "hardening"
extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = ["docs/**", "README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"]
exclude_patterns = [".*", "build", "hardening", "plugins", "profiles", "scripts", "tests", "tools"]
html_theme = "furo"
html_copy_source = html_show_copyright = False
#: They would be fetched, which a browser does not do without a server.
html_show_search_summary = False
myst_heading_anchors = 4
#: A page may begin a part lower than the one before; an example may show what a language does not have.
suppress_warnings = ["misc.highlighting_failure", "myst.header"]


def _read(_: Sphinx, name: str, source: list[str]) -> None:
    """A page as Sphinx reads it: a link to a folder leads to its first page, and the first page has the side bar."""
    page = _ROOT / f"{name}.md"
    source[0] = re.sub(r"\]\(([./\w-]+)/\)", lambda found: f"]({found[1]}/{_first(page.parent / found[1])})", source[0])
    if name == root_doc:
        others = {path.parent.name: path.parent.name.capitalize() for path in sorted(_ROOT.glob("docs/*/*.md"))}
        others.pop("howto")
        parts = [
            ("", ["tutorial"]),
            ("How to", [*_howtos(source[0])]),
            *((title, [f"{folder}/**"]) for folder, title in {**_PARTS, **others, **_PARTS}.items()),
        ]
        parts.append(("The project", ["architecture", "../README", "../SECURITY", "../CONTRIBUTING", "../CHANGELOG"]))
        source[0] += "".join(_toctree(title, pages) for title, pages in parts)


def _howtos(index: str) -> Iterator[str]:
    """The guides in the order of the first page, under short names: what all of them begin with is the heading's."""
    for page in dict.fromkeys(re.findall(r"\]\((howto/[\w-]+)\.md", index)):
        heading = (_ROOT / f"docs/{page}.md").read_text(encoding="utf-8").partition("\n")[0]
        name = heading.removeprefix("# ").removeprefix("How to ")
        yield f"{name[:1].upper()}{name[1:]} <{page}>"


def _first(folder: Path) -> str:
    return min(path.name for path in folder.glob("*.md"))


def _toctree(title: str, pages: list[str]) -> str:
    lines = [":hidden:", ":glob:", *([f":caption: {title}"] if title else []), "", *pages]
    return "\n".join(["\n\n```{toctree}", *lines, "```\n"])


def _finished(app: Sphinx, error: Exception | None) -> None:
    """The place where a browser looks first leads to the first page, and who has made the site is told where it is."""
    first = Path(app.outdir, "index.html")
    if error is None:
        first.write_text(
            f'<!doctype html><meta http-equiv="refresh" content="0; url={root_doc}.html">\n', encoding="utf-8"
        )
        print(first)


def setup(app: Sphinx) -> None:
    app.connect("source-read", _read)
    app.connect("build-finished", _finished)
