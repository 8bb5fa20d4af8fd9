"""What the statuses of PieProbes tell by themselves: the overview, where the controller cannot be asked."""

from collections.abc import Iterable
from typing import Any

import msgspec

from pie.core.answers import Condition, Counts, Overview, ProbeView
from pie.core.incident_report import from_status
from pie.core.objects import PieProbe
from pie.core.overview import incident_view, state_of, summary, worst


def stored_overview(probes: Iterable[PieProbe], namespace: str, now: float) -> Overview:
    """Return the overview; it has no slow targets, and is as old as the statuses are."""
    stored = sorted(probes, key=lambda each: each.metadata.name)
    views = tuple(_view(each) for each in stored)
    incidents = sorted(
        (
            incident_view(incident, each.metadata.name, each.storage_class)
            for each in stored
            for incident in from_status(each.status)
        ),
        key=lambda each: (each.closed is not None, -(each.closed or each.opened), each.id),
    )
    return Overview(
        now=now,
        version="",
        namespace=namespace,
        leading=False,
        state=worst([each.state for each in views]),
        summary=summary(views, [each for each in incidents if each.closed is None], namespace),
        probes=views,
        incidents=tuple(incidents),
        slowest=(),
    )


def _view(stored: PieProbe) -> ProbeView:
    targets = _read(stored.status.get("targets"), Counts) or Counts()
    listed = stored.status.get("conditions")
    found = [_read(each, Condition) for each in listed] if isinstance(listed, list) else []
    conditions = tuple(each for each in found if each is not None)
    period_minutes = stored.spec.get("probePeriod", 1)
    return ProbeView(
        name=stored.metadata.name,
        namespace=stored.metadata.namespace,
        storage_class=stored.storage_class,
        state=state_of(
            targets,
            [each for each in from_status(stored.status) if each.closed_at is None],
            # Without a status no controller has seen it yet; only one that says so is not probed.
            probed=not any(each.type == "Ready" and each.status == "False" for each in conditions),
        ),
        summary=str(stored.status.get("summary") or "no controller has seen it yet"),
        period_seconds=60 * period_minutes if isinstance(period_minutes, int) else None,
        targets=targets,
        conditions=conditions,
    )


def _read(found: Any, kind: type[msgspec.Struct]) -> Any:
    try:
        return msgspec.convert(found, kind)
    except msgspec.ValidationError:  # another version's
        return None
