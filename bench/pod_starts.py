"""How long pods of runs took to start: as pie says, and as the API server's audit log does."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from testbed.audit import FIRST_ERROR_CODE, Audit, AuditEvent
from tests.harness import Samples

STARTUP = "pie_pod_startup_seconds"
CONTAINER = "probe"


@dataclass(frozen=True, slots=True)
class Starts:
    """Pods that were seen to start, and how long that took them all together."""

    pods: int
    seconds: float


def by_pie(samples: Samples) -> Starts:
    """Return what pie says."""
    return Starts(
        int(sum(sample.value for sample in samples.all(f"{STARTUP}_count"))),
        sum(sample.value for sample in samples.all(f"{STARTUP}_sum")),
    )


def pulls_are_watched(audit: Audit, namespace: str) -> bool:
    """Tell whether pie watches the pulls of images, so that it knows of all pods from now on."""
    since = (
        event.request_received_timestamp
        for event in audit.events()
        if event.verb == "watch"
        and event.object_ref.namespace == namespace
        and "Pulling" in event.request_uri
    )
    first = next(since, None)
    return first is not None and audit.now() >= first + timedelta(seconds=1)


def by_audit(audit: Audit, namespace: str, since: datetime) -> Starts:
    """Return what the API server logged of the pods that were created under a name, as `runner: Pod` does."""
    seconds = dict(_seconds(audit, namespace, since))
    return Starts(len(seconds), sum(seconds.values()))


def _seconds(audit: Audit, namespace: str, since: datetime) -> Iterator[tuple[str, float]]:
    """Yield each pod with the time from its creation to the first status that shows its container running."""
    created: dict[str, datetime] = {}
    for event in audit.events(since):
        about, name = event.object_ref, event.object_ref.name
        if about.namespace != namespace or event.response_status.code >= FIRST_ERROR_CODE:
            continue
        if (event.verb, event.resource) == ("create", "pods") and name:
            created[name] = event.request_received_timestamp
        elif name in created and _shows_running(event):
            yield name, (event.request_received_timestamp - created.pop(name)).total_seconds()


def _shows_running(event: AuditEvent) -> bool:
    patch: dict[str, Any] = event.request_object or {}
    statuses = (patch.get("status") or {}).get("containerStatuses") or []
    return any(each.get("name") == CONTAINER and each.get("state", {}).get("running") for each in statuses)
