"""A report in its forms: Markdown and HTML from templates, JSON and YAML as it is."""

import math
from datetime import UTC, datetime

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from msgspec.structs import replace

from pie.cli.output import structured
from pie.cli.reportcharts import incident_chart, trend_chart
from pie.core.reportmodel import Report
from pie.core.reportqueries import in_words

MOST_NODES = 50
MOST_INCIDENTS = 100
"""So many are for people to read; JSON and YAML have all."""

_NONE = "-"
_MARKDOWN_SPECIAL = "\\`*_{}[]<>()#+!|~"


def written(report: Report, form: str) -> str:
    """Return the report in a form: markdown, html, json or yaml."""
    if form in {"json", "yaml"}:
        return structured(report, form)
    environment = Environment(
        loader=PackageLoader("pie.cli", "templates"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        moment=moment,
        long=in_words,
        share=share,
        seconds=duration,
        stage=stage_duration,
        md=markdown_escaped,
        counts=counts,
        availability=lambda runs: share(runs.availability),
    )
    template = environment.get_template("report.html" if form == "html" else "report.md")
    shown = replace(report, nodes=report.nodes[:MOST_NODES], incidents=report.incidents[:MOST_INCIDENTS])
    return template.render(report=shown, trend_chart=trend_chart, incident_chart=incident_chart).rstrip()


def moment(seconds: float) -> str:
    """Return epoch seconds in UTC, to the second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def share(value: float | None) -> str:
    """Return a share in per cent, cut and not rounded: only all is 100 %."""
    if value is None:
        return _NONE
    if value >= 1:
        return "100 %"
    return f"{math.floor(value * 10_000) / 100:.2f} %"


def counts(by_reason: dict[str, int]) -> str:
    """Return counts by reason: `NodeRebooted 3, NodeCordoned 12`."""
    return ", ".join(f"{reason} {count}" for reason, count in by_reason.items()) or "none"


def duration(value: float | None) -> str:
    """Return a short time with three digits: `0.82 ms`, `12.0 s`."""
    if value is None:
        return _NONE
    for least, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if value >= least:
            number = value / least
            return f"{number:.{0 if number >= 100 else 1 if number >= 10 else 2}f} {unit}"  # noqa: PLR2004  three digits
    return "0 s"


def stage_duration(value: float | None) -> str:
    """Return how long a stage took; Kubernetes' timestamps have whole seconds, so less has no meaning."""
    return "1 s or less" if value is not None and value <= 1 else duration(value)


def markdown_escaped(text: str) -> str:
    """Return text escaped for a Markdown table, on one line."""
    plain = " ".join(text.split())
    return "".join(f"\\{each}" if each in _MARKDOWN_SPECIAL else each for each in plain)
