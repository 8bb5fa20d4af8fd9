"""The metrics of the work queue, with the names and labels of client-go and controller-runtime.

Existing dashboards and alerts for controllers work for pie without changes. `name` is the kind of work;
`controller`, which some dashboards select by, is the same.
"""

import time
from collections.abc import Callable, Hashable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_LABELS: Final = ("name", "controller")
_SECONDS: Final = (1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0, 1000.0)
"""Those of client-go's buckets (powers of ten) that can occur here."""


class QueueMetrics:
    """The metrics of a queue; `of` returns the series of one kind of work, which are there from then on."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.depth = Gauge(
            "workqueue_depth",
            "Things that wait to be handled, by kind of work; those with a later time are not counted.",
            _LABELS,
            registry=registry,
        )
        self.adds = Counter(
            "workqueue_adds",
            "Things that were added to the queue; one that waits already is not counted again.",
            _LABELS,
            registry=registry,
        )
        self.queue_seconds = Histogram(
            "workqueue_queue_duration_seconds",
            "How long things waited in the queue before they were handled.",
            _LABELS,
            buckets=_SECONDS,
            registry=registry,
        )
        self.work_seconds = Histogram(
            "workqueue_work_duration_seconds",
            "How long handling a thing took, its waiting for the API server and for --kube-api-qps included.",
            _LABELS,
            buckets=_SECONDS,
            registry=registry,
        )
        self.unfinished = Gauge(
            "workqueue_unfinished_work_seconds",
            "How long the things that are being handled now have been, in total. "
            "It grows without end if a handler is stuck.",
            _LABELS,
            registry=registry,
        )
        self.longest = Gauge(
            "workqueue_longest_running_processor_seconds",
            "How long the thing that is being handled the longest has been.",
            _LABELS,
            registry=registry,
        )
        self.retries = Counter(
            "workqueue_retries",
            "Things that have to be handled again because handling them failed.",
            _LABELS,
            registry=registry,
        )

    def of(self, work: str) -> "WorkSeries":
        """Return the series of a kind of work, at zero."""
        return WorkSeries(self, work)


class WorkSeries:
    """The series of one kind of work, and since when its things wait or are being handled."""

    def __init__(self, metrics: QueueMetrics, work: str) -> None:
        labels = (work, work)
        self._clock = metrics.clock
        self._added_at: dict[Hashable, float] = {}
        self._began_at: dict[Hashable, float] = {}
        self._adds = metrics.adds.labels(*labels)
        self._retries = metrics.retries.labels(*labels)
        self._queue_seconds = metrics.queue_seconds.labels(*labels)
        self._work_seconds = metrics.work_seconds.labels(*labels)
        metrics.depth.labels(*labels).set_function(lambda: len(self._added_at))
        metrics.unfinished.labels(*labels).set_function(lambda: sum(self._ages()))
        metrics.longest.labels(*labels).set_function(lambda: max(self._ages(), default=0.0))

    def added(self, thing: Hashable) -> None:
        """Note that a thing waits from now on."""
        self._adds.inc()
        self._added_at[thing] = self._clock()

    def began(self, thing: Hashable) -> None:
        """Note that a thing that waited is being handled from now on."""
        now = self._began_at[thing] = self._clock()
        self._queue_seconds.observe(now - self._added_at.pop(thing))

    def ended(self, thing: Hashable) -> None:
        """Note that handling a thing is over, well or not."""
        self._work_seconds.observe(self._clock() - self._began_at.pop(thing))

    def retried(self) -> None:
        """Note that a thing has to be handled again because that failed."""
        self._retries.inc()

    def _ages(self) -> list[float]:
        now = self._clock()
        return [now - began for began in self._began_at.values()]
