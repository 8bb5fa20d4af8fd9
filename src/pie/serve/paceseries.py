"""The series about how fast runs start."""

from prometheus_client import CollectorRegistry, Gauge

from pie.core.model import Probe
from pie.core.pace.budget import Pace

_LABELS = ("pie_probe_name", "storage_class")


class PaceSeries:
    """`pie_effective_period_seconds` and `pie_caused_writes_per_second`, of each PieProbe."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._period = Gauge(
            "pie_effective_period_seconds",
            "Time between two runs of a target: longer than the period while a budget needs that.",
            _LABELS,
            registry=registry,
        )
        self._caused = Gauge(
            "pie_caused_writes_per_second",
            "Writes and Events in a second that everybody causes for the runs, calculated.",
            _LABELS,
            registry=registry,
        )

    def show(self, probe: Probe, pace: Pace) -> None:
        """Show the pace of a PieProbe."""
        self._period.labels(probe.name, probe.storage_class).set(probe.period_seconds * pace.every)
        self._caused.labels(probe.name, probe.storage_class).set(pace.causes)

    def remove(self, probe: str) -> None:
        """Delete the series of a deleted PieProbe."""
        for gauge in (self._period, self._caused):
            gauge.remove_by_labels({"pie_probe_name": probe})
