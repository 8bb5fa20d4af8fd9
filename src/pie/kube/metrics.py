"""How pie's own traffic shows on /metrics: requests, retries, watches."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from pie.kube import errors

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


METHODS: Final = {
    "get": "GET",
    "list": "GET",
    "watch": "GET",
    "create": "POST",
    "apply": "PATCH",
    "patch": "PATCH",
    "delete": "DELETE",
}
"""The verbs of requests, and what each is in HTTP."""

_USUAL_CODES: Final = ("403", "429", "500", "503", "error")
_CODES_OF: Final = {
    "get": ("200", "404"),
    "list": ("200", "410"),
    "watch": ("200", "410"),
    "create": ("201", "409", "422"),
    "apply": ("200", "201", "409", "422"),
    "patch": ("200", "404", "409", "422"),
    "delete": ("200", "404", "409"),
}

_FAILURES: Final = tuple(
    each.__name__
    for each in (
        errors.Unreachable,
        errors.Silent,
        errors.Undecodable,
        errors.CredentialsError,
        errors.Unauthorized,
        errors.Forbidden,
        errors.NotFound,
        errors.Expired,
        errors.TooManyRequests,
        errors.ServerError,
        errors.ServiceUnavailable,
        errors.ServerTimeout,
    )
)
"""What lists and watches can end in."""


class KubeMetrics:
    """The client's and the reflectors' metrics, registered with the registry that is passed in."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.requests = Counter(
            "pie_client_requests",
            "Requests to the API server, by HTTP status; code is 'error' if there was no answer.",
            ("verb", "resource", "code"),
            registry=registry,
        )
        self.rest_requests = Counter(
            "rest_client_requests",
            "Requests to the API server, as client-go counts them; code is '<error>' where no answer came.",
            ("code", "method", "host"),
            registry=registry,
        )
        self.duration = Histogram(
            "pie_client_request_duration_seconds",
            "Time until the API server's answer was read; watches are not included.",
            ("verb", "resource"),
            buckets=_SECONDS,
            registry=registry,
        )
        self.write_rate = Gauge(
            "pie_client_write_rate",
            "Writes per second that pie allows itself now; "
            "below --kube-api-qps when the API server is slow or fails.",
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
            "How often all objects were read again, by how: watchlist or list.",
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
            "Changes applied to the cache, by change: added, modified, deleted.",
            ("resource", "change"),
            registry=registry,
        )
        self.undecodable = Counter(
            "pie_reflector_undecodable",
            "Objects that pie skipped because it could not decode them.",
            ("resource",),
            registry=registry,
        )
        self.objects = Gauge(
            "pie_reflector_objects", "Objects in the cache.", ("resource",), registry=registry
        )
        self.heard = Gauge(
            "pie_reflector_heard_timestamp_seconds",
            "When the cache was last known to be up to date, by the API server's clock.",
            ("resource",),
            registry=registry,
        )
        self.age = Gauge(
            "pie_reflector_age_seconds",
            "Seconds since the cache was last known to be complete; before its first list, since the start.",
            ("resource",),
            registry=registry,
        )
        self._requests_of: dict[tuple[str, str, str], RequestSeries] = {}

    def requests_of(self, verb: str, resource: str, host: str) -> "RequestSeries":
        """Return the series of one kind of request; from then on they are there, at zero."""
        key = verb, resource, host
        if (known := self._requests_of.get(key)) is None:
            known = self._requests_of[key] = RequestSeries(self, verb, resource, host)
        return known


class RequestSeries:
    """The counters of one kind of request: at zero for the answers that are usual for it."""

    def __init__(self, metrics: KubeMetrics, verb: str, resource: str, host: str) -> None:
        self._metrics = metrics
        self._verb, self._resource, self._host = verb, resource, host
        for code in (*_USUAL_CODES, *_CODES_OF[verb]):
            self._counters(code)

    def count(self, code: str) -> None:
        """Count a request by the HTTP status of its answer, or `error`."""
        for counter in self._counters(code):
            counter.inc()

    def _counters(self, code: str) -> tuple[Counter, Counter]:
        as_client_go = "<error>" if code == "error" else code
        return (
            self._metrics.requests.labels(self._verb, self._resource, code),
            self._metrics.rest_requests.labels(as_client_go, METHODS[self._verb], self._host),
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
        self.age = metrics.age.labels(resource)
        self._failures = metrics.failures
        self._resource = resource
        for reason in _FAILURES:
            metrics.failures.labels(resource, reason)

    def failed(self, reason: str) -> None:
        """Count a list or watch that ended in an error; `reason` is the name of one of `pie.kube.errors`."""
        self._failures.labels(self._resource, reason).inc()
