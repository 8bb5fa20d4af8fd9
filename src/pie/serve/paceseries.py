"""The series about how fast runs start."""

from prometheus_client import CollectorRegistry, Gauge

from pie.core.model import Probe, ProbeId
from pie.core.pace.budget import Pace
from pie.core.pace.throttle import Throttle
from pie.serve.labels import BY_NAME, ProbeLabels


class PaceSeries:
    """How often targets are probed, by PieProbe, and how much the control plane is spared."""

    def __init__(self, registry: CollectorRegistry, labels: ProbeLabels = BY_NAME) -> None:
        self._labels = labels
        self._period = Gauge(
            "pie_effective_period_seconds",
            "Time between two runs of a target: longer than the period while a budget needs that.",
            (*labels.names, "storage_class"),
            registry=registry,
        )
        self._caused = Gauge(
            "pie_caused_writes_per_second",
            "Writes and Events in a second that everybody causes for the runs, calculated.",
            (*labels.names, "storage_class"),
            registry=registry,
        )

        self._throttled = Gauge(
            "pie_throttled",
            "1 while runs start more slowly because the control plane lags, else 0.",
            registry=registry,
        )
        self._pace = Gauge(
            "pie_pace_ratio",
            "The part of their pace at which runs start: 1, and less while pie spares the control plane.",
            registry=registry,
        )
        self._shown: dict[ProbeId, str] = {}
        self.show_throttle(Throttle())

    def show_throttle(self, throttle: Throttle) -> None:
        """Show how much the control plane is spared."""
        self._throttled.set(throttle.on)
        self._pace.set(throttle.part)

    def show(self, probe: Probe, pace: Pace) -> None:
        """Show the pace of a PieProbe; `storage_class` of the spec is empty if it has several."""
        if self._shown.get(probe.id) != probe.storage_class:
            self.remove(probe.id)
            self._shown[probe.id] = probe.storage_class
        labels = *self._labels.of(probe.id), probe.storage_class
        self._period.labels(*labels).set(probe.period_seconds * pace.every)
        self._caused.labels(*labels).set(pace.causes)

    def remove(self, probe: ProbeId) -> None:
        """Delete the series of a PieProbe."""
        self._shown.pop(probe, None)
        for gauge in (self._period, self._caused):
            gauge.remove_by_labels(self._labels.pairs(probe))
