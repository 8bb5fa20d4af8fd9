"""Why an incident is over that no target is bad of any more: mended, or only not looked at.

It is called recovered when at least one of its targets was judged well; those that are in maintenance
meanwhile are named. Where none was, nobody knows: its targets are suppressed, or there is none of them left.
"""

from collections import Counter
from dataclasses import replace

from pie.core.incidents.incident import Closing, Incident, View
from pie.core.model import Stage, Target
from pie.core.reasons import Reason
from pie.core.text import few

_NAMED_NODES = 3


def conclude(incident: Incident, view: View) -> Incident:
    """Return an incident that closed at this look with why it did."""
    if incident.stage is Stage.TEARDOWN:
        # Not the verdict of a run: nothing is left that somebody could take down.
        return replace(incident, closed_because=Closing.RECOVERED)
    if view.paused:
        return replace(incident, closed_because=Closing.GONE, closed_message="the PieProbe is paused")
    suppressed = {target.node: why for target, why in view.suppressed.items() if incident.concerns(target)}
    if any(incident.concerns(target) for target in _answering(incident, view)):
        because = Closing.RECOVERED
    else:
        because = Closing.SUPPRESSED if suppressed else Closing.GONE
    return replace(incident, closed_because=because, closed_message=_in_maintenance(suppressed))


def _answering(incident: Incident, view: View) -> set[Target]:
    """Return the targets that show that an incident is over: well, or tested at all if none could be."""
    if not incident.blind:
        return set(view.well)
    tested = {each.target for each in view.findings if not each.blind and each.stage is not Stage.TEARDOWN}
    return (view.well.keys() | tested) - {each.target for each in view.findings if each.blind}


def _in_maintenance(suppressed: dict[str, Reason]) -> str:
    """Return which nodes are under maintenance ("" is the class): `node n1 is under maintenance (…)`."""
    nodes = sorted(node for node in suppressed if node)
    if not nodes:
        return f"all nodes are under maintenance ({suppressed['']})" if suppressed else ""
    counts = Counter(suppressed[node] for node in nodes)
    reason, others = min(counts, key=lambda each: (-counts[each], each)), len(counts) > 1
    who = f"node {nodes[0]} is" if len(nodes) == 1 else f"nodes {few(nodes, _NAMED_NODES)} are"
    return f"{who} under maintenance ({reason}{' and others' if others else ''})"
