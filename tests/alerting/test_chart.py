"""What the chart installs for Prometheus, and what it makes of the values for it."""

import json
from pathlib import Path
from typing import Any

import pytest

from pie.core.yamltext import read_yaml
from tests.alerting.conftest import RULES, promtool
from tests.chart.helm import one, refusal, rendered


def installed(**values: Any) -> list[dict[str, Any]]:
    """Return the groups of rules that the chart installs with values."""
    settings = ("--set-json", f"prometheusRule={json.dumps({'enabled': True, **values})}")
    groups = one("PrometheusRule", *settings)["spec"]["groups"]
    assert isinstance(groups, list)
    return groups


def alerts(groups: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


def test_nothing_is_installed_unless_it_is_asked_for() -> None:
    kinds = {manifest["kind"] for manifest in rendered()}
    assert kinds.isdisjoint({"PrometheusRule", "ServiceMonitor", "PodMonitor"})


def test_the_rules_are_those_of_the_file_without_the_disabled_ones() -> None:
    groups = read_yaml(RULES.read_text())["groups"]
    assert installed(disabled=[]) == groups
    assert [*alerts(installed())] == [each for each in alerts(groups) if each != "NodeUnderMaintenance"]
    assert "pie-maintenance" not in {group["name"] for group in installed()}


@pytest.mark.usefixtures("promtool")
def test_a_class_can_have_an_objective_of_its_own(tmp_path: Path) -> None:
    groups = installed(objective=0.95, classObjectives={"fast": 0.999})
    (tmp_path / "rules.yaml").write_text(json.dumps({"groups": groups}))
    runs = "pie_provision_probe_total{{storage_class='{}', on_time='true'}}"
    expected = [("fast", 0.999), ("slow", 0.95)]
    test = {
        "interval": "1m",
        "input_series": [{"series": runs.format(name), "values": "0+1x20"} for name, _ in expected],
        "promql_expr_test": [
            {
                "expr": "pie:objective:ratio",
                "eval_time": "10m",
                "exp_samples": [
                    {"labels": f"pie:objective:ratio{{storage_class='{name}'}}", "value": value}
                    for name, value in expected
                ],
            }
        ],
    }
    (tmp_path / "tests.yaml").write_text(json.dumps({"rule_files": ["rules.yaml"], "tests": [test]}))
    assert promtool(tmp_path, "test", "rules", "tests.yaml") == ""


@pytest.mark.usefixtures("promtool")
def test_labels_and_the_address_of_the_docs_reach_every_alert_and_the_rules_stay_valid(
    tmp_path: Path,
) -> None:
    groups = installed(docsUrl="https://docs.example.com/pie/", ruleLabels={"team": "storage"})
    for name, alert in alerts(groups).items():
        assert alert["labels"].keys() == {"team", "severity"}, name
        assert alert["annotations"]["runbook_url"].startswith("https://docs.example.com/pie/"), name
        assert "/docs/" not in alert["annotations"]["runbook_url"]
    (tmp_path / "rules.yaml").write_text(json.dumps({"groups": groups}))
    assert promtool(tmp_path, "check", "rules", "rules.yaml") == ""
    own = alerts(installed(ruleLabels={"severity": "x"})).values()
    assert {each["labels"]["severity"] for each in own} == {"x"}


def test_the_runbooks_are_files_of_the_docs_or_pages_of_the_site() -> None:
    files = alerts(installed(docsUrl="https://git.example.com/pie/docs"))
    site = alerts(installed(docsUrl="https://docs.example.com/pie/", docsSuffix="/"))
    pages = {
        name: (files[name]["annotations"]["runbook_url"], site[name]["annotations"]["runbook_url"])
        for name in ("StorageIncident", "PieAbsent")
    }
    assert pages == {
        "StorageIncident": (
            "https://git.example.com/pie/docs/runbooks/{{ $labels.reason }}.md",
            "https://docs.example.com/pie/runbooks/{{ $labels.reason }}/",
        ),
        "PieAbsent": (
            "https://git.example.com/pie/docs/alerts.md#PieAbsent",
            "https://docs.example.com/pie/alerts/#PieAbsent",
        ),
    }


def test_an_objective_that_no_share_can_meet_is_refused() -> None:
    for objective in ("1", "99", '"0.99"'):
        assert "/prometheusRule/objective" in refusal("--set-json", f"prometheusRule.objective={objective}")


def test_pods_are_scraped_by_a_pod_monitor_or_a_service_monitor_and_not_by_both() -> None:
    enabled = ("--set", "podMonitor.enabled=true")
    monitor, deployment = one("PodMonitor", *enabled), one("Deployment", *enabled)
    pod = deployment["spec"]["template"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    ports = {port["name"] for port in pod["spec"]["containers"][0]["ports"]}
    assert {each["port"] for each in monitor["spec"]["podMetricsEndpoints"]} <= ports
    both = ("--set", "image.reference=x,podMonitor.enabled=true,serviceMonitor.enabled=true")
    assert "serviceMonitor and podMonitor are both enabled" in refusal(*both)
