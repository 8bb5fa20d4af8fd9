"""docs/versions.md and README name the versions of Kubernetes that were tried, and no others."""

import re

import pytest

from testbed.build import kubernetes_versions
from tests.harness import ROOT
from tests.versions.differences import DIFFERENCES
from tests.versions.page import PAGE, read, render
from tests.versions.scenarios import EXPECTED

RESULTS = read()
README = " ".join((ROOT / "README.md").read_text().split())


def test_the_page_is_what_the_results_say() -> None:
    assert PAGE.read_text() == render(RESULTS)


@pytest.mark.parametrize("version", RESULTS)
def test_a_version_was_tried_in_every_scenario_and_all_were_as_expected(version: str) -> None:
    tried = RESULTS[version]
    assert tried.right, tried.scenarios
    assert tried.scenarios.keys() == EXPECTED.keys()
    assert tried.differences.keys() == {each.title for each in DIFFERENCES}


def test_a_version_that_is_pinned_is_on_the_page_as_tried_or_not() -> None:
    named = re.search(r"^Tried: .*$", PAGE.read_text(), re.MULTILINE)
    assert named
    assert sorted(re.findall(r"\d+\.\d+\.\d+", named[0])) == sorted(kubernetes_versions())


def test_the_readme_names_the_versions_that_were_tried_on_real_nodes_and_no_others() -> None:
    named = re.search(r"`make versions` tried it with real nodes: ([\d., and]+\d)", README)
    assert named, "README names them"
    assert re.findall(r"\d+\.\d+\.\d+", named[1]) == list(RESULTS)
