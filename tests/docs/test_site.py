"""`make site` builds a site of all pages, with search, that needs no other host."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
IN_NAVIGATION = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
PAGES = [*IN_NAVIGATION, *(ROOT / "docs/runbooks").glob("*.md")]
LOADED = re.compile(
    r'<(?:script|img|iframe)[^>]* src="?(?:https?:)?//[^>]*|<link[^>]* href="?(?:https?:)?//[^>]*'
)


@pytest.fixture
def mkdocs() -> None:
    """Skip the test when MkDocs is not installed; in CI, fail."""
    if importlib.util.find_spec("mkdocs") is None or importlib.util.find_spec("material") is None:
        reason = "MkDocs with the theme Material is missing: make setup"
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


def build(site: Path, config: Path = ROOT / "mkdocs.yml") -> subprocess.CompletedProcess[str]:
    """Build the site as `make site` does."""
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", config, "-d", site],
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.usefixtures("mkdocs")
def test_the_site_has_every_page_search_finds_a_reason_and_nothing_comes_from_another_host(
    tmp_path: Path,
) -> None:
    built = build(tmp_path)
    assert built.returncode == 0, built.stderr
    index = json.loads((tmp_path / "search/search_index.json").read_text())
    found = {
        each["location"].partition("#")[0]
        for each in index["docs"]
        if "ProvisionerSilent" in f"{each['title']} {each['text']}"
    }
    assert {"reasons/", "runbooks/ProvisionerSilent/"} <= found
    pages = {page.parent.name: page.read_text() for page in tmp_path.glob("*/index.html")}
    assert pages.keys() >= {page.stem for page in (ROOT / "docs").glob("*.md")}
    assert 'id="ProvisionerSilent"' in pages["reasons"]
    loaded = {page: LOADED.findall(page.read_text()) for page in tmp_path.rglob("*.html")}
    assert {page: found for page, found in loaded.items() if found} == {}


@pytest.mark.usefixtures("mkdocs")
def test_a_dead_link_or_a_page_outside_the_navigation_fails_the_build(tmp_path: Path) -> None:
    for directory in ("docs", "website", "charts"):
        shutil.copytree(ROOT / directory, tmp_path / directory)
    for path in (ROOT / "mkdocs.yml", *ROOT.glob("*.md")):
        shutil.copy(path, tmp_path)
    (tmp_path / "docs/lost.md").write_text(
        "[a reason](reasons.md#NoSuchReason), [a page](nosuch.md), [a file](../charts/nosuch.yaml)\n"
    )
    built = build(tmp_path / "site", tmp_path / "mkdocs.yml")
    assert built.returncode != 0
    warnings = [line for line in built.stderr.splitlines() if line.startswith("WARNING")]
    for wrong in ("#NoSuchReason", "'nosuch.md'", "'files/charts/nosuch.yaml'"):
        assert [line for line in warnings if wrong in line], built.stderr
    assert "- lost.md" in built.stderr


def test_every_page_is_in_the_navigation_once() -> None:
    sections = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    shown = [
        name for section in sections for pages in section.values() for page in pages for name in page.values()
    ]
    at_site = [page.name.lower() if page.parent == ROOT else page.name for page in IN_NAVIGATION]
    assert sorted(shown) == sorted("index.md" if name == "readme.md" else name for name in at_site)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_list_in_a_list_is_indented_by_four_spaces_as_the_site_needs(page: Path) -> None:
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    assert re.findall(r"^ {1,3}(?:[-*]|\d+\.) .*", text, re.MULTILINE) == []
