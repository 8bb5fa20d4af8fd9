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

from pie.core.reasons import Reason
from pie.core.yamltext import read_yaml
from website import reference

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
IN_NAVIGATION = [page for page in PAGES if page.parent.name != "runbooks"]
LOADED = re.compile(
    r'<(?:script|img|iframe)[^>]* src="?(?:https?:)?//[^>]*|<link[^>]* href="?(?:https?:)?//[^>]*'
)


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def site(mkdocs: None, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: ARG001  it must be there
    """Return the directory of the site."""
    found = tmp_path_factory.mktemp("site")
    built = build(found)
    assert built.returncode == 0, built.stderr
    return found


def anchors(page: Path) -> set[str]:
    """Return the places in a page of the site that a link can name."""
    return set(re.findall(r' id="([^"]+)"', page.read_text()))


def test_the_site_has_every_page_search_finds_a_reason_and_nothing_comes_from_another_host(
    site: Path,
) -> None:
    index = json.loads((site / "search/search_index.json").read_text())
    found = {
        each["location"].partition("#")[0]
        for each in index["docs"]
        if "ProvisionerSilent" in f"{each['title']} {each['text']}"
    }
    assert {"reasons/", "runbooks/ProvisionerSilent/"} <= found
    built = {str(page.parent.relative_to(site)) for page in site.rglob("index.html")}
    assert built >= {
        str(page.relative_to(ROOT / "docs").with_suffix("")) for page in (ROOT / "docs").rglob("*.md")
    }
    loaded = {page: LOADED.findall(page.read_text()) for page in site.rglob("*.html")}
    assert {page: found for page, found in loaded.items() if found} == {}


def test_every_picture_is_a_file_because_the_site_draws_no_diagrams(site: Path) -> None:
    assert [page.name for page in PAGES if "```mermaid" in page.read_text()] == []
    pictures = {
        page.parent / source
        for page in site.rglob("*.html")
        for source in re.findall(r'<img [^>]*src="([^"]+)"', page.read_text())
    }
    assert any(picture.suffix == ".svg" for picture in pictures)
    assert [picture for picture in pictures if not picture.exists()] == []


def test_code_in_tables_shows_its_bars_as_they_are_typed(site: Path) -> None:
    shown = {
        page: re.findall(r"<code>[^<]*\\\|[^<]*</code>", page.read_text()) for page in site.rglob("*.html")
    }
    assert {page: found for page, found in shown.items() if found} == {}
    assert "table|json|yaml|junit" in (site / "flags/index.html").read_text()


def test_every_reason_has_an_anchor_and_a_page(site: Path) -> None:
    assert {str(reason) for reason in Reason} <= anchors(site / "reasons/index.html")
    assert [each for each in Reason if not (site / "runbooks" / each / "index.html").exists()] == []


def test_every_metric_and_every_alert_has_an_anchor(site: Path) -> None:
    metrics = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE))
    assert len(metrics) > 30
    assert metrics <= anchors(site / "metrics/index.html")
    groups = read_yaml((ROOT / "charts/pie/files/rules.yaml").read_text())["groups"]
    alerts = {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}
    assert alerts <= anchors(site / "alerts/index.html")


def test_every_flag_of_every_command_has_an_anchor(site: Path) -> None:
    flags = {
        reference.flag_anchor(name, flag)
        for name, command in reference.commands()
        for each in command.params
        for flag in each.opts
        if flag.startswith("--") and not each.hidden
    }
    flags |= {
        reference.flag_anchor(f"pie probe {probe}", name)
        for probe, options in reference.probe_options().items()
        for names, _ in options
        for name in names
    }
    assert {"pie-check--nodes", "pie-demo-fault--node", "pie-probe-mount--path"} <= flags
    assert flags <= anchors(site / "flags/index.html")


def test_every_field_of_a_pieprobe_has_an_anchor_and_its_description(site: Path) -> None:
    schema = read_yaml(reference.CRD.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    fields = {
        path for part in ("spec", "status") for path, _ in reference.below(schema["properties"][part], part)
    }
    assert {"spec.tolerations[].key", "spec.suppression.maxDuration", "status.incidents[].reason"} <= fields
    assert fields <= anchors(site / "fields/index.html")


@pytest.mark.usefixtures("mkdocs")
def test_a_dead_link_or_a_page_outside_the_navigation_fails_the_build(tmp_path: Path) -> None:
    for directory in ("docs", "website", "charts"):
        shutil.copytree(ROOT / directory, tmp_path / directory, ignore=shutil.ignore_patterns("runbooks"))
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
    at_root = {page.name.lower() for page in IN_NAVIGATION if page.parent == ROOT} - {"readme.md"}
    written = {str(page.relative_to(ROOT / "docs")) for page in IN_NAVIGATION if page.parent != ROOT}
    assert sorted(shown) == sorted({"index.md", *at_root, *written, *reference.PAGES})


def test_a_list_in_a_list_is_indented_by_four_spaces_as_the_site_needs() -> None:
    texts = {
        page: re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
        for page in PAGES
    }
    wrong = {
        page: re.findall(r"^ {1,3}(?:[-*]|\d+\.) .*", text, re.MULTILINE) for page, text in texts.items()
    }
    assert {page: lines for page, lines in wrong.items() if lines} == {}
