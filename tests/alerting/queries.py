"""The queries of the dashboard, with values for what Grafana puts in."""

import json
from pathlib import Path

VARIABLES = {"$__rate_interval": "5m", "$__range": "1h", "$storage_class": ".*"}


def queries(dashboard: Path) -> list[str]:
    """Return every query of the panels of a dashboard."""
    panels = json.loads(dashboard.read_text())["panels"]
    found = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    for name, value in VARIABLES.items():
        found = [query.replace(name, value) for query in found]
    return found
