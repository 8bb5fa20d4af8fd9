"""Writes Kubernetes Events about a PieProbe: an incident opened, an incident closed, a node is bad.

If no new volume works on one node, but on another node, there is no incident. pie reports such a node once an
hour at most for each reason, and ten nodes at most.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import structlog

from pie.controller.caches import Caches
from pie.controller.queue import WorkQueue
from pie.core.incidents.incident import Incident
from pie.core.incidents.text import ending, story
from pie.core.judge import Judgement
from pie.core.model import ProbeId
from pie.core.text import one_line
from pie.core.wire import Event, PieProbe, rfc3339
from pie.kube.client import Client
from pie.kube.errors import AlreadyExists
from pie.kube.resources import EVENTS, PIE_PROBES

_log = structlog.get_logger()

_EVENT_CHARACTERS: Final = 1024
"""Longest message of an Event (core/v1 validation)."""


_REPORT_AGAIN_SECONDS: Final = 3900.0
"""Longer than Kubernetes keeps an Event (kube-apiserver --event-ttl, an hour), so its name is free again."""

_MOST_REPORTED: Final = 10
"""At most this many bad nodes of a PieProbe in that time."""


@dataclass(frozen=True, slots=True)
class _News:
    """What an Event says, and the end of its name: the same text has the same Event."""

    name: str
    type: str
    reason: str
    message: str


class EventWriter:
    """Reports: in the log at once, as an Event as soon as the API server accepts it."""

    def __init__(self, client: Client, caches: Caches, queue: WorkQueue) -> None:
        self._client = client
        self._caches = caches
        self._queue = queue
        self._unwritten: dict[tuple[str, str], _News] = {}
        self._reported: dict[tuple[str, str], float] = {}
        queue.handle("announce", self._announce)

    def report(self, probe: PieProbe, incident: Incident) -> None:
        """Report an incident that opened or closed."""
        closed, words = _is_closed(incident), _words(incident, probe)
        log, event = (_log.info, "incident closed") if closed else (_log.warning, "incident opened")
        log(event, id=incident.id, probe=str(probe.id), story=words)
        said = ("closed", "Normal", "IncidentClosed") if closed else ("opened", "Warning", "IncidentOpened")
        name, kind, reason = said
        self._say(probe, incident.id, _News(f"{incident.id}.{name}", kind, reason, words))

    def report_node(self, of: ProbeId, node: str, judgement: Judgement) -> None:
        """Report a node on which a new volume could not be used, unless it was reported within the hour."""
        if (probe := self._caches.probe(of)) is None:
            return
        key = f"{node}\0{judgement.reason}"
        identity = hashlib.sha1(key.encode(), usedforsecurity=False).hexdigest()[:12]
        said, now = (probe.metadata.uid, identity), self._client.now()
        recent = {each: at for each, at in self._reported.items() if now < at + _REPORT_AGAIN_SECONDS}
        self._reported = recent
        if said in recent or sum(uid == probe.metadata.uid for uid, _ in recent) >= _MOST_REPORTED:
            return
        recent[said] = now
        where = f"{judgement.stage}, {judgement.reason}"
        words = (
            f"Node {node}: a new volume could not be used in time there ({where}). "
            f'Evidence: "{judgement.message}". The StorageClass still counts as healthy:'
            " the same probe succeeded on another node."
        )
        self._say(probe, identity, _News(f"{identity}.node", "Warning", "NoVolumeOnNode", words))

    def _say(self, probe: PieProbe, identity: str, news: _News) -> None:
        self._unwritten[probe.metadata.uid, identity] = news
        self._queue.add("announce", (probe.id, probe.metadata.uid, identity))

    async def _announce(self, subject: tuple[ProbeId, str, str]) -> None:
        """Write an Event about a PieProbe (by its uid, too); `identity` is what the Event is about."""
        of, uid, identity = subject
        news, probe = self._unwritten.pop((uid, identity), None), self._caches.probe(of)
        if news is None or probe is None or probe.metadata.uid != uid:
            return
        try:
            event = _event(probe, news, rfc3339(self._client.now()))
            await self._client.create(EVENTS, event, probe.metadata.namespace, decode=Event)
        except AlreadyExists:
            _log.debug("Event is there already", name=news.name)
        except BaseException:
            self._unwritten.setdefault((uid, identity), news)
            raise


def _is_closed(incident: Incident) -> bool:
    return incident.closed_at is not None


def _words(incident: Incident, probe: PieProbe) -> str:
    return (ending if _is_closed(incident) else story)(
        incident, incident.storage_class or probe.storage_class
    )


def _event(probe: PieProbe, news: _News, now: str) -> dict[str, Any]:
    namespace = probe.metadata.namespace
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{probe.metadata.name[:200]}.{news.name}", "namespace": namespace},
        "involvedObject": {
            "apiVersion": PIE_PROBES.api_version,
            "kind": PIE_PROBES.kind,
            "namespace": namespace,
            "name": probe.metadata.name,
            "uid": probe.metadata.uid,
        },
        "type": news.type,
        "reason": news.reason,
        "message": one_line(news.message, _EVENT_CHARACTERS),
        "source": {"component": "pie"},
        "reportingComponent": "pie.topolvm.io/controller",
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
