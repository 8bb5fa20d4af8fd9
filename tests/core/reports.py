"""Reports for tests, and what Prometheus answered for them."""

from pie.core.prometheus import Sample, Series
from pie.core.report import report
from pie.core.reportmodel import Report
from pie.core.reportqueries import INSTANT, RANGE, Window

WINDOW = Window(end=10_000.0, seconds=1000, interval_seconds=1.0)


def made(
    instant: dict[str, list[Sample]] | None = None, ranges: dict[str, list[Series]] | None = None
) -> Report:
    """Return the report of some answers, where nothing else answered anything."""
    empty: dict[str, list[Sample]] = {name: [] for name in INSTANT}
    none: dict[str, list[Series]] = {name: [] for name in RANGE}
    return report(WINDOW, 1.0, empty | (instant or {}), none | (ranges or {}))


def mount(node: str, on_time: float, late: float, storage_class: str = "c") -> list[Sample]:
    return [
        Sample({"storage_class": storage_class, "node": node, "on_time": value}, count)
        for value, count in (("true", on_time), ("false", late))
    ]
