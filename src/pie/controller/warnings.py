"""Warning Events about pie's pods and PVCs, and about pods and Jobs that cannot be created.

pie watches new Events and keeps them in a bounded ring.

Events have no watch cache, so a list is expensive for the API server. pie lists only the Events about an
object of a bad run of which it knows no Event, for example after a restart, and only a few times a minute.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final, Never

from pie.controller.eventwatch import EventWatch, always
from pie.core.batch.naming import may_be_cronjob
from pie.core.text import evidence
from pie.core.timeline import WarningEvent
from pie.core.wire import Event, InvolvedObject
from pie.kube.client import Client
from pie.kube.resources import EVENTS

_KINDS: Final = frozenset({"Pod", "PersistentVolumeClaim"})

_CREATORS: Final = frozenset({"CronJob", "Job"})
_NOT_CREATED: Final = "FailedCreate"
"""The only Event that matters about a CronJob or a Job: it could not create its Job or pod."""

_WARNINGS: Final = "type=Warning"
_OBJECTS_OF_TARGET: Final = 3
"""There may be a Warning about a run's pod, about its PVC, and about its Job or CronJob."""

_FEWEST_OBJECTS: Final = 2048

_MOST_TEXTS: Final = 8
"""For one object. A repeated Event replaces the earlier one."""

_MOST_CHARACTERS: Final = 512

_LISTS: Final = 6
_LISTS_PER_SECONDS: Final = 60.0


class WarningEvents:
    """The ring. `on_warning` receives the object of each new Warning.

    It has room for all targets to fail at the same time (`make_room`). When it is full, it drops the object
    whose last Event is the oldest.
    """

    def __init__(
        self,
        client: Client,
        namespace: str,
        on_warning: Callable[[InvolvedObject], None],
        concerns: Callable[[str], bool] = always,
    ) -> None:
        self._client = client
        self._on_warning = on_warning
        self._most_objects = _FEWEST_OBJECTS
        self._ring: OrderedDict[tuple[str, str], tuple[WarningEvent, ...]] = OrderedDict()
        self._watch = EventWatch(client, namespace, _WARNINGS, self._hear, concerns)
        self._listed_at: deque[float] = deque(maxlen=_LISTS)

    def make_room(self, targets: int) -> None:
        """Have room for so many targets."""
        self._most_objects = max(_FEWEST_OBJECTS, _OBJECTS_OF_TARGET * targets)

    def about(self, namespace: str, *uids: str) -> tuple[WarningEvent, ...]:
        """Return the Warnings about these objects of a namespace, oldest first."""
        found = (each for uid in uids for each in self._ring.get((namespace, uid), ()))
        return tuple(sorted(found, key=_seen))

    async def recall(self, namespace: str, uid: str) -> bool:
        """Read the earlier Events about an object; False: there were too many reads in the last minute."""
        now = self._client.now()
        if len(self._listed_at) == _LISTS and now - self._listed_at[0] < _LISTS_PER_SECONDS:
            return False
        self._listed_at.append(now)
        page = await self._client.list_page(
            EVENTS,
            namespace,
            decode=Event,
            field_selector=f"involvedObject.uid={uid},{_WARNINGS}",
            limit=50,
        )
        for event in filter(_matters, page.items):
            known = self._ring.get((namespace, uid))
            self._note(event, event.last_seen_seconds(self._client.now()))
            if self._ring.get((namespace, uid)) != known:
                self._on_warning(event.involved_object)
        return True

    async def run(self) -> Never:
        """Watch until cancelled."""
        await self._watch.run()

    def _hear(self, event: Event) -> None:
        if _matters(event):
            self._note(event, self._client.now())
            self._on_warning(event.involved_object)

    def _note(self, event: Event, seen_seconds: float) -> None:
        about, message = event.involved_object, evidence(event.message, _MOST_CHARACTERS)
        # Who may write Events in one namespace may not explain a run in another one.
        key = about.namespace, about.uid
        seen = {(each.reason, each.message): each.seen_seconds for each in self._ring.get(key, ())}
        same = event.reason, message
        seen[same] = max(seen_seconds, seen.pop(same, 0.0))  # With pop, so that it is the last of equal ones.
        texts = sorted((WarningEvent(*text, at) for text, at in seen.items()), key=_seen)
        self._ring[key] = tuple(texts[-_MOST_TEXTS:])
        self._ring.move_to_end(key)
        while len(self._ring) > self._most_objects:
            self._ring.popitem(last=False)


def _seen(warning: WarningEvent) -> float:
    return warning.seen_seconds


def _matters(event: Event) -> bool:
    """Tell whether an Event can explain a run of pie's."""
    about = event.involved_object
    if about.kind in _CREATORS:
        return event.reason == _NOT_CREATED and may_be_cronjob(about.name)
    return about.kind in _KINDS
