"""Panels as Grafana reads them."""

import json
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any, Final

from dashboard.panels import Panel, Row

Json = dict[str, Any]
_COLUMNS: Final = 24
_HEIGHTS: Final = {"stat": 4, "table": 8, "timeseries": 8}
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


def _thresholds(panel: Panel) -> list[Json]:
    if panel.red_below is not None:
        return [{"color": "red", "value": None}, {"color": "green", "value": panel.red_below}]
    steps: list[Json] = [{"color": "green" if panel.kind == "stat" else "text", "value": None}]
    return steps if panel.red_from is None else [*steps, {"color": "red", "value": panel.red_from}]


def _targets(panel: Panel) -> list[Json]:
    instant = panel.kind != "timeseries"
    return [
        {
            "refId": chr(ord("A") + index),
            "datasource": _SOURCE,
            "expr": query.expr,
            "legendFormat": query.legend,
            "instant": instant,
            "range": not instant,
            "format": "table" if panel.kind == "table" else "time_series",
        }
        for index, query in enumerate(panel.queries)
    ]


def _options(panel: Panel) -> Json:
    if panel.kind == "stat":
        last = {"calcs": ["lastNotNull"]}
        return {"colorMode": "value", "reduceOptions": last, "textMode": "value_and_name"}
    if panel.kind == "timeseries":
        return {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}}
    return {"showHeader": True}


def _panel(panel: Panel, number: int, x: int, y: int) -> Json:
    found: Json = {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": _SOURCE,
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": _HEIGHTS[panel.kind]},
        "interval": "5m" if panel.kind == "timeseries" else "1m",
        "targets": _targets(panel),
        "options": _options(panel),
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit,
                "min": 0,
                "thresholds": {"mode": "absolute", "steps": _thresholds(panel)},
            },
            "overrides": [],
        },
    }
    if panel.kind == "table":
        hidden = {"excludeByName": {"Time": True}, "renameByName": {"Value": "number"}}
        found["transformations"] = [{"id": "organize", "options": hidden}]
    return found


def _placed(rows: Sequence[Row]) -> Iterator[Json]:
    """Yield rows and their panels: from left to right, and on a new line where a panel does not fit."""
    numbers = count(1)
    y = 0
    for row in rows:
        yield {
            "id": next(numbers),
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "gridPos": {"x": 0, "y": y, "w": _COLUMNS, "h": 1},
            "panels": [],
        }
        y += 1
        x = height = 0
        for panel in row.panels:
            if x + panel.width > _COLUMNS:
                x, y, height = 0, y + height, 0
            yield _panel(panel, next(numbers), x, y)
            x, height = x + panel.width, max(height, _HEIGHTS[panel.kind])
        y += height


def _variables() -> list[Json]:
    classes = "label_values(pie_incidents_total, storage_class)"
    return [
        {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
        {
            "name": "storage_class",
            "label": "StorageClass",
            "type": "query",
            "datasource": _SOURCE,
            "definition": classes,
            "query": {"query": classes, "refId": "storage_class"},
            "refresh": 2,
            "sort": 1,
            "multi": True,
            "includeAll": True,
            "allValue": ".*",
            "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        },
    ]


def dashboard(rows: Sequence[Row]) -> Json:
    """Return a dashboard of these rows."""
    return {
        "uid": "pie-storage",
        "title": "pie: does the storage work?",
        "tags": ["pie", "storage"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "1m",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": _variables()},
        "panels": list(_placed(rows)),
    }


def text(rows: Sequence[Row]) -> str:
    """Return the dashboard as the text of a file."""
    return json.dumps(dashboard(rows), indent=2) + "\n"
