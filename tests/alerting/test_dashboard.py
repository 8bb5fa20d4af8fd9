"""The Grafana dashboard: up to date, its queries valid, and only about what there is."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from dashboard.__main__ import FILE
from dashboard.grafana import text
from dashboard.panels import ROWS
from pie.core.yamltext import read_yaml
from tests.alerting.conftest import ROOT, RULES, promtool
from tests.alerting.queries import queries
from tests.chart.helm import one, rendered

PANELS: list[dict[str, Any]] = json.loads(text(ROWS))["panels"]
# Of Prometheus' client library and of client-go.
OTHERS = {"process_cpu_seconds_total", "process_resident_memory_bytes"}


def test_the_file_in_the_chart_is_up_to_date() -> None:
    assert FILE.read_text() == text(ROWS), "run: python -m dashboard"


@pytest.mark.usefixtures("promtool")
def test_every_query_is_valid(tmp_path: Path) -> None:
    asked = queries(FILE)
    rules = [{"record": f"q{number}", "expr": query} for number, query in enumerate(asked)]
    (tmp_path / "rules.yaml").write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))
    assert promtool(tmp_path, "check", "rules", "rules.yaml") == ""
    assert len(asked) == sum(len(panel.queries) for row in ROWS for panel in row.panels)
    assert [query for query in asked if "$" in query] == []


def test_it_shows_only_metrics_that_are_exported_or_recorded() -> None:
    documented = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE))
    groups = read_yaml(RULES.read_text())["groups"]
    recorded = {rule.get("record") for group in groups for rule in group["rules"]}
    names = re.compile(r"\b(?:pie[_:]|workqueue_|process_)[\w:]+")
    used = {name for query in queries(FILE) for name in names.findall(query)}
    used = {name.removesuffix("_bucket") for name in used} - {"pie_probe_name"}
    assert used - documented - recorded == OTHERS


def test_panels_have_a_place_of_their_own_within_the_width() -> None:
    def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
        place = panel["gridPos"]
        assert 0 <= place["x"] <= place["x"] + place["w"] <= 24
        columns, lines = (range(place[at], place[at] + place[size]) for at, size in (("x", "w"), ("y", "h")))
        return {(x, y) for x in columns for y in lines}

    assert all(not cells(one) & cells(other) for one, other in combinations(PANELS, 2))
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)


def test_the_chart_installs_it_as_a_config_map_that_the_sidecar_of_grafana_finds() -> None:
    assert "ConfigMap" not in {manifest["kind"] for manifest in rendered()}
    installed = one("ConfigMap", "--set", "dashboard.enabled=true")
    assert installed["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert installed["data"] == {"pie-storage.json": FILE.read_text()}
