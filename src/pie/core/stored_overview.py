"""The overview from the statuses of PieProbes alone, if the controller cannot be reached."""

from collections.abc import Iterable
from typing import Any, TypeVar

from msgspec.structs import replace

from pie.core.apitypes import ConditionView, Counts, Overview, ProbeView
from pie.core.conditions import stored_conditions
from pie.core.decode import Unreadable, convert
from pie.core.incidents.stored import from_status
from pie.core.overview import incident_views, state_of, summary, worst
from pie.core.pace.parts import EFFECTIVE_PERIOD
from pie.core.wire import PieProbe, parse_seconds

T = TypeVar("T")


def stored_overview(probes: Iterable[PieProbe], namespace: str, now: float) -> Overview:
    """Return the overview; it has no slow targets, and is as old as the statuses are."""
    stored = sorted(probes, key=lambda each: each.metadata.name)
    views = tuple(_view(each) for each in stored)
    incidents = incident_views(
        (incident, each.metadata.name, incident.storage_class or each.storage_class)
        for each in stored
        for incident in from_status(each.status)
    )
    return Overview(
        now=now,
        version="",
        namespace=namespace,
        leading=False,
        state=worst([each.state for each in views]),
        summary=summary(views, [each for each in incidents if each.closed is None], namespace),
        probes=views,
        incidents=incidents,
        slowest=(),
    )


def last_change(probes: Iterable[PieProbe]) -> float | None:
    """Return the newest time in the statuses, epoch seconds; None: there is none.

    A status may still be true later: it is not written again if only a time changes.
    """
    stamps: list[float | None] = []
    for each in probes:
        written = [item.get("lastTransitionTime") for item in stored_conditions(each.status)]
        written.append(each.status.get("lastProvisionTime"))
        stamps += [parse_seconds(stamp) for stamp in written if isinstance(stamp, str)]
        stamps += [
            stamp
            for incident in from_status(each.status)
            for stamp in (incident.opened_at, incident.closed_at)
        ]
    return max((stamp for stamp in stamps if stamp), default=None)


def outdated(overview: Overview, age: str) -> Overview:
    """Return an outdated overview: the present state of the storage is unknown.

    `age` is the age of the newest status; empty: there is none. An incident that was open then stays open.
    """
    old = f" (as of {age} ago)" if age else ""
    probes = tuple(
        replace(each, summary=f"{each.summary}{old}", state="bad" if each.state == "bad" else "unknown")
        for each in overview.probes
    )
    if overview.state == "bad":
        return replace(overview, probes=probes, summary=f"{overview.summary}{old}")
    last_word = f"its last status is {age} old: {overview.summary}" if age else "it has written no status yet"
    return replace(
        overview, probes=probes, state="unknown", summary=f"The controller cannot be reached; {last_word}"
    )


def _view(stored: PieProbe) -> ProbeView:
    targets = _read(stored.status.get("targets"), Counts) or Counts()
    found = [_read(each, ConditionView) for each in stored_conditions(stored.status)]
    conditions = tuple(each for each in found if each is not None)
    effective = stored.status.get(EFFECTIVE_PERIOD)
    period_minutes = stored.spec.get("probePeriod", 1)
    return ProbeView(
        name=stored.metadata.name,
        namespace=stored.metadata.namespace,
        storage_class=stored.storage_class,
        state=state_of(
            targets,
            [each for each in from_status(stored.status) if each.closed_at is None],
            # Without a status, no controller has seen it yet. Then it does not count as not probed.
            probed=not any(each.type == "Ready" and each.status == "False" for each in conditions),
        ),
        summary=str(stored.status.get("summary") or "no controller has seen it yet"),
        period_seconds=60 * period_minutes if isinstance(period_minutes, int) else None,
        targets=targets,
        conditions=conditions,
        effective_period_seconds=effective if isinstance(effective, int) else None,
    )


def _read(found: Any, kind: type[T]) -> T | None:
    try:
        return convert(found, kind)
    except Unreadable:  # another version's
        return None
