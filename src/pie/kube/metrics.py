"""How pie's own traffic shows on /metrics: requests, retries, watches."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class KubeMetrics:
    """The client's and the reflectors' metrics, registered with the registry that is passed in."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "pie_client_requests",
            "Requests to the API server, by HTTP status; code is 'error' where no answer came.",
            ("verb", "resource", "code"),
            registry=registry,
        )
        self.duration = Histogram(
            "pie_client_request_duration_seconds",
            "Time until the API server's answer was read; watches are left out.",
            ("verb", "resource"),
            buckets=_SECONDS,
            registry=registry,
        )
        self.write_rate = Gauge(
            "pie_client_write_rate",
            "Writes per second that pacing allows now; "
            "fewer than the budget when the API server is slow or fails.",
            registry=registry,
        )
        self.read_rate = Gauge(
            "pie_client_read_rate",
            "Reads per second that pacing allows now; watches are not paced.",
            registry=registry,
        )
        self.defects = Counter(
            "pie_defects",
            "Errors of pie itself, which it survived and logged; please report them. "
            "part is watch (name: the resource) or work (name: the kind of work).",
            ("part", "name"),
            registry=registry,
        )
        self.lists = Counter(
            "pie_reflector_lists",
            "Times that everything was read anew, by how: watchlist or list.",
            ("resource", "how"),
            registry=registry,
        )
        self.failures = Counter(
            "pie_reflector_failures",
            "Lists and watches that ended in an error, by reason.",
            ("resource", "reason"),
            registry=registry,
        )
        self.events = Counter(
            "pie_reflector_events",
            "Events that watches brought, by change: added, modified, deleted.",
            ("resource", "change"),
            registry=registry,
        )
        self.undecodable = Counter(
            "pie_reflector_undecodable",
            "Objects that were skipped because they could not be read.",
            ("resource",),
            registry=registry,
        )
        self.objects = Gauge(
            "pie_reflector_objects", "Objects in the cache.", ("resource",), registry=registry
        )
        self.heard = Gauge(
            "pie_reflector_heard_timestamp_seconds",
            "Last proof that the cache is up to date, on the API server's clock.",
            ("resource",),
            registry=registry,
        )


class ReflectorMetrics:
    """The series of one reflector, at zero from the start."""

    def __init__(self, metrics: KubeMetrics, resource: str) -> None:
        self.lists = {how: metrics.lists.labels(resource, how) for how in ("watchlist", "list")}
        self.events = {
            change: metrics.events.labels(resource, change) for change in ("added", "modified", "deleted")
        }
        self.undecodable = metrics.undecodable.labels(resource)
        self.objects = metrics.objects.labels(resource)
        self.heard = metrics.heard.labels(resource)
        self._failures = metrics.failures
        self._resource = resource

    def failed(self, reason: str) -> None:
        """Count a list or watch that ended in an error; `reason` is the name of one of `pie.kube.errors`."""
        self._failures.labels(self._resource, reason).inc()
