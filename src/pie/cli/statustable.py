"""The overview as a terminal shows it."""

from msgspec import to_builtins
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pie.cli.words import colour, latency_text, many, seconds_text
from pie.core.answers import IncidentView, Overview
from pie.core.model import Verdict

_STATE_COLOURS = {"fine": "bold green", "warning": "bold yellow", "bad": "bold red", "unknown": "bold"}
_MOST_INCIDENTS = 10
_MOST_SLOW = 5


def table(overview: Overview, note: str = "") -> Group:
    """Return what a terminal shows of an overview; `note` stands below it."""
    parts: list[RenderableType] = [
        Text(f"{overview.state}: {overview.summary}", _STATE_COLOURS[overview.state])
    ]
    if overview.probes:
        parts += [Text(), _probes(overview)]
    open_now = [each for each in overview.incidents if each.closed is None]
    for incident in open_now[:_MOST_INCIDENTS]:
        parts += [Text(), *_incident(incident, overview.now)]
    if len(open_now) > _MOST_INCIDENTS:
        parts.append(Text(f"and {many(len(open_now) - _MOST_INCIDENTS, 'more incident')}", "red"))
    closed = [each for each in overview.incidents if each.closed is not None]
    if closed:
        ago = seconds_text(max(0.0, overview.now - (closed[0].closed or 0.0)))
        parts += [Text(), Text(f"closed {ago} ago: {closed[0].words}{_others(len(closed) - 1)}", "dim")]
    if overview.slowest:
        parts += [Text(), _slowest(overview)]
    if note:
        parts += [Text(), Text(note, "yellow")]
    return Group(*parts)


def _probes(overview: Overview) -> Table:
    rows = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    rows.add_column("PIEPROBE", overflow="fold")
    rows.add_column("CLASS", overflow="fold")
    rows.add_column("TARGETS", justify="right")
    for verdict in Verdict:
        rows.add_column(verdict.upper(), justify="right")
    rows.add_column("STORAGE", overflow="fold")
    for probe in overview.probes:
        targets = to_builtins(probe.targets)
        counts = [Text(str(targets[each]), colour(each) if targets[each] else "dim") for each in Verdict]
        said = Text(probe.summary, _STATE_COLOURS[probe.state].removeprefix("bold").strip())
        rows.add_row(probe.name, probe.storage_class, str(probe.targets.total), *counts, said)
    return rows


def _incident(incident: IncidentView, now: float) -> list[Text]:
    since = seconds_text(max(0.0, now - incident.opened))
    return [
        Text(f"incident since {since}: {incident.words} ({incident.reason})", "bold red"),
        *([Text(f"  evidence: {incident.evidence}")] if incident.evidence else []),
        Text(f"  next: {incident.next}"),
        Text(f"  more: pie explain {incident.probe}{_node(incident)}", "dim"),
    ]


def _node(incident: IncidentView) -> str:
    return f" --node {incident.nodes[0]}" if incident.nodes else ""


def _others(count: int) -> str:
    return f" And {count} before." if count else ""


def _slowest(overview: Overview) -> Table:
    rows = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for title in ("SLOWEST NODES", "PIEPROBE", "READ P99", "WRITE P99"):
        rows.add_column(title, overflow="fold", justify="right" if title.endswith("P99") else "left")
    for each in overview.slowest[:_MOST_SLOW]:
        rows.add_row(
            each.node, each.probe, latency_text(each.read_p99_seconds), latency_text(each.write_p99_seconds)
        )
    return rows
