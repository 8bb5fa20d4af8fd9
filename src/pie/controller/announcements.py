"""Leaves a Kubernetes Event on the PieProbe when an incident opens and when it closes."""

from collections.abc import Hashable
from typing import Any, Final

import structlog

from pie.controller.observe import Caches
from pie.controller.queue import WorkQueue
from pie.core.incident_report import ending, story
from pie.core.incidents import Incident
from pie.core.objects import Event, PieProbe, rfc3339
from pie.core.result import one_line
from pie.kube.client import Client
from pie.kube.errors import AlreadyExists
from pie.kube.resources import EVENTS, PIE_PROBES

_log = structlog.get_logger()

_EVENT_CHARACTERS: Final = 1024
"""Longest message of an Event (core/v1 validation)."""


class Announcements:
    """What is to be said of incidents: in the log at once, as an Event as soon as the API server takes it."""

    def __init__(self, client: Client, caches: Caches, queue: WorkQueue) -> None:
        self._client = client
        self._caches = caches
        self._queue = queue
        self._unsaid: dict[tuple[str, str], Incident] = {}
        queue.handle("announce", self._announce)

    def add(self, probe: PieProbe, incident: Incident) -> None:
        """Announce an incident that opened or closed."""
        log = _log.info if _is_closed(incident) else _log.warning
        event = "incident closed" if _is_closed(incident) else "incident opened"
        log(event, id=incident.id, probe=probe.metadata.name, story=_words(incident, probe))
        self._unsaid[probe.metadata.uid, incident.id] = incident
        self._queue.add("announce", (probe.metadata.name, probe.metadata.uid, incident.id))

    async def _announce(self, thing: Hashable) -> None:
        """Leave the Event about an incident of a PieProbe (its name, its uid, the incident's id)."""
        name, uid, identity = thing if isinstance(thing, tuple) else ("", "", "")
        incident, probe = self._unsaid.pop((uid, identity), None), self._caches.probe(name)
        if incident is None or probe is None or probe.metadata.uid != uid:
            return
        try:
            event = _event(probe, incident, rfc3339(self._client.now()))
            await self._client.create(EVENTS, event, probe.metadata.namespace, decode=Event)
        except AlreadyExists:
            _log.debug("Event is there already", id=incident.id)
        except BaseException:
            self._unsaid.setdefault((uid, identity), incident)
            raise


def _is_closed(incident: Incident) -> bool:
    return incident.closed_at is not None


def _words(incident: Incident, probe: PieProbe) -> str:
    return (ending if _is_closed(incident) else story)(incident, probe.storage_class)


def _event(probe: PieProbe, incident: Incident, now: str) -> dict[str, Any]:
    closed, namespace = _is_closed(incident), probe.metadata.namespace
    # The same incident makes the same Event, however often it is tried.
    name = f"{probe.metadata.name[:200]}.{incident.id}.{'closed' if closed else 'opened'}"
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": namespace},
        "involvedObject": {
            "apiVersion": PIE_PROBES.api_version,
            "kind": PIE_PROBES.kind,
            "namespace": namespace,
            "name": probe.metadata.name,
            "uid": probe.metadata.uid,
        },
        "type": "Normal" if closed else "Warning",
        "reason": "IncidentClosed" if closed else "IncidentOpened",
        "message": one_line(_words(incident, probe), _EVENT_CHARACTERS),
        "source": {"component": "pie"},
        "reportingComponent": "pie.topolvm.io/controller",
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
