"""Why an incident was closed: no target is bad because of it any more.

The incident is recovered if at least one of its targets had a good run; nodes that are under maintenance now
are named. If pie replaced a resident pod whose mount was dead, applications may still have such mounts.
Otherwise it is unknown whether the fault is gone: the targets are suppressed or deleted.
"""

from collections import Counter
from dataclasses import replace

from pie.core.incidents.incident import Closing, Incident, View
from pie.core.model import Stage, Target
from pie.core.reasons import Reason
from pie.core.text import few
from pie.core.wire import rfc3339

_NAMED_NODES = 3


def conclude(incident: Incident, view: View) -> Incident:
    """Return an incident that was closed just now, with the reason for that."""
    if incident.stage is Stage.TEARDOWN:
        # No run decides this: nothing is left behind any more that could still be deleted.
        return replace(incident, closed_because=Closing.RECOVERED)
    if view.paused:
        return replace(incident, closed_because=Closing.GONE, closed_message=view.paused)
    anew = [
        at
        for target, at in view.replaced.items()
        if at >= incident.opened_at and incident.concerns(target) and incident.stage is Stage.IO
    ]
    if anew:
        words = f"applications that mounted before {rfc3339(max(anew))} may still be broken"
        return replace(incident, closed_because=Closing.REPLACED, closed_message=words)
    suppressed = {target.node: why for target, why in view.suppressed.items() if incident.concerns(target)}
    if any(incident.concerns(target) for target in _answering(incident, view)):
        because = Closing.RECOVERED
    else:
        because = Closing.SUPPRESSED if suppressed else Closing.GONE
    return replace(incident, closed_because=because, closed_message=_in_maintenance(suppressed))


def _answering(incident: Incident, view: View) -> set[Target]:
    """Return the targets that show that an incident is over: the good ones; if blind, all tested ones."""
    if not incident.blind:
        return set(view.well)
    tested = {each.target for each in view.findings if not each.blind and each.stage is not Stage.TEARDOWN}
    return (view.well.keys() | tested) - {each.target for each in view.findings if each.blind}


def _in_maintenance(suppressed: dict[str, Reason]) -> str:
    """Return which nodes are under maintenance: `node n1 is under maintenance (…)`; "" is the whole class."""
    nodes = sorted(node for node in suppressed if node)
    if not nodes:
        return f"all nodes are under maintenance ({suppressed['']})" if suppressed else ""
    counts = Counter(suppressed[node] for node in nodes)
    reason, others = min(counts, key=lambda each: (-counts[each], each)), len(counts) > 1
    who = f"node {nodes[0]} is" if len(nodes) == 1 else f"nodes {few(nodes, _NAMED_NODES)} are"
    return f"{who} under maintenance ({reason}{' and others' if others else ''})"
