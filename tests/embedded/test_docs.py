"""docs/embedded.md says what the code does, and the stories tell of faults that there are."""

import re
from pathlib import Path

import pytest

from pie.cli.stories import STORIES, Story
from pie.embedded import childprocess
from pie.embedded.cel import CelError, compiled
from pie.embedded.faults import FAULTS
from pie.embedded.schema import pieprobe_schema
from testbed.faults import FAULTS as TESTBED_FAULTS
from tests.harness import ROOT

PAGE = (ROOT / "docs" / "embedded.md").read_text()


def test_the_page_lists_every_fault_in_its_own_words() -> None:
    listed = dict(re.findall(r"^\| `([a-z-]+)` \| (.+) \|$", PAGE, re.MULTILINE))
    assert listed == {fault.name: fault.meaning for fault in FAULTS.values()}


def test_a_fault_that_the_testbed_has_too_has_its_name_there() -> None:
    only_here = {"new-node", "stale-mount", "api-slow", "api-gone"}
    assert FAULTS.keys() - TESTBED_FAULTS.keys() == only_here


def test_the_page_names_every_story() -> None:
    assert all(name in PAGE for name in STORIES)


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_a_story_injects_known_faults_and_clears_them_all(story: Story) -> None:
    injected = [fault for step in story.steps for fault in step.inject]
    cleared = [fault for step in story.steps for fault in step.clear]
    assert {fault.split()[0] for fault in injected} <= FAULTS.keys()
    assert set(injected) - {"reboot node-2"} == set(cleared), "a reboot ends by itself"
    named = [int(number) for fault in injected for number in re.findall(r"node-(\d+)", fault)]
    assert story.nodes >= max(named, default=1)


def test_every_rule_of_the_crd_is_understood() -> None:
    assert pieprobe_schema()
    with pytest.raises(CelError, match="lookUp is not known here"):
        compiled("lookUp(self) == 1")


def test_it_stays_as_small_as_the_contributors_page_says() -> None:
    sources = {*(ROOT / "src/pie/embedded").rglob("*.py")} - {Path(childprocess.__file__)}
    assert 0 < sum(len(source.read_text().splitlines()) for source in sources) <= 2820
