"""The rules that the chart installs, as promtool evaluates them, and what docs/alerts.md says of them."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from pie.core.yamltext import read_yaml
from tests.alerting.conftest import HERE, ROOT, RULES, promtool

PAGE = (ROOT / "docs/alerts.md").read_text()
STORIES = [HERE / name for name in ("stories.yaml", "days.yaml")]
METRICS = (ROOT / "docs/metrics.md").read_text()


def rules(kind: str) -> list[dict[str, Any]]:
    groups = read_yaml(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"] if kind in rule]


@pytest.mark.usefixtures("promtool")
def test_the_alerts_tell_the_stories_of_the_design_and_no_fault_pages_twice(tmp_path: Path) -> None:
    for file in (RULES, *STORIES, HERE / "go.yaml"):
        shutil.copy(file, tmp_path)
    assert promtool(tmp_path, "check", "rules", "rules.yaml") == ""
    assert promtool(tmp_path, "test", "rules", *(file.name for file in STORIES)) == ""


def test_every_alert_is_in_a_story() -> None:
    stories = "".join(file.read_text() for file in STORIES)
    assert [each["alert"] for each in rules("alert") if f"alertname: {each['alert']}\n" not in stories] == []


def test_the_page_explains_every_alert_with_its_severity_and_no_other() -> None:
    documented = re.findall(r'^\| <a id="(\w+)"></a>`(\w+)` \| (\w+) \|', PAGE, re.MULTILINE)
    assert documented == [
        (each["alert"], each["alert"], each["labels"]["severity"]) for each in rules("alert")
    ]


def test_every_alert_leads_to_the_runbook_of_its_reason_or_to_its_row_of_the_page() -> None:
    for each in rules("alert"):
        reason = "reason" in each["annotations"]["summary"]
        expected = "docs/runbooks/{{ $labels.reason }}.md" if reason else f"docs/alerts.md#{each['alert']}"
        assert each["annotations"]["runbook_url"] == expected


def test_the_page_names_every_recorded_series() -> None:
    recorded = {each["record"] for each in rules("record")}
    burn = {
        f"pie:error_budget_burn:rate{window}" for window in re.findall(r"`(?:\w+:\w+:rate|…)(\w+)`", PAGE)
    }
    assert recorded == {*re.findall(r"^\| `(pie:(?!error)[\w:]+)` \|", PAGE, re.MULTILINE), *burn} - {
        "pie:error_budget_burn:ratio"
    }


def test_the_rules_use_only_metrics_that_pie_exports() -> None:
    used = set(re.findall(r"\bpie_[a-z_]+(?=[{\[) ])", RULES.read_text()))
    used -= {"pie_probe_name"}
    assert used <= set(re.findall(r"^\| `(\w+)` \|", METRICS, re.MULTILINE))
    assert len(used) > 6


def test_the_alerts_on_counters_are_those_of_the_page() -> None:
    counters = read_yaml((HERE / "go.yaml").read_text())["groups"][0]["rules"]
    assert [each["expr"] for each in counters] == re.findall(r"\| `(sum without .*?)` \|", PAGE)


def test_the_recipe_that_silences_other_alerts_is_the_one_of_the_story_of_maintenance() -> None:
    (promql,) = re.findall(r"```promql\n(.*?)```", PAGE, re.DOTALL)
    assert f"expr: {' '.join(promql.split())}\n" in STORIES[0].read_text()
    inhibition = read_yaml(re.findall(r"```yaml\n(inhibit_rules.*?)```", PAGE, re.DOTALL)[0])
    (source,) = inhibition["inhibit_rules"][0]["source_matchers"]
    (alert,) = (each for each in rules("alert") if source == f"alertname = {each['alert']}")
    assert inhibition["inhibit_rules"][0]["equal"] == ["node"]
    assert "by (node)" in next(each["expr"] for each in rules("record") if each["record"] in alert["expr"])
