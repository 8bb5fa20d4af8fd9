"""The charts of a report as shapes with coordinates; the template makes SVG of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from pie.core.reportmodel import IncidentReport, Report, TrendReport

WIDTH = 720.0
HEIGHT = 120.0
ROW_HEIGHT = 18.0
MOST_ROWS = 40


@dataclass(frozen=True, slots=True)
class Line:
    """One curve: `paths` are runs of points without a gap, as SVG's polyline takes them."""

    name: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TrendChart:
    """Curves over time in a field of WIDTH by HEIGHT; `top` is the value at its upper edge."""

    lines: tuple[Line, ...]
    top: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Bar:
    """An incident in its row."""

    incident: IncidentReport
    x: float
    y: float
    width: float


def trend_chart(
    trends: Sequence[TrendReport], bottom: float | None = None, top: float | None = None
) -> TrendChart:
    """Lay out curves; if no scale is given, the values determine it."""
    values = [value for trend in trends for value in trend.values if value is not None]
    low = min(values, default=0.0) if bottom is None else bottom
    high = max([*values, low]) if top is None else top
    if high <= low:
        low, high = (0.0, high) if high > 0 else (0.0, 1.0)
    lines = tuple(Line(trend.name, tuple(_paths(trend.values, low, high))) for trend in trends)
    return TrendChart(lines, high, low)


def _paths(values: Sequence[float | None], low: float, high: float) -> list[str]:
    """Return the sequences of known values; a single value becomes a short line, so that it is visible."""
    step = WIDTH / max(1, len(values))
    paths: list[list[str]] = [[]]
    for number, value in enumerate(values):
        if value is None:
            paths.append([])
            continue
        y = HEIGHT - (min(high, max(low, value)) - low) / (high - low) * HEIGHT
        paths[-1] += [f"{number * step:.1f},{y:.1f}", f"{(number + 1) * step:.1f},{y:.1f}"]
    return [" ".join(path) for path in paths if path]


def incident_chart(report: Report) -> list[Bar]:
    """Lay out the newest incidents, a row each."""
    scale = WIDTH / (report.end - report.start)
    bars = []
    for row, incident in enumerate(report.incidents[:MOST_ROWS]):
        x = max(0.0, (incident.opened - report.start) * scale)
        end = ((incident.closed or report.end) - report.start) * scale
        bars.append(Bar(incident, round(x, 1), row * ROW_HEIGHT, round(max(2.0, end - x), 1)))
    return bars
