"""Hook of MkDocs: adds the pages of the repository's root, reference pages, and the files that pages link to.

GitHub shows the same pages, so links in them are those of the repository. Here they become those of the
site, and each row of a table that is about one name gets an anchor of that name.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from website import reference

ROOT = Path(__file__).parents[1]
AT_ROOT = {
    page.name: "index.md" if page.name == "README.md" else page.name.lower() for page in ROOT.glob("*.md")
}
"""Pages of the repository's root, with their names on the site."""

LINK = re.compile(r"(?<=\]\()(?!https?:|#)([^)#\s]+)")
ROW = re.compile(r"^\| (?=`([\w.]+)` \|)", re.MULTILINE)
"""The beginning of a row about one name: a metric, a field."""

CODE_IN_ROW = re.compile(r"^\|.*", re.MULTILINE), re.compile(r"`[^`]*`")
"""A row of a table, and code in it. GitHub needs `\\|` there; Python-Markdown shows the backslash."""


def at_site(path: str) -> str:
    """Return where the site has a file of the repository."""
    if path in AT_ROOT:
        return AT_ROOT[path]
    return path.removeprefix("docs/") if path.startswith("docs/") else f"files/{path}"


def in_repository(uri: str) -> str:
    """Return which page of the repository the site shows at `uri`."""
    return {shown: path for path, shown in AT_ROOT.items()}.get(uri, f"docs/{uri}")


def target(page: str, link: str) -> str:
    """Return which file of the repository a link on a page of the repository leads to."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), link))


def for_site(text: str, page: str) -> str:
    """Return the text of a page of the repository, with the links of the site."""
    here = posixpath.dirname(at_site(page)) or "."
    return LINK.sub(lambda link: posixpath.relpath(at_site(target(page, link.group())), here), text)


def with_anchors(text: str) -> str:
    """Return a page in which the first row about each name has an anchor."""
    known: set[str] = set()

    def marked(row: re.Match[str]) -> str:
        name = row[1]
        new = name not in known
        known.add(name)
        return f"| {reference.anchor(name)}" if new else row[0]

    return ROW.sub(marked, text)


def with_bars(text: str) -> str:
    """Return a page in which the code in tables has its bars without a backslash."""
    row, code = CODE_IN_ROW
    return row.sub(lambda found: code.sub(lambda each: each[0].replace(r"\|", "|"), found[0]), text)


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages of the root, and each file outside `docs/` that a page links to."""
    pages = [*AT_ROOT, *(in_repository(file.src_uri) for file in files.documentation_pages())]
    linked = {target(page, link) for page in pages for link in LINK.findall((ROOT / page).read_text())}
    for path in sorted({*AT_ROOT, *(path for path in linked if (ROOT / path).is_file())}):
        if not path.startswith("docs/"):
            files.append(File.generated(config, at_site(path), abs_src_path=str(ROOT / path)))
    for uri, page in reference.PAGES.items():
        files.append(File.generated(config, uri, content=page()))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001  MkDocs names them
    """Give each page the links of the site."""
    return with_bars(with_anchors(for_site(markdown, in_repository(page.file.src_uri))))
