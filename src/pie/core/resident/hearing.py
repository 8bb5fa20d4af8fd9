"""What the kubelet says about a resident pod: whether its container is ready, and if not, with which code."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pie.core.naming import CONTAINER
from pie.core.resident.codes import Code
from pie.core.timeline import WarningEvent
from pie.core.wire import Pod, epoch_seconds

_UNHEALTHY: Final = "Unhealthy"
_CODE: Final = re.compile(r"Readiness probe failed: HTTP probe failed with statuscode: ([0-9]{3})\b")
_ABOUT_READINESS: Final = "Readiness probe"
_EVENT_BEFORE_SECONDS: Final = 10.0
"""The kubelet writes the Event a moment before or after the status, and they come by two watches."""


@dataclass(frozen=True, slots=True)
class Heard:
    """The container `probe` of a resident pod is ready, or is not, since pie saw that first.

    `run` is the uid of the pod; `started` is when the container started, by the node's clock. `events_from`:
    Events from then on are about it (0.0: all). `code` is what the probe answered last; None: nobody heard
    it. `words` are those of a kubelet that got no answer. Times are epoch seconds.
    """

    run: str
    started: float
    ready: bool
    since: float
    events_from: float
    code: Code | None = None
    words: str = ""


def hear(before: Heard | None, pod: Pod, warnings: Iterable[WarningEvent], now: float) -> Heard | None:
    """Return what the kubelet says now; None: the container does not run."""
    running, uid = pod.status.container(CONTAINER).running, pod.metadata.uid
    if running is None:
        return None
    started, ready = epoch_seconds(running.started_at), pod.status.ready(CONTAINER)
    known = before if before is not None and before.run == uid else None
    if known is not None and (known.started, known.ready) == (started, ready):
        since, events_from, code, words = known.since, known.events_from, known.code, known.words
    else:
        since, code, words = now, None, ""
        events_from = now - _EVENT_BEFORE_SECONDS if known is not None else 0.0
    if not ready:
        new = [each for each in warnings if _is_about_readiness(each) and each.seen_seconds >= events_from]
        if new:
            last = max(new, key=lambda each: each.seen_seconds)
            found = _code(last.message)
            code, words = (found, words) if found is not None else (code, last.message)
    return Heard(uid, started, ready, since, events_from, code, words)


def _is_about_readiness(warning: WarningEvent) -> bool:
    return warning.reason == _UNHEALTHY and warning.message.startswith(_ABOUT_READINESS)


def _code(message: str) -> Code | None:
    found = _CODE.match(message)
    number = int(found[1]) if found is not None else 0
    return Code(number) if number in set(Code) else None
